package pathselect

import (
	"cmp"
	"slices"
	"time"

	"overlayd/internal/wire"
)

// Cost is the price of a path in milliseconds, and what it is made of.
type Cost struct {
	Total float64
	Terms []Term // their values add up to Total
}

// Term is one part of a cost, in milliseconds.
type Term struct {
	Name  string
	Value float64
}

// add adds a part, unless it is nothing.
func (c *Cost) add(name string, ms float64) {
	if ms != 0 {
		c.Terms = append(c.Terms, Term{name, ms})
		c.Total += ms
	}
}

// Request is what an Algorithm is asked: which of these paths, for this traffic, under these wishes?
type Request struct {
	Paths  []Path
	Class  wire.TrafficClass
	Policy *Policy // nil: no wishes
}

// Ranked is a path in its place, and why it has it.
type Ranked struct {
	ID   wire.PathID
	Cost Cost
	Bar  string // why the path is used only if no other works; empty if it is not barred
	Hard bool   // it is not even used then
}

// Algorithm orders the paths to one peer. It is pure, and remembers nothing: the same request always gets the same
// answer, so that any algorithm can be run beside the one in use, on recorded measurements, and for a question such as
// "what if". What to do about the order, and when, is the Selector's.
type Algorithm interface {
	// Name is what configuration and explanations call the algorithm.
	Name() string
	// Summary says what the algorithm prefers, in a few words for a help text.
	Summary() string
	// Rank appends all paths of the request to dst, the best first, and returns it. Costs are comparable among the
	// paths of one request; of a path that neither is up nor suspect the cost means nothing.
	Rank(dst []Ranked, r Request) []Ranked
}

// Price is the cost of one path for a class of traffic, without what the policy, the load of relays and the price of
// relays add to it.
type Price func(p *Path, class wire.TrafficClass) Cost

// Priced is the algorithm that orders paths by a price. What is the same for all such algorithms is added here: each
// relay costs 2 ms, since it spends somebody else's bandwidth, and more the more loaded it is; wishes cost or save what
// the Policy says; barred paths come last.
func Priced(name, summary string, price Price) Algorithm { return priced{name, summary, price} }

type priced struct {
	name, summary string
	price         Price
}

// Name is the algorithm's name.
func (a priced) Name() string { return a.name }

// Summary says what the algorithm prefers.
func (a priced) Summary() string { return a.summary }

// Rank orders the paths by whether they are barred, then by cost.
func (a priced) Rank(dst []Ranked, r Request) []Ranked {
	from := len(dst)
	for i := range r.Paths {
		p := &r.Paths[i]
		c := a.price(p, r.Class)
		c.add("relays", perRelay*float64(len(p.Via)))
		c.add("load", LoadCost(p.Load))
		r.Policy.price(p, &c)
		bar, strict := barOf(p, r.Policy)
		dst = append(dst, Ranked{ID: p.ID, Cost: c, Bar: bar, Hard: strict})
	}
	slices.SortStableFunc(dst[from:], func(x, y Ranked) int {
		return cmp.Or(compareBool(x.Hard, y.Hard), compareBool(x.Bar != "", y.Bar != ""),
			cmp.Compare(x.Cost.Total, y.Cost.Total), cmp.Compare(x.ID, y.ID))
	})
	return dst
}

// barOf is why a path is used only if no other works, or strictly not even then: because of a rule, since it does not carry
// what is sent, or since a relay of it is in quarantine; empty if it is used freely.
func barOf(p *Path, policy *Policy) (why string, strict bool) {
	e, excluded := policy.Excludes(p.Via)
	switch {
	case excluded && e.Strict, excluded && p.Blocked == "":
		return cmp.Or(e.Why, "a rule excludes it"), e.Strict
	case p.Blocked != "":
		return p.Blocked, false
	}
	return p.Quarantine, false
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	default:
		return 1
	}
}

const (
	perRelay    = 2.0 // ms
	loadedWait  = 2.0 // ms that a packet waits at a relay of which half is in use
	fullestLoad = 0.95
)

// LoadCost is what the load of the busiest relay of a path costs in ms. It grows as the waiting time of an M/M/1 queue
// does, load / (1 - load) (L. Kleinrock, "Queueing Systems", vol. 1, 1975, eq. 3.26), so that little is given for a
// relay that has room, and much to stay away from one that has none.
func LoadCost(load float64) float64 {
	load = min(max(load, 0), fullestLoad)
	return loadedWait * load / (1 - load)
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
