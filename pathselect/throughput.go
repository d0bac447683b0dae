package pathselect

import (
	"math"
	"slices"

	"overlayd/internal/wire"
)

// Throughput prices a path by how long it takes to move a megabyte:
//
//	cost = RTT + 1 MB / min(PFTK, rate)
//
// PFTK is the throughput of TCP by J. Padhye, V. Firoiu, D. Towsley, J. Kurose, SIGCOMM 1998, equation 32, in packets a
// second:
//
//	min( W / RTT,  1 / (RTT · sqrt(2bp/3) + T0 · min(1, 3·sqrt(3bp/8)) · p · (1 + 32p²)) )        b = 2
//
// and rate is the greatest rate at which data was seen to be delivered while data waited (Path.Rate). Nobody knows the
// rate of a path that was not used lately; it is taken for as fast as the fastest known, so that a path is left for what
// was measured of it, not for a promise.
func Throughput() Algorithm { return throughput{} }

type throughput struct{}

const (
	segment   = 1360            // bytes, in a packet of 1400
	window    = 4 << 20         // bytes that a receiver lets be under way: what Linux grows to by itself
	transfer  = 1e6             // bytes
	unlimited = math.MaxFloat64 // bytes a second
)

// Name is "throughput".
func (throughput) Name() string { return "throughput" }

// Summary says what the algorithm prefers.
func (throughput) Summary() string { return "the time that a megabyte takes" }

// Rank orders the paths by the time of a transfer.
func (t throughput) Rank(dst []Ranked, r Request) []Ranked {
	fastest := 0.0
	for i := range r.Paths {
		fastest = max(fastest, r.Paths[i].Rate)
	}
	a := Priced(t.Name(), t.Summary(), func(p *Path, _ wire.TrafficClass) Cost {
		c := Cost{Terms: make([]Term, 0, 5)}
		c.add("rtt", millis(p.RTT))
		rate := p.Rate
		if rate == 0 {
			rate = fastest
		}
		if rate == 0 {
			rate = unlimited
		}
		if model := tcpRate(p); model <= rate {
			c.add("tcp", transfer/model*1000)
		} else {
			c.add("rate", transfer/rate*1000)
		}
		return c
	})
	return a.Rank(slices.Grow(dst, len(r.Paths)), r)
}

// tcpRate is the rate of TCP on a path in bytes a second, in the PFTK model.
func tcpRate(p *Path) float64 {
	rtt, t0 := max(p.RTT.Seconds(), 1e-4), timeout(p).Seconds()
	most := window / rtt
	lost := min(p.LossOutLow, 1)
	if lost < lossNegligible {
		return most
	}
	return min(most, segment/(rtt*math.Sqrt(2*pftkAckedBy*lost/3)+t0*timeouts(lost)))
}
