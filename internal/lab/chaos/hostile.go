package chaos

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// hostile draws one hostile member, or some that do the same. Nobody slanders among daemons.
func (p *plan) hostile() {
	alone := []string{"drops-data", "delays-data", "deflects", "replays", "forges"}
	kinds := len(alone) + 6
	if p.Real {
		kinds -= 2
	}
	switch kind := p.random.IntN(kinds); kind {
	default:
		p.turns("hostile", alone[kind])
	case 5, 6:
		p.some(2, "opens-circuits")
		for i := range 2 { // somebody needs another circuit among all those
			if a, b := p.honest(nil), p.honest(nil); a != b {
				p.sever(fmt.Sprintf("late%d", i+1), calm+p.For, a, b)
			}
		}
	case 7, 8:
		p.floods = p.some(2, "floods-addresses")
	case 9, 10:
		p.slander()
	}
}

// turns makes a member hostile, and returns which; zero, which never is, if it is spared.
func (p *plan) turns(event, does string) int {
	i := p.any(false)
	if i == 0 {
		return 0
	}
	p.nodes[i].hostile, p.nodes[i].untouched = true, true
	p.add(p.between(calm, calm+p.For), event, "hostile: %s, does: %s", name(i), does)
	return i
}

// some makes up to so many members hostile, and returns how many.
func (p *plan) some(most int, does string) (n int) {
	for i := range 1 + p.random.IntN(most) {
		if p.turns(fmt.Sprintf("hostile%d", i+1), does) != 0 {
			n++
		}
	}
	return n
}

// slander makes up to three members tell the same of three honest relays. They are sent data by those, since links to some
// are cut, and two honest nodes need them. Some of them drop what they relay besides.
func (p *plan) slander() {
	relays := []int{p.any(true)}
	for range 2 {
		if i := p.honest(relays); !p.nodes[i].nat && !p.nodes[i].revoked {
			relays = append(relays, i)
		}
	}
	about := make([]string, len(relays))
	for i, r := range relays {
		about[i] = name(r)
	}
	for i := range 1 + p.random.IntN(3) {
		id := fmt.Sprintf("hostile%d", i+1)
		liar := p.any(false)
		if liar == 0 || slices.Contains(relays, liar) {
			continue
		}
		p.nodes[liar].hostile, p.nodes[liar].untouched = true, true
		p.add(p.between(calm, calm+p.For), id, "hostile: %s, does: slanders, about: [%s]", name(liar), strings.Join(about, ", "))
		if p.chance(.4) {
			p.add(calm+p.For, id+"-drops", "hostile: %s, does: drops-data", name(liar))
		}
		if other := p.honest(relays); !p.nodes[other].revoked {
			p.sever(id, calm+time.Second, liar, other)
		}
	}
	if a, b := p.honest(relays), p.honest(relays); a != b {
		p.sever("hostile", calm+time.Second, a, b)
	}
}

// sever cuts the link of two nodes for good, and lets them talk.
func (p *plan) sever(id string, at time.Duration, a, b int) {
	p.change(at, id+"-cut", setCut([][2]int{{a, b}, {b, a}}, true), "cut: %s -- %s", name(a), name(b))
	p.flows = append(p.flows, flow{a: min(a, b), b: max(a, b), size: 128, fast: true})
}

// honest is a node that is not hostile, nor one of those given.
func (p *plan) honest(but []int) int {
	for {
		if i := p.random.IntN(len(p.nodes)); !slices.Contains(but, i) && !p.nodes[i].hostile {
			return i
		}
	}
}
