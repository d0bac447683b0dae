package chaos

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"overlayd/internal/lab/wan"
)

// plan is what a seed comes to.
type plan struct {
	Options
	seed   uint64
	random *rand.Rand

	nodes  []node // the first one founds the network; it is behind no router and has both families
	spares int
	links  map[[2]int]*link // by direction
	events []event
	flows  []flow
	end    time.Duration // of the last fault
	floods int           // members that name the same addresses of others
}

// node is a member.
type node struct {
	nat       bool
	four, six bool
	docker    int
	revoked   bool
	hostile   bool
	untouched bool // nothing is done to it
}

// link is one direction: how it begins, and what is left of it in the end.
type link struct {
	rtt  time.Duration
	cut  bool
	drop [wan.Families]wan.Filter
}

// event is one line under events.
type event struct {
	name   string
	at     time.Duration
	text   string
	effect func(*plan) // on links; nil: none
}

// flow is traffic between two nodes, in both directions.
type flow struct {
	a, b int
	size int
	fast bool
}

func name(i int) string { return fmt.Sprintf("node-%d", i+1) }

func spare(i int) string { return fmt.Sprintf("spare-%d", i+1) }

// chance is true with a probability.
func (p *plan) chance(probability float64) bool { return p.random.Float64() < probability }

// between is a time from a to b, in whole milliseconds.
func (p *plan) between(a, b time.Duration) time.Duration {
	return a + time.Duration(p.random.Int64N(int64(b-a)/1e6+1))*time.Millisecond
}

func (p *plan) drawSites() {
	for i := range p.Nodes {
		n := node{four: true, six: true, docker: p.random.IntN(3)}
		switch kind := p.random.IntN(10); {
		case i == 0:
		case kind < 2:
			n.nat = true
		case kind == 2:
			n.six = false
		case kind == 3:
			n.four = false
		case kind == 4:
			n.docker = 11
		}
		p.nodes = append(p.nodes, n)
	}
}

func (p *plan) drawLinks() {
	p.links = make(map[[2]int]*link)
	for a := range p.Nodes {
		for b := range a {
			rtt := p.between(5*time.Millisecond, 90*time.Millisecond)
			p.links[[2]int{a, b}], p.links[[2]int{b, a}] = &link{rtt: rtt}, &link{rtt: rtt}
		}
	}
}

// any is a node that something may be done to; with public, one that is behind no router.
func (p *plan) any(public bool) int {
	for {
		i := p.random.IntN(len(p.nodes))
		if n := p.nodes[i]; !n.untouched && !(public && n.nat) {
			return i
		}
	}
}

// two are two different nodes.
func (p *plan) two() (a, b int) {
	all := p.random.Perm(len(p.nodes))
	return all[0], all[1]
}

// add puts an event on the time line.
func (p *plan) add(at time.Duration, name, format string, args ...any) {
	p.change(at, name, nil, format, args...)
}

// change puts an event on the time line that has an effect on links.
func (p *plan) change(at time.Duration, name string, effect func(*plan), format string, args ...any) {
	p.events = append(p.events, event{name, at, fmt.Sprintf(format, args...), effect})
	p.end = max(p.end, at)
}

// leaveOut takes faults away and leaves all else as it is: the end stays where it was.
func (p *plan) leaveOut() {
	p.events = slices.DeleteFunc(p.events, func(e event) bool {
		fault, _, _ := strings.Cut(e.name, "-")
		return slices.Contains(p.Without, fault)
	})
}

// settle lets all events have their effects, in the order of their times: what is broken then stays so.
func (p *plan) settle() {
	slices.SortStableFunc(p.events, func(a, b event) int { return int(a.at - b.at) })
	for _, e := range p.events {
		if e.effect != nil {
			e.effect(p)
		}
	}
}

// drawFlows lets some nodes talk, those at the ends of broken links among them, and revoked ones to others.
func (p *plan) drawFlows() {
	taken := make(map[[2]int]bool)
	for _, f := range p.flows {
		taken[[2]int{f.a, f.b}] = true
	}
	already := len(p.flows)
	add := func(a, b, size int) {
		if a > b {
			a, b = b, a
		}
		if a != b && !taken[[2]int{a, b}] {
			taken[[2]int{a, b}] = true
			p.flows = append(p.flows, flow{a: a, b: b, size: size})
		}
	}
	sizes := []int{128, 128, 1200}
	size := func() int { return sizes[p.random.IntN(len(sizes))] }
	for _, d := range p.broken() {
		if len(p.flows) < already+maxBroken {
			add(d[0], d[1], size())
		}
	}
	for range maxFlows - maxBroken {
		a, b := p.two()
		add(a, b, size())
	}
	for i, n := range p.nodes {
		if n.revoked {
			for range 2 {
				other := p.random.IntN(len(p.nodes))
				add(i, other, 128)
			}
		}
	}
}

// The numbers of flows: at the ends of links that stay broken, and in all but those of revoked nodes.
const (
	maxBroken = 5
	maxFlows  = 9
)

// broken are the directions that stay broken, in their order.
func (p *plan) broken() [][2]int {
	var all [][2]int
	for a := range p.nodes {
		for b := range p.nodes {
			if l := p.links[[2]int{a, b}]; l != nil && (l.cut || l.drop != [wan.Families]wan.Filter{}) {
				all = append(all, [2]int{a, b})
			}
		}
	}
	return slices.Clip(all)
}
