package matrix

import (
	"math"
	"time"
)

// Price is what a path costs by its round-trip time and its number of relays. It must grow with either.
type Price func(rtt time.Duration, relays int) float64

// MaxRelays is the number of relays of the paths that an Oracle knows.
const MaxRelays = 2

// Oracle knows the cheapest path between every two nodes of a matrix, directly or through one or two others.
type Oracle struct {
	m     *Matrix
	price Price
	one   []detour // through exactly one relay
	best  []Route
}

// detour is the shortest way through one relay.
type detour struct {
	rtt time.Duration
	via int
}

// Route is a path through a matrix.
type Route struct {
	Via  []int // the relays; none for the direct path
	Cost float64
}

// never is longer than any path.
const never = time.Duration(math.MaxInt64 / 4)

// NewOracle finds all the best paths. It takes time that grows as the cube of the nodes: a second for a thousand.
//
// Of the paths with one number of relays the shortest is the cheapest, whatever the price. So there are two products of
// the matrix by itself, in which a plus is a minimum and a times is a plus, and the price decides among their results.
func NewOracle(m *Matrix, price Price) *Oracle {
	o := &Oracle{m: m, price: price, one: make([]detour, m.n*m.n), best: make([]Route, m.n*m.n)}
	for a := range m.n {
		product(m, a, m.row(a), o.one[a*m.n:(a+1)*m.n])
	}
	two := make([]detour, m.n)
	firsts := make([]time.Duration, m.n)
	for a := range m.n {
		one := o.one[a*m.n : (a+1)*m.n]
		for y := range one {
			firsts[y] = one[y].rtt
		}
		product(m, a, firsts, two)
		for b := range m.n {
			o.best[a*m.n+b] = o.choose(a, b, two[b])
		}
	}
	return o
}

// product extends ways from a, of known lengths, by one link each. A way that passes its end on the way is longer than
// what it contains, so it need not be excluded.
func product(m *Matrix, a int, lengths []time.Duration, into []detour) {
	for b := range into {
		into[b] = detour{rtt: never}
	}
	for x, length := range lengths {
		if x == a {
			continue
		}
		for b, rtt := range m.row(x) {
			if sum := length + rtt; sum < into[b].rtt && b != x {
				into[b] = detour{sum, x}
			}
		}
	}
}

func (o *Oracle) choose(a, b int, two detour) Route {
	best := Route{Cost: o.price(o.m.RTT(a, b), 0)}
	if a == b {
		return best
	}
	one := o.one[a*o.m.n+b]
	if cost := o.price(one.rtt, 1); cost < best.Cost {
		best = Route{Via: []int{one.via}, Cost: cost}
	}
	if cost := o.price(two.rtt, 2); cost < best.Cost {
		best = Route{Via: []int{o.one[a*o.m.n+two.via].via, two.via}, Cost: cost}
	}
	return best
}

// Best is the cheapest path from a to b.
func (o *Oracle) Best(a, b int) Route { return o.best[a*o.m.n+b] }

// Cost is that of a path from a through relays to b.
func (o *Oracle) Cost(a int, via []int, b int) float64 {
	return o.price(o.m.Along(a, via, b), len(via))
}

// Regret is by which part a path costs more than the best one.
func (o *Oracle) Regret(a int, via []int, b int) float64 {
	return o.Cost(a, via, b)/o.Best(a, b).Cost - 1
}
