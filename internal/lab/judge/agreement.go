package judge

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"time"

	"overlayd/internal/lab/meter"
	"overlayd/internal/lab/scenario"
)

// How far a real run may be from its simulation. The kernel's and the daemons' own delays, and the moments at which probes
// happen to be sent, are in these.
const (
	AgreeTime  = 80 * time.Millisecond // of outages and of times until a path is taken
	AgreeLate  = 1.5                   // times as long until a path is taken
	AgreeShare = 0.015                 // of losses, in parts of all packets, and of goodputs, in parts of another's
)

// Agreement compares the real runs of a scenario with its simulation.
type Agreement struct {
	Scenario string       `json:"scenario"`
	Rows     []Comparison `json:"rows"`
	Waiting  float64      `json:"cpu_waiting"` // share of the time of the real runs in which some task waited for a CPU
	Agree    bool         `json:"agree"`
}

// Busy reports whether the machine was so busy during the real runs that a difference need not be one: a daemon that waits
// for a CPU answers late, and late answers are what it decides by.
func (a Agreement) Busy() bool { return a.Waiting > busyShare }

const busyShare = 0.5

// Comparison is one quantity in both.
type Comparison struct {
	What      string  `json:"what"`
	Unit      Unit    `json:"unit"`
	Simulated Spread  `json:"simulated"`
	Real      Spread  `json:"real"`
	Least     float64 `json:"least"` // of the real median
	Most      float64 `json:"most"`
	Note      string  `json:"note,omitempty"`
	Agree     bool    `json:"agree"`
}

// Spread is how the values of some runs are spread.
type Spread struct {
	Min     float64 `json:"min"`
	Median  float64 `json:"median"`
	Max     float64 `json:"max"`
	Missing bool    `json:"missing,omitempty"` // in most of the runs it did not happen
}

func spread(v Verdict) Spread {
	return Spread{v.Min, v.Median, v.Max, 2*v.MissingTimes > len(v.Values)}
}

// Compare compares outages, losses, the times until a path is taken, and the paths in use at the end. The reports are of
// the same scenario, and have one run each at least.
//
//   - an outage: the real median is the simulated one, give or take AgreeTime
//   - a share of lost packets, or a goodput as a share of another: likewise, give or take AgreeShare
//   - a number of lost packets: likewise, give or take those that are sent in AgreeTime
//   - the time until a path is taken: the real median is between the least of the simulation and AgreeLate times the most,
//     give or take AgreeTime. A part of it is drawn at random, and a better path is taken once it has been better for a
//     time on end, which a busy machine interrupts
//   - the path at the end, of which most runs tell, is the same
func Compare(s *scenario.Scenario, simulated, real Report) Agreement {
	a := Agreement{Scenario: s.Name, Agree: true}
	var waits []float64
	for _, result := range real.Results {
		waits = append(waits, result.Accuracy.Waiting)
	}
	slices.Sort(waits)
	a.Waiting = meter.Quantile(waits, 0.5)
	add := func(c Comparison) {
		a.Rows = append(a.Rows, c)
		a.Agree = a.Agree && c.Agree
	}
	for i, x := range s.Expect {
		c := Comparison{What: simulated.Verdicts[i].What, Unit: simulated.Verdicts[i].Unit}
		c.Simulated, c.Real = spread(simulated.Verdicts[i]), spread(real.Verdicts[i])
		least, most := c.Simulated.Median, c.Simulated.Median
		slack := AgreeTime.Seconds()
		switch check := x.Check.(type) {
		case scenario.Outage:
		case scenario.Loss, scenario.Goodput:
			slack = AgreeShare
		case scenario.Lost:
			slack = float64(AgreeTime / every(s, check.Flow))
		case scenario.Path:
			if check.Within.Bound == 0 {
				continue // the path at the end tells as much
			}
			least, most = c.Simulated.Min, c.Simulated.Max*AgreeLate
		default:
			continue
		}
		c.Least, c.Most = max(0, least-slack), most+slack
		c.Agree = c.Real.Missing == c.Simulated.Missing &&
			(c.Real.Missing || c.Real.Median >= c.Least && c.Real.Median <= c.Most)
		add(c)
	}
	for i, flow := range simulated.Results[0].Flows {
		in, out := commonPath(simulated, i), commonPath(real, i)
		add(Comparison{
			What: "path at the end " + flow.Flow, Unit: Truth, Note: in + ", really " + out, Agree: in == out && in != "",
		})
	}
	return a
}

// every is the interval at which the packets of a flow are sent.
func every(s *scenario.Scenario, p scenario.Pair) time.Duration {
	for _, spec := range s.Traffic {
		if slices.Contains(spec.Flow.Directions(), p.Directions()[0]) {
			return spec.Every
		}
	}
	return AgreeTime // nothing is sent: one packet
}

// commonPath is the path at the end of most of the runs.
func commonPath(r Report, flow int) string {
	times := make(map[string]int)
	var paths []string
	for _, result := range r.Results {
		path := result.Flows[flow].Path
		if times[path]++; times[path] == 1 {
			paths = append(paths, path)
		}
	}
	return slices.MaxFunc(paths, func(a, b string) int { return cmp.Compare(times[a], times[b]) })
}

// Print prints the comparison.
func (a Agreement) Print(out io.Writer) {
	headers := []string{"WHAT", "SIMULATED", "MIN", "MAX", "REAL", "MIN", "MAX", "REAL MEDIAN MAY BE", ""}
	rows := make([][]string, 0, len(a.Rows))
	for _, c := range a.Rows {
		if c.Unit == Truth {
			rows = append(rows, []string{c.What, c.Note, "", "", "", "", "", "", agreed(c.Agree)})
			continue
		}
		f := c.Unit.format
		rows = append(rows, []string{
			c.What, c.Simulated.text(c.Unit), f(c.Simulated.Min), f(c.Simulated.Max), c.Real.text(c.Unit), f(c.Real.Min),
			f(c.Real.Max), fmt.Sprintf("%s to %s", f(c.Least), f(c.Most)), agreed(c.Agree),
		})
	}
	PrintTable(out, headers, rows)
	fmt.Fprintf(out, "while the daemons ran, some task waited for a CPU %.0f%% of the time\n", a.Waiting*100)
	fmt.Fprintf(out, "%s: %s\n\n", a.Scenario, agreed(a.Agree))
}

// text prints the median.
func (s Spread) text(u Unit) string {
	if s.Missing {
		return "—"
	}
	return u.format(s.Median)
}

func agreed(yes bool) string {
	if yes {
		return "AGREE"
	}
	return "DIFFER"
}
