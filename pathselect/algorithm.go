package pathselect

import (
	"cmp"
	"math"
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
func Priced(name string, price Price) Algorithm { return priced{name, price} }

type priced struct {
	name  string
	price Price
}

// Name is the algorithm's name.
func (a priced) Name() string { return a.name }

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

// Lookup finds an algorithm by its name.
func Lookup(name string) (Algorithm, bool) {
	for _, a := range All() {
		if a.Name() == name {
			return a, true
		}
	}
	return nil, false
}

// All are the algorithms there are, the default one first.
func All() []Algorithm {
	return []Algorithm{Balanced(), Latency(), Loss(), Throughput(), Direct()}
}

// Names are the names of All.
func Names() []string {
	var names []string
	for _, a := range All() {
		names = append(names, a.Name())
	}
	return names
}

// Balanced prices a path for traffic of all kinds:
//
//	cost = RTT + deviation + loss penalty
//
// The deviation stands for what a receiver must wait to smooth the jitter out. The loss penalty is the time that TCP
// loses to retransmission timeouts per packet, by J. Padhye, V. Firoiu, D. Towsley, J. Kurose, "Modeling TCP
// Throughput: A Simple Model and its Empirical Validation", SIGCOMM 1998, equation 30:
//
//	penalty = T0 · min(1, 3·sqrt(3bp/8)) · p · (1 + 32p²)        b = 2, T0 = 3 s
//
// where p is the loss rate that is exceeded with confidence, so that a few lost probes are not 10%. It is the shape
// that is wanted: some loss is a nuisance, much of it makes a path useless. 1% costs 8 ms, 2% 22 ms, 5% 94 ms,
// 10% 0.33 s, 30% 3.5 s. T0 is the initial timeout of RFC 1122; a smaller one would make 30% worth less than a detour
// through another continent.
func Balanced() Algorithm {
	return Priced("balanced", func(p *Path, _ wire.TrafficClass) Cost {
		c := Cost{Terms: make([]Term, 0, 6)}
		c.add("rtt", millis(p.RTT))
		c.add("jitter", millis(p.Deviation))
		c.add("loss", lossPenalty(p.LossOutLow))
		return c
	})
}

// Latency prices a path by the time that a packet and its answer take, those included that have to be sent again:
//
//	cost = RTT + p / (1 - p) · RTO        RTO = RTT + max(4 · deviation, 200 ms)
//
// p/(1-p) is how many times a packet has to be repeated on the average. The timeout is that of RFC 6298 with the least
// value that Linux uses (TCP_RTO_MIN).
func Latency() Algorithm {
	return Priced("latency", func(p *Path, _ wire.TrafficClass) Cost {
		c := Cost{Terms: make([]Term, 0, 5)}
		c.add("rtt", millis(p.RTT))
		lost := min(p.LossOutLow, mostLoss)
		c.add("repeats", lost/(1-lost)*millis(timeout(p)))
		return c
	})
}

// Loss prices a path by what it loses; the delay hardly counts:
//
//	cost = 100 ms for each percent + (RTT + deviation) / 10
func Loss() Algorithm {
	return Priced("loss", func(p *Path, _ wire.TrafficClass) Cost {
		c := Cost{Terms: make([]Term, 0, 5)}
		c.add("loss", 100*100*p.LossOutLow)
		c.add("delay", millis(p.RTT+p.Deviation)/10)
		return c
	})
}

// Direct prices every relay at a second, so that relays are used only where the direct path does not work.
func Direct() Algorithm {
	return Priced("direct", func(p *Path, _ wire.TrafficClass) Cost {
		c := Cost{Terms: make([]Term, 0, 5)}
		c.add("rtt", millis(p.RTT))
		c.add("detour", 1000*float64(len(p.Via)))
		return c
	})
}

const (
	pftkTimeout    = 3 * time.Second
	pftkAckedBy    = 2.0 // b: packets that one acknowledgement covers
	lossNegligible = 1e-6
	mostLoss       = 0.99
	leastTimeout   = 200 * time.Millisecond
)

func timeout(p *Path) time.Duration { return p.RTT + max(4*p.Deviation, leastTimeout) }

// lossPenalty is the timeout term of the PFTK model in milliseconds.
func lossPenalty(p float64) float64 {
	if p < lossNegligible {
		return 0
	}
	p = min(p, 1)
	return millis(pftkTimeout) * timeouts(p)
}

// timeouts is the part of packets that wait for a timeout, in the PFTK model.
func timeouts(p float64) float64 {
	return min(1, 3*math.Sqrt(3*pftkAckedBy*p/8)) * p * (1 + 32*p*p)
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
