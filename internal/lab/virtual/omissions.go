package virtual

import (
	"cmp"
	"slices"
	"time"

	"overlayd/internal/lab/scenario"
)

// omissions are what of a scenario the simulation cannot do, and why, by names. An expectation on which something of it
// may bear is left out as well: it would be met too easily.
type omissions struct {
	events       map[string]string
	flows        map[string]string
	expectations map[string]string
}

// Why something is not simulated.
const (
	noControl = "of TCP only CUBIC is simulated"
	noAnswer  = "a transfer to a site behind NAT is not simulated"
	noCapture = "packets are not sealed in a simulation, so there is nothing to search"
	noHosts   = "LANs and the hosts on them are not simulated"
)

// omit finds what the simulation cannot do.
func omit(s *scenario.Scenario, line scenario.Timeline) omissions {
	o := omissions{make(map[string]string), make(map[string]string), make(map[string]string)}
	onLAN := func(p scenario.Pair) bool {
		return slices.ContainsFunc(s.LANs, func(l scenario.LAN) bool {
			return slices.Contains(l.Hosts, p.From) || slices.Contains(l.Hosts, p.To)
		})
	}
	for _, spec := range s.Traffic {
		if onLAN(spec.Flow) {
			o.flows[spec.Name] = noHosts
		}
	}
	for _, timed := range line.Actions {
		if who, some := whom(timed.Action); some && who.GatewayOf != "" {
			o.events[timed.Event] = noHosts
		}
		if tcp, is := timed.Action.(scenario.TCP); is {
			switch {
			case onLAN(tcp.Flow):
				o.events[timed.Event] = noHosts
			case tcp.Congestion != "" && tcp.Congestion != "cubic":
				o.events[timed.Event] = noControl
			case tcp.Underlay && behindNAT(s, tcp.Flow.To):
				o.events[timed.Event] = noAnswer
			}
		}
	}
	for _, x := range s.Expect {
		if why := o.why(s, line, x, onLAN); why != "" {
			o.expectations[x.Name] = why
		}
	}
	return o
}

// why says why an expectation cannot be judged; empty if it can.
func (o omissions) why(
	s *scenario.Scenario, line scenario.Timeline, x scenario.Expectation, onLAN func(scenario.Pair) bool,
) string {
	switch c := x.Check.(type) {
	case scenario.Capture:
		return noCapture
	case scenario.Goodput:
		return cmp.Or(o.events[c.Of], o.events[c.Against])
	default:
		if p, some := about(c); some && onLAN(p) {
			return noHosts
		}
	}
	from, to, err := line.Window(x.Window)
	if err != nil {
		return "" // the judge says so
	}
	for _, timed := range line.Actions {
		why := o.events[timed.Event]
		if why != "" && timed.At <= to && timed.At+lasts(s, timed.Action) >= from {
			return why
		}
	}
	return ""
}

func behindNAT(s *scenario.Scenario, name string) bool {
	return slices.ContainsFunc(s.Sites, func(site scenario.Site) bool {
		return site.Name == name && site.NAT != scenario.NoNAT
	})
}

// lasts is how long an event bears on what comes after it.
func lasts(s *scenario.Scenario, a scenario.Action) time.Duration {
	if tcp, ok := a.(scenario.TCP); ok && tcp.For > 0 {
		return tcp.For
	}
	return s.Duration
}

// whom are the nodes that an event is about, if it is about some.
func whom(a scenario.Action) (scenario.Who, bool) {
	switch a := a.(type) {
	case scenario.Kill:
		return a.Who, true
	case scenario.Stop:
		return a.Who, true
	case scenario.Start:
		return a.Who, true
	case scenario.Wipe:
		return a.Who, true
	}
	return scenario.Who{}, false
}

// about is the pair that a check is about, if it is about one.
func about(c scenario.Check) (scenario.Pair, bool) {
	switch c := c.(type) {
	case scenario.Outage:
		return c.Flow, true
	case scenario.Loss:
		return c.Flow, true
	case scenario.Lost:
		return c.Flow, true
	case scenario.FirstPacket:
		return c.Flow, true
	case scenario.Connected:
		return c.Flow, true
	}
	return scenario.Pair{}, false
}
