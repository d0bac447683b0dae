package chaos

import (
	"fmt"
	"strings"
	"time"

	"overlayd/internal/lab/wan"
)

// fault is one kind of fault: it adds its events, which begin at a time and, if it does not last, are over at another.
type fault struct {
	weight int
	real   bool // it can be done to daemons
	draw   func(p *plan, id string, at, over time.Duration)
}

// faults are the kinds of faults.
var faults = []fault{
	{4, true, (*plan).kill},
	{1, true, (*plan).killMany},
	{3, true, (*plan).cut},
	{1, true, (*plan).split},
	{5, true, (*plan).blackHole},
	{2, true, (*plan).lossy},
	{2, true, (*plan).move},
	{2, true, (*plan).clone},
	{2, true, (*plan).disk},
	{2, false, (*plan).clock},
	{2, false, (*plan).clockRuns},
}

// drawFaults draws what happens: first who is revoked and who is hostile, since nothing else is done to them and who
// revokes must be there.
func (p *plan) drawFaults() {
	if p.chance(.6) {
		p.revoke()
	}
	if p.chance(.75) {
		p.hostile()
	}
	total := 0
	for _, f := range faults {
		if f.real || !p.Real {
			total += f.weight
		}
	}
	for i := range p.Faults {
		at := p.between(calm, calm+p.For)
		over := min(at+p.between(time.Second, 12*time.Second), calm+p.For+12*time.Second)
		roll := p.random.IntN(total)
		for _, f := range faults {
			if !f.real && p.Real {
				continue
			}
			if roll -= f.weight; roll < 0 {
				f.draw(p, fmt.Sprintf("f%d", i+1), at, over)
				break
			}
		}
	}
}

func (p *plan) revoke() {
	i := 1 + p.random.IntN(len(p.nodes)-1)
	p.nodes[i].revoked, p.nodes[i].untouched = true, true
	p.nodes[0].untouched = true
	p.add(p.between(calm, calm+p.For), "revoked", "revoke: %s, by: %s", name(i), name(0))
}

func (p *plan) kill(id string, at, over time.Duration) {
	i := p.any(false)
	p.add(at, id+"-kill", "kill: %s", name(i))
	p.add(over, id+"-start", "start: %s", name(i))
}

func (p *plan) killMany(id string, at, over time.Duration) {
	var all []string
	for _, i := range p.random.Perm(len(p.nodes))[:len(p.nodes)/2] {
		if !p.nodes[i].untouched {
			all = append(all, name(i))
		}
	}
	if len(all) == 0 {
		return
	}
	p.add(at, id+"-kill", "kill: [%s]", strings.Join(all, ", "))
	p.add(over, id+"-start", "start: [%s]", strings.Join(all, ", "))
}

// pair names a link or one direction of it, and gives the directions.
func (p *plan) pair() (text string, directions [][2]int) {
	a, b := p.two()
	if p.chance(.3) {
		return name(a) + " -> " + name(b), [][2]int{{a, b}}
	}
	return name(a) + " -- " + name(b), [][2]int{{a, b}, {b, a}}
}

// lasts reports whether a broken link stays broken.
func (p *plan) lasts() bool { return p.chance(.4) }

func (p *plan) cut(id string, at, over time.Duration) {
	text, directions := p.pair()
	p.change(at, id+"-cut", setCut(directions, true), "cut: %s", text)
	if !p.lasts() {
		p.change(over, id+"-restore", setCut(directions, false), "restore: %s", text)
	}
}

// setCut is what a cut, or its end, does to links.
func setCut(directions [][2]int, cut bool) func(*plan) {
	return func(p *plan) {
		for _, d := range directions {
			p.links[d].cut = cut
		}
	}
}

func (p *plan) split(id string, at, over time.Duration) {
	all := p.random.Perm(len(p.nodes))
	var groups [2][]string
	var severed [][2]int
	for i, n := range all {
		groups[i%2] = append(groups[i%2], name(n))
		for j, m := range all {
			if i%2 != j%2 {
				severed = append(severed, [2]int{n, m})
			}
		}
	}
	lists := fmt.Sprintf("[[%s], [%s]]", strings.Join(groups[0], ", "), strings.Join(groups[1], ", "))
	p.change(at, id+"-split", setCut(severed, true), "split: %s", lists)
	p.change(over, id+"-heal", setCut(severed, false), "heal: %s-split", id)
}

// hole is a black hole.
type hole struct {
	text   string
	filter wan.Filter
}

var holes = []hole{
	{"types: 4", wan.Filter{Contents: wan.Of(wan.Transport)}},
	{"types: [1, 2, 3, 4]", wan.Filter{Contents: wan.Of(wan.Initiation, wan.Response, wan.Cookie, wan.Transport)}},
	{"types: [1, 2]", wan.Filter{Contents: wan.Of(wan.Initiation, wan.Response)}},
	{"larger: 1200", wan.Filter{Larger: 1200}},
	{"larger: 1250, icmp: true", wan.Filter{Larger: 1250, Contents: wan.Of(wan.ICMPError)}},
	{"labels: true", wan.Filter{Contents: wan.Of(wan.Labeled)}},
	{"control: true", wan.Filter{Contents: wan.Of(wan.Control)}},
	{"udp: true", wan.Filter{Contents: wan.AllUDP}},
}

func (p *plan) blackHole(id string, at, over time.Duration) {
	text, directions := p.pair()
	h := holes[p.random.IntN(len(holes))]
	families := []wan.Family{wan.IPv4, wan.IPv6}
	family := ""
	if p.chance(.4) {
		f := families[p.random.IntN(2)]
		families, family = []wan.Family{f}, ", family: "+[]string{"ipv4", "ipv6"}[f]
	}
	p.change(at, id+"-drop", setDrop(directions, families, h.filter), "set: %s, drop: {%s%s}", text, h.text, family)
	if !p.lasts() {
		both := []wan.Family{wan.IPv4, wan.IPv6}
		p.change(over, id+"-pass", setDrop(directions, both, wan.Filter{}), "set: %s, drop: none", text)
	}
}

// setDrop is what a black hole, or its end, does to links.
func setDrop(directions [][2]int, families []wan.Family, filter wan.Filter) func(*plan) {
	return func(p *plan) {
		for _, d := range directions {
			for _, f := range families {
				p.links[d].drop[f] = filter
			}
		}
	}
}

func (p *plan) lossy(id string, at, over time.Duration) {
	text, _ := p.pair()
	p.add(at, id+"-loss", "set: %s, loss: %d%%, jitter: %v", text, 5+p.random.IntN(60), p.between(0, 20*time.Millisecond))
	p.add(over, id+"-clean", "set: %s, loss: 0%%, jitter: 0s", text)
}

func (p *plan) move(id string, at, _ time.Duration) {
	p.add(at, id+"-move", "move: %s", name(p.any(true)))
}

func (p *plan) clone(id string, at, over time.Duration) {
	if p.spares == maxSpares {
		return
	}
	i := p.any(false)
	on := spare(p.spares)
	p.spares++
	p.add(at, id+"-clone", "clone: %s, on: %s", name(i), on)
	p.add(over, id+"-end", "kill: %s", on)
}

// maxSpares is how many sites there are at most where clones run.
const maxSpares = 3

func (p *plan) disk(id string, at, over time.Duration) {
	i := p.any(false)
	is := []string{"full", "read-only"}[p.random.IntN(2)]
	p.add(at, id+"-disk", "disk: %s, is: %s", name(i), is)
	if p.chance(.5) {
		middle := (at + over) / 2
		p.add(middle, id+"-kill", "kill: %s", name(i))
		p.add(middle+500*time.Millisecond, id+"-start", "start: %s", name(i))
	}
	p.add(max(over, (at+over)/2+time.Second), id+"-well", "disk: %s, is: well", name(i))
}

// shift is by how much a clock is wrong.
func (p *plan) shift() time.Duration {
	by := []time.Duration{time.Hour, 26 * time.Hour, 9 * 24 * time.Hour, 35 * 24 * time.Hour, 100 * 24 * time.Hour}[p.random.IntN(5)]
	if p.chance(.5) {
		return -by
	}
	return by
}

func (p *plan) clock(id string, at, over time.Duration) {
	i, by := p.any(false), p.shift()
	p.add(at, id+"-clock", "clock: %s, by: %v", name(i), by)
	p.add(over, id+"-right", "clock: %s, by: %v", name(i), -by)
}

// clockRuns sets the clock of a node that runs, and at times to the other side before it is put right.
func (p *plan) clockRuns(id string, at, over time.Duration) {
	i, by := p.any(false), p.shift()
	p.add(at, id+"-step", "clock: %s, by: %v, running: true", name(i), by)
	if p.chance(.5) {
		p.add((at+over)/2, id+"-swing", "clock: %s, by: %v, running: true", name(i), -2*by)
		by = -by
	}
	p.add(over, id+"-right", "clock: %s, by: %v, running: true", name(i), -by)
}
