package chaos

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// text is the plan as a scenario file.
func (p *plan) text() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("name: chaos-%d", p.seed)
	line("description: All kinds of faults at once, drawn from the seed %d, and what must hold after the last of them.", p.seed)
	line("seed: %d", p.seed)
	line("duration: %v", p.end+max(p.Tail, settled)+time.Second)
	line("sites:")
	for i, n := range p.nodes {
		line("  %s: {%s}", name(i), strings.Join(n.keys(), ", "))
	}
	for i := range p.spares {
		line("  %s: {member: false}", spare(i))
	}
	line("links:")
	line("  any: {rtt: 30ms}")
	for a := range p.nodes {
		for b := range a {
			line("  %s -- %s: {rtt: %v}", name(b), name(a), p.links[[2]int{a, b}].rtt)
		}
	}
	line("traffic:")
	for i, f := range p.flows {
		every := 100 * time.Millisecond
		if f.fast {
			every /= 5
		}
		line("  t%d: {flow: %s, every: %v, size: %d}", i+1, f.pair(), every, f.size)
	}
	line("events:")
	for _, e := range p.events {
		line("  %s: {at: %v, %s}", e.name, e.at, e.text)
	}
	line("  last: {at: %v, show: []}", p.end)
	line("expect:")
	for i, f := range p.flows {
		p.expectTalk(line, i+1, f)
	}
	p.expectRest(line)
	return b.String()
}

func (f flow) pair() string { return name(f.a) + " -- " + name(f.b) }

// keys are what the node's site says of itself.
func (n node) keys() []string {
	var all []string
	if n.nat {
		all = append(all, "nat: masquerade")
	}
	if !n.four {
		all = append(all, "ipv4: false")
	}
	if !n.six {
		all = append(all, "ipv6: false")
	}
	if n.docker != 1 {
		all = append(all, fmt.Sprintf("docker: %d", n.docker))
	}
	return all
}

// expectTalk says what must hold of one flow.
func (p *plan) expectTalk(line func(string, ...any), number int, f flow) {
	a, b := p.nodes[f.a], p.nodes[f.b]
	switch {
	case a.revoked || b.revoked:
		line("  unheard-%d: {arrived: %s, from: last + %v, to: last + %v, at_most: 0}", number, f.pair(), talk, settled)
	case a.hostile || b.hostile || !p.way(f.a, f.b, f.size):
	default:
		line("  talks-%d: {first-packet: %s, from: last, to: last + %v, within: %v}", number, f.pair(), settled, talk)
		line("  keeps-%d: {loss: %s, from: last + %v, to: last + %v, below: %d%%}", number, f.pair(), talk, settled, maxLoss)
	}
}

// expectRest says what must hold of all nodes.
func (p *plan) expectRest(line func(string, ...any)) {
	var honest []string
	for i, n := range p.nodes {
		if !n.hostile && !n.revoked {
			honest = append(honest, name(i))
		}
	}
	all := strings.Join(honest, ", ")
	frames, data := p.mostStrangers(), 0
	if p.Real {
		data = maxData * max(1, p.floods)
		frames += data
	}
	line("  strangers: {unanswered: [%s], at_most: %d}", all, frames)
	line("  data-to-strangers: {unanswered: [%s], data: true, at_most: %d}", all, data)
	if p.Tail > settled {
		line("  nobody-blamed: {blamed: [%s], among: [%s], at: last + %v, at_most: 0}", all, all, p.Tail)
	}
}

// mostStrangers is how many control frames one node may send to an address that never answers, in ten seconds: so many for
// each member that floods others with addresses; and while some do, at once again after each start, since a node that
// starts does not know what it has sent.
func (p *plan) mostStrangers() int {
	if p.floods == 0 {
		return maxStrangers
	}
	most := 0
	for i := range p.nodes {
		var starts []time.Duration
		for _, e := range p.events {
			if e.starts(name(i)) {
				starts = append(starts, e.at)
			}
		}
		for j, at := range starts {
			n := 0
			for _, next := range starts[j:] {
				if next <= at+10*time.Second {
					n++
				}
			}
			most = max(most, n)
		}
	}
	return (maxStrangers + most*strangersAtOnce) * p.floods
}

// starts reports whether an event starts a node, or starts it again.
func (e event) starts(node string) bool {
	action, rest, _ := strings.Cut(e.text, ":")
	if action != "start" && action != "clock" || strings.Contains(rest, "running") {
		return false
	}
	return slices.Contains(strings.FieldsFunc(rest, func(r rune) bool { return strings.ContainsRune(" ,[]", r) }), node)
}
