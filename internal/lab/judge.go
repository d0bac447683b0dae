package lab

import (
	"fmt"
	"math"
	"time"

	"overlayd/internal/lab/meter"
	"overlayd/internal/lab/scenario"
)

// Unit is what a measured value counts.
type Unit string

// The units.
const (
	Seconds Unit = "s"
	Share   Unit = "share" // 0 to 1
	Count   Unit = "count"
	Rate    Unit = "bit/s"
	Truth   Unit = "truth" // 1: as expected
)

// Outcome is one expectation and what was measured for it.
type Outcome struct {
	Name    string  `json:"name"`
	What    string  `json:"what"`
	Unit    Unit    `json:"unit"`
	Value   float64 `json:"value"`
	Missing bool    `json:"missing,omitempty"` // what was to be measured did not happen; the value is the least it can be
	Bound   float64 `json:"bound"`
	AtLeast bool    `json:"at_least"`         // the bound is from below
	In      float64 `json:"in"`               // the share of repetitions that must keep the bound
	Always  float64 `json:"always,omitempty"` // a bound that all must keep; 0: none
	Note    string  `json:"note,omitempty"`
	Pass    bool    `json:"pass"` // of this repetition, by the bound
}

// Result is what one trial found.
type Result struct {
	Scenario  string    `json:"scenario"`
	Seed      uint64    `json:"seed"`
	Short     bool      `json:"short"`
	Enrolment Enrolment `json:"enrolment"`
	Outcomes  []Outcome `json:"outcomes"`
	Flows     []Flow    `json:"flows"`
	Nodes     []Usage   `json:"nodes"`
	Faults    []string  `json:"faults"` // what went wrong beside the expectations
	Accuracy  Accuracy  `json:"accuracy"`
	Timeline  []Entry   `json:"timeline"`
	Pass      bool      `json:"pass"`
}

// Flow is what became of the packets of one direction throughout a trial.
type Flow struct {
	Flow       string        `json:"flow"`
	Sent       int           `json:"sent"`
	Lost       int           `json:"lost"`
	Duplicates int           `json:"duplicates"`
	Reordered  int           `json:"reordered"`
	Median     time.Duration `json:"delay_median_ns"` // one way
	P95        time.Duration `json:"delay_p95_ns"`
}

// Accuracy is the error of the instrument, and how busy the machine was.
type Accuracy struct {
	Packets uint64        `json:"packets"`       // that the emulator delivered
	P99     time.Duration `json:"late_p99_ns"`   // how late it did
	Max     time.Duration `json:"late_max_ns"`   //
	Sender  time.Duration `json:"sender_max_ns"` // how late packets were sent
	Waiting float64       `json:"cpu_waiting"`   // share of the time in which some task of the machine waited for a CPU
}

// judge compares what was expected with what was measured.
func (t *trial) judge() Result {
	r := Result{Scenario: t.scenario.Name, Seed: t.seed, Pass: true}
	series := make(map[scenario.Pair]meter.Series)
	for _, spec := range t.scenario.Traffic {
		for _, d := range spec.Flow.Directions() {
			series[d] = t.meters.records[d].Series()
			r.Accuracy.Sender = max(r.Accuracy.Sender, series[d].Late())
			r.Flows = append(r.Flows, summarize(d, series[d], t.scenario.Duration))
		}
	}
	for _, x := range t.scenario.Expect {
		from, to, err := t.line.Window(x.Window)
		if err != nil {
			t.fault(err)
			continue
		}
		j := judgement{t: t, series: series, from: from, to: to}
		o := j.outcome(x)
		o.Name = x.Name
		o.decide()
		r.Pass = r.Pass && o.Pass
		r.Outcomes = append(r.Outcomes, o)
	}
	late, _ := t.world.wan.Report()
	r.Accuracy.Packets, r.Accuracy.P99, r.Accuracy.Max = late.Count(), late.Quantile(0.99), late.Max()
	r.Accuracy.Waiting = (cpuPressure() - t.pressure).Seconds() / time.Since(t.epoch).Seconds()
	return r
}

func summarize(d scenario.Pair, s meter.Series, end time.Duration) Flow {
	sent, lost := s.Loss(0, end)
	delays := s.Delays(0, end)
	return Flow{
		Flow: d.String(), Sent: sent, Lost: lost, Duplicates: s.Duplicates, Reordered: s.Reordered,
		Median: meter.Quantile(delays, 0.5), P95: meter.Quantile(delays, 0.95),
	}
}

// decide sets Pass.
func (o *Outcome) decide() {
	o.Pass = !o.Missing && o.keeps(o.Bound)
}

// keeps reports whether the value keeps a bound.
func (o *Outcome) keeps(bound float64) bool {
	if o.AtLeast {
		return o.Value >= bound
	}
	return o.Value <= bound
}

// judgement is the judging of one expectation.
type judgement struct {
	t        *trial
	series   map[scenario.Pair]meter.Series
	from, to time.Duration
}

// outcome measures what an expectation is about.
func (j judgement) outcome(x scenario.Expectation) Outcome {
	switch c := x.Check.(type) {
	case scenario.Outage:
		return j.worst(c.Flow, "outage", Seconds, c.Below, j.outage)
	case scenario.Loss:
		return j.worst(c.Flow, "loss", Share, c.Below, j.loss)
	case scenario.Lost:
		return j.worst(c.Flow, "lost packets", Count, c.AtMost, j.lost)
	case scenario.FirstPacket:
		return j.worst(c.Flow, "first packet", Seconds, c.Within, j.first)
	case scenario.Path:
		return j.path(c)
	case scenario.Switches:
		return j.worst(c.Of, "switches", Count, c.AtMost, func(d scenario.Pair) measured {
			return measured{value: float64(j.t.history.switchesIn(d, j.from, j.to))}
		})
	case scenario.Dead:
		return j.worst(c.Of, "paths found dead", Count, c.AtMost, func(d scenario.Pair) measured {
			return measured{value: float64(j.t.history.deathsIn(d, j.from, j.to))}
		})
	case scenario.Goodput:
		return j.goodput(c)
	case scenario.Capture:
		return j.capture(x.Name, c)
	case scenario.Converged, scenario.Revoked, scenario.Members, scenario.Connected, scenario.IdleTraffic:
		return j.found(x)
	}
	return Outcome{Missing: true, Note: "the lab does not know this check"}
}

// measured is one measured value.
type measured struct {
	value   float64
	missing bool
	note    string
}

// worst measures every direction of a pair and takes the worst.
func (j judgement) worst(
	p scenario.Pair, what string, u Unit, l scenario.Limit, f func(scenario.Pair) measured,
) Outcome {
	o := Outcome{What: what + " " + p.String(), Unit: u, Bound: l.Bound, In: l.In, Always: l.Always, Value: math.Inf(-1)}
	for _, d := range p.Directions() {
		m := f(d)
		if m.missing && !o.Missing || m.missing == o.Missing && m.value > o.Value {
			o.Value, o.Missing, o.Note = m.value, m.missing, m.note
		}
	}
	return o
}

func (j judgement) outage(d scenario.Pair) measured {
	o := j.series[d].Outage(j.from, j.to)
	note := fmt.Sprintf("%v: %d packets lost", d, o.Lost)
	if o.Open {
		note = fmt.Sprintf("%v: not over by the end", d)
	}
	return measured{o.Length.Seconds(), o.Open, note}
}

func (j judgement) loss(d scenario.Pair) measured {
	sent, lost := j.series[d].Loss(j.from, j.to)
	if sent == 0 {
		return measured{1, true, "nothing was sent"}
	}
	return measured{value: float64(lost) / float64(sent), note: fmt.Sprintf("%v: %d of %d", d, lost, sent)}
}

func (j judgement) lost(d scenario.Pair) measured {
	sent, lost := j.series[d].Loss(j.from, j.to)
	return measured{float64(lost), sent == 0, fmt.Sprintf("%v: of %d", d, sent)}
}

func (j judgement) first(d scenario.Pair) measured {
	first, ok := j.series[d].First(j.from)
	if !ok || first > j.to-j.from {
		return measured{(j.to - j.from).Seconds(), true, fmt.Sprintf("%v: none arrived", d)}
	}
	return measured{value: first.Seconds(), note: d.String()}
}

// path judges a selection: that it is so throughout, or how soon it becomes so.
func (j judgement) path(c scenario.Path) Outcome {
	route := func(d scenario.Pair) scenario.Route {
		if d.From == c.Of.From {
			return c.Is
		}
		return c.Is.Reverse()
	}
	if c.Within.Bound > 0 {
		return j.worst(c.Of, c.Is.String(), Seconds, c.Within, func(d scenario.Pair) measured {
			at, ok := j.t.history.becomes(d, route(d), j.from, j.to)
			if !ok {
				return measured{(j.to - j.from).Seconds(), true, fmt.Sprintf("%v: never", d)}
			}
			return measured{value: (at - j.from).Seconds(), note: d.String()}
		})
	}
	what := c.Is.String() + " " + c.Of.String()
	o := Outcome{What: what, Unit: Truth, Value: 1, Bound: 1, In: c.Within.In, AtLeast: true}
	for _, d := range c.Of.Directions() {
		if ok, other := j.t.history.always(d, route(d), j.from, j.to); !ok {
			o.Value, o.Note = 0, fmt.Sprintf("%v: %s", d, other)
		}
	}
	return o
}

func (j judgement) goodput(c scenario.Goodput) Outcome {
	o := Outcome{
		What: "goodput of " + c.Of + " against " + c.Against, Unit: Share,
		Bound: c.AtLeast.Bound, In: c.AtLeast.In, Always: c.AtLeast.Always, AtLeast: true,
	}
	j.t.mu.Lock()
	of, against := j.t.transfers[c.Of], j.t.transfers[c.Against]
	j.t.mu.Unlock()
	switch {
	case of.err != nil:
		o.Missing, o.Note = true, of.err.Error()
	case against.err != nil:
		o.Missing, o.Note = true, against.err.Error()
	case against.goodput.Rate() == 0:
		o.Missing, o.Note = true, c.Against+" carried nothing"
	default:
		o.Value = of.goodput.Rate() / against.goodput.Rate()
		o.Note = fmt.Sprintf("%.2f and %.2f Mbit/s", of.goodput.Rate()/1e6, against.goodput.Rate()/1e6)
	}
	return o
}

// capture judges whether a site's uplink showed the known text.
func (j judgement) capture(name string, c scenario.Capture) Outcome {
	o := Outcome{What: "text of " + c.During + " at " + c.Site, Unit: Truth, Bound: 1, In: 1, AtLeast: true}
	j.t.mu.Lock()
	packets, transfer := j.t.captures[name], j.t.transfers[c.During]
	j.t.mu.Unlock()
	switch {
	case transfer.err != nil:
		o.Missing, o.Note = true, transfer.err.Error()
		return o
	case packets == nil || packets.size < max(1, c.AtLeast):
		o.Missing, o.Note = true, "too little passed there to prove anything"
		return o
	case packets.overflow && !c.Found:
		o.Missing, o.Note = true, "more passed than was kept"
		return o
	}
	pieces := packets.search(j.t.secret)
	o.Note = fmt.Sprintf("%d pieces of %d bytes in %d packets, %.1f MB",
		pieces, pieceLen, len(packets.packets), float64(packets.size)/1e6)
	if (pieces > 0) == c.Found {
		o.Value = 1
	}
	return o
}
