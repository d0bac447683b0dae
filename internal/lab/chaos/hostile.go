package chaos

import (
	"fmt"
	"time"
)

// hostile draws one hostile member, or some that do the same.
func (p *plan) hostile() {
	alone := []string{"drops-data", "delays-data", "deflects", "replays", "forges"}
	switch kind := p.random.IntN(len(alone) + 6); kind {
	default:
		p.turns("hostile", alone[kind])
	case 5, 6:
		p.some(2, "opens-circuits")
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

// slander makes up to three members tell the same of an honest relay. They are sent data by it, since links to some are
// cut, and it is needed by two honest nodes. Some of them drop what they relay besides.
func (p *plan) slander() {
	relay := p.any(true)
	at := calm + time.Second
	sever := func(id string, a, b int) {
		p.change(at, id+"-cut", setCut([][2]int{{a, b}, {b, a}}, true), "cut: %s -- %s", name(a), name(b))
		p.flows = append(p.flows, flow{min(a, b), max(a, b), 128})
	}
	for i := range 1 + p.random.IntN(3) {
		id := fmt.Sprintf("hostile%d", i+1)
		liar := p.any(false)
		if liar == 0 || liar == relay {
			continue
		}
		p.nodes[liar].hostile, p.nodes[liar].untouched = true, true
		p.add(p.between(calm, calm+p.For/2), id, "hostile: %s, does: slanders, about: %s", name(liar), name(relay))
		if p.chance(.4) {
			p.add(calm+p.For, id+"-drops", "hostile: %s, does: drops-data", name(liar))
		}
		if other := p.honest(relay); !p.nodes[other].revoked {
			sever(id, liar, other)
		}
	}
	if a, b := p.honest(relay), p.honest(relay); a != b {
		sever("hostile", a, b)
	}
}

// honest is a node that is not hostile, nor one of those given.
func (p *plan) honest(but int) int {
	for {
		if i := p.random.IntN(len(p.nodes)); i != but && !p.nodes[i].hostile {
			return i
		}
	}
}
