package pathselect

import (
	"math"
	"time"
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

// Algorithm prices paths. It is pure: the same path always costs the same, so that any algorithm can be run beside
// the one in use and on recorded measurements.
type Algorithm interface {
	// Name is what configuration and explanations call the algorithm.
	Name() string
	// Cost is the price of a path that is up or suspect. Lower is better.
	Cost(p Path) Cost
}

// Lookup finds an algorithm by its name.
func Lookup(name string) (Algorithm, bool) {
	for _, a := range []Algorithm{Balanced()} {
		if a.Name() == name {
			return a, true
		}
	}
	return nil, false
}

// Balanced prices a path for traffic of all kinds:
//
//	cost = RTT + deviation + loss penalty + 2 ms per relay
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
// through another continent. The price of relays is that of their owners' bandwidth, and breaks ties.
func Balanced() Algorithm { return balanced{} }

type balanced struct{}

const (
	perRelay       = 2.0 // ms
	pftkTimeout    = 3 * time.Second
	pftkAckedBy    = 2.0 // b: packets that one acknowledgement covers
	lossNegligible = 1e-6
)

// Name is "balanced".
func (balanced) Name() string { return "balanced" }

// Cost prices a path.
func (balanced) Cost(p Path) Cost {
	c := Cost{Terms: make([]Term, 0, 4)}
	add := func(name string, ms float64) {
		if ms != 0 {
			c.Terms = append(c.Terms, Term{name, ms})
			c.Total += ms
		}
	}
	add("rtt", millis(p.RTT))
	add("jitter", millis(p.Deviation))
	add("loss", lossPenalty(p.LossOutLow))
	add("relays", perRelay*float64(len(p.Via)))
	return c
}

// lossPenalty is the timeout term of the PFTK model in milliseconds.
func lossPenalty(p float64) float64 {
	if p < lossNegligible {
		return 0
	}
	p = min(p, 1)
	timeouts := min(1, 3*math.Sqrt(3*pftkAckedBy*p/8))
	return millis(pftkTimeout) * timeouts * p * (1 + 32*p*p)
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
