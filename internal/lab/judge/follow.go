package judge

import (
	"fmt"
	"slices"
	"time"

	"overlayd/internal/lab/meter"
	"overlayd/internal/lab/scenario"
)

// Follows reports whether the paths of a node are followed. In a crowd that is only done where an expectation, traffic
// or an event asks for them: fifty watchers would be most of what there is to see.
func Follows(s *scenario.Scenario, name string) bool {
	if s.Crowd == nil {
		return true
	}
	var asked []scenario.Pair
	for _, flow := range s.Traffic {
		asked = append(asked, flow.Flow)
	}
	for _, x := range s.Expect {
		switch c := x.Check.(type) {
		case scenario.Blamed:
			if slices.Contains(s.Nodes(c.Among), name) {
				return true
			}
		case scenario.Path:
			asked = append(asked, c.Of)
		case scenario.Switches:
			asked = append(asked, c.Of)
		case scenario.Dead:
			asked = append(asked, c.Of)
		case scenario.Quarantined:
			asked = append(asked, c.Of)
		}
	}
	for _, e := range s.Events {
		switch a := e.Action.(type) {
		case scenario.TCP:
			asked = append(asked, a.Flow)
		case scenario.Kill:
			asked = appendPair(asked, a.Who.RelayOf)
		case scenario.Stop:
			asked = appendPair(asked, a.Who.RelayOf)
		case scenario.Wipe:
			asked = appendPair(asked, a.Who.RelayOf)
		}
	}
	return slices.ContainsFunc(asked, func(p scenario.Pair) bool { return p.From == name || p.To == name })
}

// AsksWhen reports whether an expectation asks when, or how often, paths change: then they are looked at often.
func AsksWhen(s *scenario.Scenario) bool {
	return slices.ContainsFunc(s.Expect, func(x scenario.Expectation) bool {
		switch x.Check.(type) {
		case scenario.Path, scenario.Switches, scenario.Dead, scenario.Quarantined:
			return true
		default:
			return false
		}
	})
}

func appendPair(all []scenario.Pair, p *scenario.Pair) []scenario.Pair {
	if p == nil {
		return all
	}
	return append(all, *p)
}

// Carries reports whether traffic or a transfer goes from one node to another: then its paths are told of.
func Carries(s *scenario.Scenario, pair scenario.Pair) bool {
	for _, flow := range s.Traffic {
		if slices.Contains(flow.Flow.Directions(), pair) {
			return true
		}
	}
	return slices.ContainsFunc(s.Events, func(e scenario.Event) bool {
		tcp, ok := e.Action.(scenario.TCP)
		return ok && tcp.Flow == pair
	})
}

// Tell notes a choice on the time line.
func (j *Journal) Tell(c Choice) {
	text := c.Pair.String() + "  " + c.String()
	if c.Reason != "" {
		text += "  (" + c.Reason + ")"
	}
	j.Note(c.At, "path", text)
}

// A gap is told on the time line if it is so many intervals long and packets are missing, or so much longer if they were
// only held up, which a busy machine does too.
const (
	noticeable     = 4
	noticeableHeld = 20
)

// TellGaps notes the gaps between arrivals of a flow on the time line. It is called before the flow starts.
func (j *Journal) TellGaps(d scenario.Pair, every time.Duration, r *meter.Record) {
	r.OnGap(noticeable*every, func(g meter.Gap) {
		length := g.To - g.From - every
		if g.Missing == 0 && length < noticeableHeld*every {
			return
		}
		j.Note(g.To, "outage", fmt.Sprintf("%v  %d ms, %d packets missing", d, length.Milliseconds(), g.Missing))
	})
}
