package virtual

import (
	"fmt"
	"slices"
	"time"

	"overlayd/internal/lab/judge"
	"overlayd/internal/lab/meter"
	"overlayd/internal/lab/scenario"
)

// inquiry watches for one expectation while the scenario goes on.
type inquiry struct {
	t           *trial
	name        string
	window      scenario.Window
	from, until time.Duration // since the start; known once it has begun
	begun, over bool
	ask         func() (yes bool, note string) // made when the window begins
	begin       func(q *inquiry)               // sets ask
	found       judge.Measured
}

// inquiryInterval is the time between two rounds.
const inquiryInterval = 10 * time.Millisecond

// connectedEvery is the time between two packets that try whether there is a connection.
const connectedEvery = 20 * time.Millisecond

// inquire starts the inquiries of all expectations that need one.
func (t *trial) inquire() {
	for _, x := range t.scenario.Expect {
		q := &inquiry{t: t, name: x.Name, window: x.Window, found: judge.Measured{Missing: true, Note: "it did not come to it"}}
		switch c := x.Check.(type) {
		case scenario.Converged:
			q.begin = func(q *inquiry) { q.ask = func() (bool, string) { return t.converged(c.Of) } }
		case scenario.Revoked:
			q.begin = func(q *inquiry) {
				q.ask = q.each(c.Of, c.Node, func(n *node) bool { return n.forgot(c.Node) })
			}
		case scenario.Members:
			q.begin = func(q *inquiry) {
				q.ask = q.each(c.Of, "", func(n *node) bool { return n.host.Core.Members().Len() == c.Are })
			}
		case scenario.Connected:
			q.begin = func(q *inquiry) { q.connect(c.Flow) }
		case scenario.IdleTraffic:
			q.begin = func(q *inquiry) { q.weigh(c.Of) }
		default:
			continue
		}
		if t.omitted.expectations[x.Name] == "" {
			t.inquiries = append(t.inquiries, q)
		}
	}
	round := func() bool {
		for _, q := range t.inquiries {
			q.round()
		}
		return true
	}
	round()
	t.net.Every(inquiryInterval, round)
}

// round asks once, if it is time to. A window that begins at an event begins when that really did, but nobody is asked
// before the event is over.
func (q *inquiry) round() {
	now := q.t.now()
	if q.over || !q.begun && !q.mayBegin(now) {
		return
	}
	yes, note := q.ask()
	if q.over { // it has found more than a time
		q.t.note("found", q.name+": "+q.found.Note)
		return
	}
	switch {
	case yes:
		q.found = judge.Measured{Value: (now - q.from).Seconds(), Note: note}
	case now > q.until:
		q.found = judge.Measured{Value: (q.until - q.from).Seconds(), Missing: true, Note: note}
	default:
		return
	}
	q.over = true
	q.t.note("found", q.name+": "+q.found.Note)
}

// mayBegin reports whether the window has begun, and prepares to ask.
func (q *inquiry) mayBegin(now time.Duration) bool {
	from, until, err := q.t.line.Window(q.window)
	if err != nil {
		return false // the judge says so
	}
	base := q.window.From.Base
	if base != scenario.MomentStart && base != scenario.MomentEnd {
		began, over := q.t.occasions[base]
		if !over {
			return false
		}
		from = began + q.window.From.After
	}
	if now < from {
		return false
	}
	q.from, q.until, q.begun = from, until, true
	q.begin(q)
	return true
}

// those are the nodes of a group that count now, in the order of the group.
func (t *trial) those(g scenario.Group) []*node {
	var all []*node
	for _, name := range t.scenario.Nodes(g) {
		if n := t.byName[name]; n.counts() {
			all = append(all, n)
		}
	}
	return all
}

// converged reports whether all know the same.
func (t *trial) converged(g scenario.Group) (bool, string) {
	nodes := t.those(g)
	for _, n := range nodes {
		if n.host.Core.Members().Digest() != nodes[0].host.Core.Members().Digest() {
			return false, fmt.Sprintf("%s and %s differ", nodes[0].spec.Name, n.spec.Name)
		}
	}
	return len(nodes) > 0, fmt.Sprintf("%d nodes", len(nodes))
}

// each asks every node of a group until it has said yes once.
func (q *inquiry) each(g scenario.Group, except string, yes func(*node) bool) func() (bool, string) {
	said := make(map[*node]time.Duration)
	return func() (bool, string) {
		nodes := slices.DeleteFunc(q.t.those(g), func(n *node) bool { return n.spec.Name == except })
		open := ""
		var times []time.Duration
		for _, n := range nodes {
			if _, done := said[n]; !done && yes(n) {
				said[n] = q.t.now() - q.from
			}
			if at, done := said[n]; done {
				times = append(times, at)
			} else {
				open = n.spec.Name
			}
		}
		if open != "" {
			return false, fmt.Sprintf("%d of %d nodes; not %s", len(times), len(nodes), open)
		}
		slices.Sort(times)
		half := meter.Quantile(times, 0.5).Milliseconds()
		return len(nodes) > 0, fmt.Sprintf("%d nodes, half of them in %d ms", len(nodes), half)
	}
}

// forgot reports whether a node neither has another one for a member nor has a path to it.
func (n *node) forgot(name string) bool {
	members := n.host.Core.Members()
	for _, m := range members.Members() {
		if members.NameOnce(m.ID) == name {
			return false
		}
	}
	return true
}

// connect sends packets in every direction of a pair until one has arrived in each.
func (q *inquiry) connect(p scenario.Pair) {
	arrived := make(map[scenario.Pair]time.Duration)
	for _, d := range p.Directions() {
		attempt := func() bool {
			q.t.post(d, meter.MinSize+udpIPv4, func() {
				if _, before := arrived[d]; !before {
					arrived[d] = q.t.now()
				}
			})
			_, done := arrived[d]
			return !done && !q.over
		}
		if attempt() {
			q.t.net.Every(connectedEvery, attempt)
		}
	}
	q.ask = func() (bool, string) {
		worst := time.Duration(-1)
		note := ""
		for _, d := range p.Directions() {
			at, done := arrived[d]
			if !done {
				return false, fmt.Sprintf("%v: nothing arrived", d)
			}
			if at > worst {
				worst, note = at, d.String()
			}
		}
		q.found, q.over = judge.Measured{Value: (worst - q.from).Seconds(), Note: note}, true
		return true, note
	}
}

// weigh measures what the nodes send that run throughout the window, whole IP packets on the underlay.
func (q *inquiry) weigh(g scenario.Group) {
	nodes := q.t.those(g)
	began := q.t.now()
	before := make(map[*node]uint64)
	for _, n := range nodes {
		before[n] = q.t.underlay.Sent(n.site)
	}
	q.ask = func() (bool, string) {
		if q.t.now() < q.until {
			return false, "it did not come to the end of the window"
		}
		type rate struct {
			node string
			bits float64 // a second
		}
		var rates []rate
		for _, n := range nodes {
			if n.counts() {
				bits := float64(q.t.underlay.Sent(n.site)-before[n]) * 8
				rates = append(rates, rate{n.spec.Name, bits / (q.t.now() - began).Seconds()})
			}
		}
		q.over = true
		if len(rates) == 0 {
			q.found = judge.Measured{Missing: true, Note: "no node ran throughout"}
			return false, ""
		}
		slices.SortStableFunc(rates, func(a, b rate) int { return int(a.bits - b.bits) })
		least, most := rates[0], rates[len(rates)-1]
		q.found = judge.Measured{Value: most.bits, Note: fmt.Sprintf(
			"%d nodes, min %.2f, median %.2f, max %.2f kbit/s (%s)", len(rates), least.bits/1e3,
			meter.Quantile(rates, 0.5).bits/1e3, most.bits/1e3, most.node)}
		return true, ""
	}
}
