// Package judge compares what was expected of a scenario with what was observed. It does not matter to it whether real
// daemons ran or a simulation: both hand in the same evidence.
//
//	lab      namespaces, daemons ─┐
//	                              ├─▶ Evidence: arrivals, paths, findings ─▶ Outcome … ─▶ Result … ─▶ Report
//	virtual  simulated network  ──┘
package judge

import (
	"fmt"
	"math"
	"strings"
	"time"

	"overlayd/internal/lab/meter"
	"overlayd/internal/lab/scenario"
)

// Evidence is what was observed in one run of a scenario, all times being since its start.
type Evidence struct {
	Scenario  *scenario.Scenario
	Line      scenario.Timeline
	Series    map[scenario.Pair]meter.Series // of every direction with traffic
	History   *History
	Strangers *Strangers          // nil: nobody has counted
	Transfers map[string]Transfer // by the name of the event
	Findings  map[string]Measured // of what was watched for while it went on, by the name of the expectation
	LeftOut   map[string]string   // expectations that this kind of run cannot tell anything about, and why
}

// Transfer is how a transfer went.
type Transfer struct {
	Goodput meter.Goodput
	Err     error
}

// Measured is one measured value.
type Measured struct {
	Value   float64
	Missing bool // what was to be measured did not happen; the value is the least it can be
	Note    string
}

// Judge judges every expectation. The error says that one cannot be.
func (e Evidence) Judge() ([]Outcome, error) {
	var all []Outcome
	for _, x := range e.Scenario.Expect {
		from, to, err := e.Line.Window(x.Window)
		if err != nil {
			return all, err
		}
		o := judgement{Evidence: e, from: from, to: to}.outcome(x)
		o.Name = x.Name
		if why := e.LeftOut[x.Name]; why != "" {
			o.leaveOut(why)
		}
		o.decide()
		all = append(all, o)
	}
	return all, nil
}

// Flows are what became of the packets of every direction with traffic.
func (e Evidence) Flows() []Flow {
	var all []Flow
	for _, spec := range e.Scenario.Traffic {
		for _, d := range spec.Flow.Directions() {
			if s, there := e.Series[d]; there {
				all = append(all, e.summarize(d, s))
			}
		}
	}
	return all
}

// finalPath is the path in use at the end; empty if nothing is known of it.
func (e Evidence) finalPath(d scenario.Pair) string {
	if s, known := e.History.At(d, e.Scenario.Duration); known {
		return s.String()
	}
	return ""
}

// summarize says what became of the packets of one direction.
func (e Evidence) summarize(d scenario.Pair, s meter.Series) Flow {
	sent, lost := s.Loss(0, e.Scenario.Duration)
	delays := s.Delays(0, e.Scenario.Duration)
	return Flow{
		Flow: d.String(), Sent: sent, Lost: lost, Duplicates: s.Duplicates, Reordered: s.Reordered,
		Median: meter.Quantile(delays, 0.5), P95: meter.Quantile(delays, 0.95), Path: e.finalPath(d),
	}
}

// judgement is the judging of one expectation.
type judgement struct {
	Evidence
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
		return j.worst(c.Of, "switches", Count, c.AtMost, func(d scenario.Pair) Measured {
			return Measured{Value: float64(j.History.switchesIn(d, j.from, j.to))}
		})
	case scenario.Dead:
		return j.worst(c.Of, "paths found dead", Count, c.AtMost, func(d scenario.Pair) Measured {
			return Measured{Value: float64(j.History.deathsIn(d, j.from, j.to))}
		})
	case scenario.Quarantined:
		return j.worst(c.Of, "paths in quarantine", Count, c.AtMost, func(d scenario.Pair) Measured {
			return Measured{Value: float64(j.History.quarantinesIn(d, j.from, j.to)), Note: j.History.blamed(d)}
		})
	case scenario.Arrived:
		return j.worst(c.Flow, "packets that arrive", Count, c.AtMost, j.arrived)
	case scenario.Unanswered:
		return j.unanswered(c)
	case scenario.Blamed:
		return j.blamed(c)
	case scenario.Goodput:
		return j.goodput(c)
	case scenario.Capture, scenario.Converged, scenario.Revoked, scenario.Members, scenario.Connected, scenario.IdleTraffic:
		return j.found(x)
	}
	return Outcome{Missing: true, Note: "the lab does not know this check"}
}

// worst measures every direction of a pair and takes the worst.
func (j judgement) worst(
	p scenario.Pair, what string, u Unit, l scenario.Limit, f func(scenario.Pair) Measured,
) Outcome {
	o := upTo(what+" "+p.String(), u, l)
	o.Value = math.Inf(-1)
	for _, d := range p.Directions() {
		m := f(d)
		if m.Missing && !o.Missing || m.Missing == o.Missing && m.Value > o.Value {
			o.Value, o.Missing, o.Note = m.Value, m.Missing, m.Note
		}
	}
	return o
}

func (j judgement) outage(d scenario.Pair) Measured {
	o := j.Series[d].Outage(j.from, j.to)
	note := fmt.Sprintf("%v: %d packets lost", d, o.Lost)
	if o.Open {
		note = fmt.Sprintf("%v: not over by the end", d)
	}
	return Measured{o.Length.Seconds(), o.Open, note}
}

func (j judgement) loss(d scenario.Pair) Measured {
	sent, lost := j.Series[d].Loss(j.from, j.to)
	if sent == 0 {
		return Measured{1, true, "nothing was sent"}
	}
	return Measured{Value: float64(lost) / float64(sent), Note: fmt.Sprintf("%v: %d of %d", d, lost, sent)}
}

func (j judgement) lost(d scenario.Pair) Measured {
	sent, lost := j.Series[d].Loss(j.from, j.to)
	return Measured{float64(lost), sent == 0, fmt.Sprintf("%v: of %d", d, sent)}
}

func (j judgement) arrived(d scenario.Pair) Measured {
	sent, lost := j.Series[d].Loss(j.from, j.to)
	return Measured{float64(sent - lost), sent == 0, fmt.Sprintf("%v: of %d", d, sent)}
}

func (j judgement) first(d scenario.Pair) Measured {
	first, ok := j.Series[d].First(j.from)
	if !ok || first > j.to-j.from {
		return Measured{(j.to - j.from).Seconds(), true, fmt.Sprintf("%v: none arrived", d)}
	}
	return Measured{Value: first.Seconds(), Note: d.String()}
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
		return j.worst(c.Of, c.Is.String(), Seconds, c.Within, func(d scenario.Pair) Measured {
			at, ok := j.History.becomes(d, route(d), j.from, j.to)
			if !ok {
				return Measured{(j.to - j.from).Seconds(), true, fmt.Sprintf("%v: never", d)}
			}
			return Measured{Value: (at - j.from).Seconds(), Note: d.String()}
		})
	}
	what := c.Is.String() + " " + c.Of.String()
	o := Outcome{What: what, Unit: Truth, Value: 1, Bound: 1, In: c.Within.In, AtLeast: true}
	for _, d := range c.Of.Directions() {
		if ok, other := j.History.always(d, route(d), j.from, j.to); !ok {
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
	of, against := j.Transfers[c.Of], j.Transfers[c.Against]
	switch {
	case of.Err != nil:
		o.Missing, o.Note = true, of.Err.Error()
	case against.Err != nil:
		o.Missing, o.Note = true, against.Err.Error()
	case against.Goodput.Rate() == 0:
		o.Missing, o.Note = true, c.Against+" carried nothing"
	default:
		o.Value = of.Goodput.Rate() / against.Goodput.Rate()
		o.Note = fmt.Sprintf("%.2f and %.2f Mbit/s", of.Goodput.Rate()/1e6, against.Goodput.Rate()/1e6)
	}
	return o
}

// found judges what was watched for while the scenario went on.
func (j judgement) found(x scenario.Expectation) Outcome {
	var o Outcome
	switch c := x.Check.(type) {
	case scenario.Converged:
		o = upTo(some(c.Of)+" know the same", Seconds, c.Within)
	case scenario.Revoked:
		o = upTo("nobody knows "+c.Node, Seconds, c.Within)
	case scenario.Members:
		o = upTo(fmt.Sprintf("%d members at %s", c.Are, some(c.Of)), Seconds, c.Within)
	case scenario.Connected:
		o = upTo("a packet "+c.Flow.String(), Seconds, c.Within)
	case scenario.IdleTraffic:
		o = upTo("idle traffic, the highest", Rate, c.Below)
	case scenario.Capture:
		o = Outcome{What: "text of " + c.During + " at " + c.Site, Unit: Truth, Bound: 1, In: 1, AtLeast: true}
	}
	m := j.Findings[x.Name]
	o.Value, o.Missing, o.Note = m.Value, m.Missing, m.Note
	return o
}

// upTo is the outcome of what has a bound from above.
func upTo(what string, u Unit, l scenario.Limit) Outcome {
	return Outcome{What: what, Unit: u, Bound: l.Bound, In: l.In, Always: l.Always}
}

// some names a group, shortly.
func some(g scenario.Group) string {
	if len(g) > 3 {
		return fmt.Sprintf("%d nodes", len(g))
	}
	return strings.Join(g, ", ")
}
