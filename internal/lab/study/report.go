package study

import (
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"
	"time"
)

// Report is what came of a study.
type Report struct {
	Study       string   `json:"study"`
	Description string   `json:"description,omitempty"`
	Nodes       int      `json:"nodes"`
	Pairs       int      `json:"pairs"`
	Slices      int      `json:"slices"`
	Seed        uint64   `json:"seed"`
	Results     []Result `json:"results"`
}

// Result is what came of one algorithm. Shares are parts, 0 to 1; traffic is in bytes a second, with UDP and IPv4 headers.
type Result struct {
	Algorithm  string             `json:"algorithm"`
	Regret     Summary            `json:"regret"`        // of the paths in use, both ways, at the end of their turns
	Direct     Summary            `json:"direct_regret"` // had the direct paths been used
	RTT        Summary            `json:"rtt_ms"`        // of the paths in use, by the matrix
	Relays     float64            `json:"relays"`        // of a path in use, on the average
	Pathless   int                `json:"pathless"`      // directions without any path then
	Switches   Summary            `json:"switches"`      // of a direction in a turn
	Mean       float64            `json:"switches_mean"`
	Hourly     float64            `json:"switches_an_hour"`
	Outage     *Summary           `json:"outage_s,omitempty"` // of a direction in all, where there are faults
	Idle       Summary            `json:"idle_bytes"`         // of a node
	IdleKinds  map[string]float64 `json:"idle_kinds"`         // mean of a node
	Active     Summary            `json:"active_bytes"`
	ActiveKind map[string]float64 `json:"active_kinds"`
	Probed     Summary            `json:"probed"`   // members that a node probes whether anything flows or not
	Contacts   Summary            `json:"contacts"` // of a node without data
	Series     []Point            `json:"series"`
	CDF        []float64          `json:"cdf"` // the regret that 0, 1, 2 … 100% of directions do not exceed
}

// Summary tells how something is distributed.
type Summary struct {
	Median float64 `json:"median"`
	P90    float64 `json:"p90"`
	P95    float64 `json:"p95"`
	P99    float64 `json:"p99"`
	Max    float64 `json:"max"`
}

// Point is the regret of all directions at an age of their turn.
type Point struct {
	Seconds int     `json:"seconds"`
	Median  float64 `json:"median"`
	P95     float64 `json:"p95"`
}

// quantile is the least value that a share of a sorted list does not exceed.
func quantile(sorted []float64, share float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	at := int(math.Ceil(share*float64(len(sorted)))) - 1
	return sorted[min(max(at, 0), len(sorted)-1)]
}

func summarize(values []float64) Summary {
	sorted := slices.Sorted(slices.Values(values))
	return Summary{
		Median: quantile(sorted, 0.5), P90: quantile(sorted, 0.9), P95: quantile(sorted, 0.95),
		P99: quantile(sorted, 0.99), Max: quantile(sorted, 1),
	}
}

// result concludes from what was seen.
func (w *world) result(algorithm string) Result {
	s := &w.seen
	r := Result{
		Algorithm: algorithm, Regret: summarize(s.finals), Direct: summarize(s.direct), Pathless: s.pathless,
		Switches: summarize(s.switches), Idle: summarize(s.idle.nodes), IdleKinds: s.idle.kinds,
		Active: summarize(s.active.nodes), ActiveKind: s.active.kinds, Probed: summarize(s.probed), Contacts: summarize(s.contacts),
	}
	var sum float64
	for _, n := range s.switches {
		sum += n
	}
	r.RTT, r.Relays = summarize(s.rtts), float64(s.relays)/float64(max(len(s.rtts), 1))
	r.Mean, r.Hourly = sum/float64(max(len(s.switches), 1)), sum/max(s.watched.Hours(), 1e-9)
	for i, regrets := range s.series {
		sorted := slices.Sorted(slices.Values(regrets))
		r.Series = append(r.Series, Point{Seconds: i + 1, Median: quantile(sorted, 0.5), P95: quantile(sorted, 0.95)})
	}
	sorted := slices.Sorted(slices.Values(s.finals))
	for i := range 101 {
		r.CDF = append(r.CDF, quantile(sorted, float64(i)/100))
	}
	if len(w.Faults) > 0 {
		outage := summarize(w.outages())
		r.Outage = &outage
	}
	return r
}

// outages is for how long each direction delivered nothing: as many intervals as packets are missing.
func (w *world) outages() (seconds []float64) {
	for d, sent := range w.seen.packets.sent {
		lost := time.Duration(sent-w.seen.packets.delivered[d]) * w.Data
		seconds = append(seconds, lost.Seconds())
	}
	return seconds
}

// Print prints a report as a table, the algorithms side by side.
func (r Report) Print(out io.Writer) {
	fmt.Fprintf(out, "%s: %d nodes, %d pairs, %d slices, seed %d\n\n", r.Study, r.Nodes, r.Pairs, max(r.Slices, 1), r.Seed)
	t := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	row := func(name string, cell func(*Result) string) {
		fmt.Fprint(t, name)
		for i := range r.Results {
			fmt.Fprintf(t, "\t%s", cell(&r.Results[i]))
		}
		fmt.Fprintln(t)
	}
	percent := func(v float64) string { return fmt.Sprintf("%.1f%%", 100*v) }
	row("", func(x *Result) string { return x.Algorithm })
	row("regret: median", func(x *Result) string { return percent(x.Regret.Median) })
	row("  95% of directions", func(x *Result) string { return percent(x.Regret.P95) })
	row("  99%", func(x *Result) string { return percent(x.Regret.P99) })
	row("  most", func(x *Result) string { return percent(x.Regret.Max) })
	row("  of direct paths: median", func(x *Result) string { return percent(x.Direct.Median) })
	row("  95%", func(x *Result) string { return percent(x.Direct.P95) })
	row("round trip, ms: median, 95%", func(x *Result) string { return fmt.Sprintf("%.1f, %.1f", x.RTT.Median, x.RTT.P95) })
	row("relays of a path", func(x *Result) string { return fmt.Sprintf("%.2f", x.Relays) })
	row("without a path", func(x *Result) string { return fmt.Sprint(x.Pathless) })
	row("switches in a turn: mean", func(x *Result) string { return fmt.Sprintf("%.2f", x.Mean) })
	row("  95%, most", func(x *Result) string { return fmt.Sprintf("%.0f, %.0f", x.Switches.P95, x.Switches.Max) })
	row("  in an hour", func(x *Result) string { return fmt.Sprintf("%.1f", x.Hourly) })
	if slices.ContainsFunc(r.Results, func(x Result) bool { return x.Outage != nil }) {
		row("outage: 95%, most", func(x *Result) string { return fmt.Sprintf("%.1f, %.1f s", x.Outage.P95, x.Outage.Max) })
	}
	row("contacts: median, most", func(x *Result) string { return fmt.Sprintf("%.0f, %.0f", x.Contacts.Median, x.Contacts.Max) })
	row("probed regularly: median, most", func(x *Result) string { return fmt.Sprintf("%.0f, %.0f", x.Probed.Median, x.Probed.Max) })
	row("a node sends, bytes/s, idle: median, most", func(x *Result) string {
		return fmt.Sprintf("%.0f, %.0f", x.Idle.Median, x.Idle.Max)
	})
	row("  with data", func(x *Result) string { return fmt.Sprintf("%.0f, %.0f", x.Active.Median, x.Active.Max) })
	for _, kind := range []string{"probes", "nomination", "circuits", "membership", "else"} {
		row("  of the mean, "+kind+": idle, with data", func(x *Result) string {
			return fmt.Sprintf("%.0f, %.0f", x.IdleKinds[kind], x.ActiveKind[kind])
		})
	}
	t.Flush()
}
