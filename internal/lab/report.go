package lab

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"charm.land/lipgloss/v2"
	"charm.land/lipgloss/v2/table"

	"overlayd/internal/lab/meter"
)

// Report is all repetitions of one scenario.
type Report struct {
	Scenario    string    `json:"scenario"`
	Description string    `json:"description"`
	Short       bool      `json:"short"`
	Results     []Result  `json:"results"`
	Verdicts    []Verdict `json:"verdicts"`
	Pass        bool      `json:"pass"`
}

// Verdict is one expectation over all repetitions.
type Verdict struct {
	Outcome                // of the repetition with the worst value
	Values       []float64 `json:"values"` // in ascending order
	Min          float64   `json:"min"`
	Median       float64   `json:"median"`
	P95          float64   `json:"p95"`
	Max          float64   `json:"max"`
	MissingTimes int       `json:"missing_times"`
	Kept         int       `json:"kept"` // repetitions that keep the bound
	Pass         bool      `json:"pass"`
}

// conclude fills Verdicts and Pass from the results.
func (r *Report) conclude() {
	r.Pass = true
	for _, result := range r.Results {
		r.Pass = r.Pass && len(result.Faults) == 0
	}
	if len(r.Results) == 0 {
		return
	}
	for i := range r.Results[0].Outcomes {
		var all []Outcome
		for _, result := range r.Results {
			if i < len(result.Outcomes) {
				all = append(all, result.Outcomes[i])
			}
		}
		v := verdict(all)
		r.Pass = r.Pass && v.Pass
		r.Verdicts = append(r.Verdicts, v)
	}
}

// verdict sums up the outcomes of one expectation, of which there is one at least.
func verdict(all []Outcome) Verdict {
	v := Verdict{Outcome: all[0]}
	always := true
	for _, o := range all {
		v.Values = append(v.Values, o.Value)
		if o.Missing {
			v.MissingTimes++
		}
		if o.Pass {
			v.Kept++
		}
		always = always && !o.Missing && (o.Always == 0 || o.keeps(o.Always))
		if worse(o, v.Outcome) {
			v.Outcome = o
		}
	}
	slices.Sort(v.Values)
	v.Min, v.Max = v.Values[0], v.Values[len(v.Values)-1]
	v.Median, v.P95 = meter.Quantile(v.Values, 0.5), meter.Quantile(v.Values, 0.95)
	needed := int(math.Ceil(v.In*float64(len(all)) - 1e-9))
	v.Pass = v.Kept >= needed && (always || v.Always == 0)
	return v
}

// worse reports whether a is a worse outcome than b of the same expectation.
func worse(a, b Outcome) bool {
	if a.Missing != b.Missing {
		return a.Missing
	}
	if a.AtLeast {
		return a.Value < b.Value
	}
	return a.Value > b.Value
}

// format prints a value in its unit.
func (u Unit) format(v float64) string {
	switch u {
	case Seconds:
		if v < 1 {
			return fmt.Sprintf("%.0f ms", v*1e3)
		}
		return fmt.Sprintf("%.2f s", v)
	case Share:
		return fmt.Sprintf("%.2f%%", v*100)
	case Rate:
		return fmt.Sprintf("%.2f kbit/s", v/1e3)
	case Truth:
		return map[bool]string{true: "yes", false: "no"}[v >= 1]
	}
	return fmt.Sprintf("%.0f", v)
}

// bound prints what is expected.
func (o Outcome) bound() string {
	if o.Unit == Truth {
		return ""
	}
	sign := "≤ "
	if o.AtLeast {
		sign = "≥ "
	}
	text := sign + o.Unit.format(o.Bound)
	if o.In < 1 {
		text += fmt.Sprintf(" in %.0f%%", o.In*100)
	}
	if o.Always > 0 {
		text += ", always " + sign + o.Unit.format(o.Always)
	}
	return text
}

// Print prints the expectations, what was measured and the verdict.
func (r Report) Print(out io.Writer) {
	many := len(r.Results) > 1
	headers := []string{"EXPECTATION", "WHAT", "MEASURED", "BOUND", "", "NOTE"}
	if many {
		headers = []string{"EXPECTATION", "WHAT", "MIN", "MEDIAN", "P95", "MAX", "BOUND", "KEPT", "", "WORST"}
	}
	rows := make([][]string, 0, len(r.Verdicts))
	for _, v := range r.Verdicts {
		f := v.Unit.format
		note := v.Note
		measured := f(v.Value)
		if v.Missing {
			measured = "—"
		}
		row := []string{v.Name, v.What, measured, v.bound(), passed(v.Pass), note}
		if many {
			row = []string{
				v.Name, v.What, f(v.Min), f(v.Median), f(v.P95), f(v.Max), v.bound(),
				fmt.Sprintf("%d of %d", v.Kept, len(r.Results)), passed(v.Pass), note,
			}
		}
		rows = append(rows, row)
	}
	printTable(out, headers, rows)
	if many {
		r.printHistograms(out)
	}
	r.printUsage(out)
	for _, result := range r.Results {
		for _, fault := range result.Faults {
			fmt.Fprintf(out, "FAULT  seed %d: %s\n", result.Seed, fault)
		}
	}
	fmt.Fprintf(out, "%s: %s\n\n", r.Scenario, passed(r.Pass))
}

// printUsage prints what the daemons used and how accurate the lab was, at worst.
func (r Report) printUsage(out io.Writer) {
	var late Accuracy
	var cpu time.Duration
	var peak int64
	for _, result := range r.Results {
		late.P99, late.Max = max(late.P99, result.Accuracy.P99), max(late.Max, result.Accuracy.Max)
		late.Sender, late.Waiting = max(late.Sender, result.Accuracy.Sender), max(late.Waiting, result.Accuracy.Waiting)
		for _, u := range result.Nodes {
			cpu, peak = max(cpu, u.CPU), max(peak, u.Peak)
		}
	}
	fmt.Fprintf(out, "a daemon used at most %.2f s of CPU and %.1f MB\n", cpu.Seconds(), float64(peak)/1e6)
	fmt.Fprintf(out, "the lab was late by at most %.2f ms (99%% of packets: %.2f ms); "+
		"some task waited for a CPU %.0f%% of the time\n",
		inMillis(max(late.Max, late.Sender)), inMillis(late.P99), late.Waiting*100)
}

// bars are how full a bin of a histogram is.
const bars = " ▁▂▃▄▅▆▇█"

// bins is how many bins a histogram has.
const bins = 40

// printHistograms prints the distribution of every quantity that varies.
func (r Report) printHistograms(out io.Writer) {
	for _, v := range r.Verdicts {
		if v.Unit == Truth || v.Min == v.Max {
			continue
		}
		fmt.Fprintf(out, "%-24s %8s |%s| %s\n", v.Name, v.Unit.format(v.Min), histogram(v.Values), v.Unit.format(v.Max))
	}
}

// histogram draws the distribution of sorted values that are not all equal.
func histogram(sorted []float64) string {
	counts := make([]int, bins)
	low, high := sorted[0], sorted[len(sorted)-1]
	for _, v := range sorted {
		counts[min(int((v-low)/(high-low)*bins), bins-1)]++
	}
	most, levels := slices.Max(counts), []rune(bars)
	var b strings.Builder
	for _, n := range counts {
		b.WriteRune(levels[(n*(len(levels)-1)+most-1)/most])
	}
	return b.String()
}

func passed(ok bool) string {
	if ok {
		return "PASS"
	}
	return "FAIL"
}

func inMillis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// printTable prints a table; colours only to a terminal.
func printTable(out io.Writer, headers []string, rows [][]string) {
	style := func(row, col int) lipgloss.Style {
		s := lipgloss.NewStyle().PaddingRight(2)
		switch {
		case row == table.HeaderRow:
			return s.Bold(true)
		case rows[row][col] == "PASS":
			return s.Foreground(lipgloss.Green)
		case rows[row][col] == "FAIL":
			return s.Foreground(lipgloss.Red)
		}
		return s
	}
	t := table.New().Border(lipgloss.HiddenBorder()).BorderTop(false).BorderBottom(false).BorderLeft(false).
		BorderRight(false).BorderColumn(false).BorderHeader(false).StyleFunc(style).Headers(headers...).Rows(rows...)
	_, _ = lipgloss.Fprintln(out, t.Render())
}
