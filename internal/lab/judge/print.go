package judge

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"charm.land/lipgloss/v2"
	"charm.land/lipgloss/v2/table"
)

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
		if v.Missing || v.LeftOut != "" {
			measured = "—"
		}
		row := []string{v.Name, v.What, measured, v.bound(), v.word(), note}
		if many {
			row = []string{
				v.Name, v.What, f(v.Min), f(v.Median), f(v.P95), f(v.Max), v.bound(),
				fmt.Sprintf("%d of %d", v.Kept, len(r.Results)), v.word(), note,
			}
		}
		rows = append(rows, row)
	}
	PrintTable(out, headers, rows)
	if many {
		r.printHistograms(out)
	}
	if !r.Simulated {
		r.printUsage(out)
	}
	for _, result := range r.Results {
		for _, fault := range result.Faults {
			fmt.Fprintf(out, "FAULT  seed %d: %s\n", result.Seed, fault)
		}
	}
	fmt.Fprintf(out, "%s: %s\n\n", r.Scenario, r.word())
}

// word sums the report up.
func (r Report) word() string {
	if r.Failed() || len(r.LeftOut) == 0 {
		return Passed(r.Pass)
	}
	if len(r.LeftOut) == len(r.Verdicts) {
		return notSimulated
	}
	return fmt.Sprintf("%s: %d of %d (%s); the others pass",
		notSimulated, len(r.LeftOut), len(r.Verdicts), strings.Join(r.LeftOut, ", "))
}

// word is what became of an expectation.
func (v Verdict) word() string {
	if v.LeftOut != "" {
		return notSimulated
	}
	return Passed(v.Pass)
}

const notSimulated = "NOT SIMULATED"

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
		if v.Unit == Truth || v.Min == v.Max || v.LeftOut != "" {
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

// Passed is the word for a verdict.
func Passed(ok bool) string {
	if ok {
		return "PASS"
	}
	return "FAIL"
}

func inMillis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// PrintTable prints a table; colours only to a terminal.
func PrintTable(out io.Writer, headers []string, rows [][]string) {
	style := func(row, col int) lipgloss.Style {
		s := lipgloss.NewStyle().PaddingRight(2)
		switch {
		case row == table.HeaderRow:
			return s.Bold(true)
		case rows[row][col] == "PASS":
			return s.Foreground(lipgloss.Green)
		case rows[row][col] == "FAIL":
			return s.Foreground(lipgloss.Red)
		case rows[row][col] == notSimulated:
			return s.Foreground(lipgloss.Yellow)
		}
		return s
	}
	t := table.New().Border(lipgloss.HiddenBorder()).BorderTop(false).BorderBottom(false).BorderLeft(false).
		BorderRight(false).BorderColumn(false).BorderHeader(false).StyleFunc(style).Headers(headers...).Rows(rows...)
	_, _ = lipgloss.Fprintln(out, t.Render())
}
