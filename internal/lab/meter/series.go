// Package meter measures what an application would see of a network: packets sent at a steady beat, each numbered and
// timed, and TCP transfers.
//
// The outage that it reports is that of a receiver who expects a packet every interval T: the longest time between two
// successive arrivals, less T. Packets sent at 0, T, 2T, … over a path of constant delay arrive T apart and have an
// outage of 0; if k packets in a row are lost it is k·T, and so it is if they are not lost but held up for as long.
// Moving to a path that is d slower adds d, once. The resolution is T.
//
//	sent     │ │ │ │ │ │ │ │ │ │
//	arrived    │ │ │         │ │
//	                ◀─T─▶◀──▶ outage
//
// Arrivals are stamped by the kernel as the packet comes in, so that a receiver that is late to run does not count.
package meter

import (
	"slices"
	"time"
)

// Never stands for the arrival of a packet that did not arrive.
const Never = time.Duration(-1)

// Series is what became of the packets of one flow, all times being since one common moment.
type Series struct {
	Every      time.Duration
	Sent       []time.Duration // in order
	Arrived    []time.Duration // the first arrival of each packet, or Never
	Duplicates int             // further arrivals
	Reordered  int             // first arrivals after that of a later packet
	Refused    int             // packets that the sender's own kernel did not take; they count as lost too
}

// Outage is the longest time without a delivery.
type Outage struct {
	Length time.Duration // beyond the interval at which packets are sent
	Lost   int           // packets sent meanwhile that never arrived
	From   time.Duration // the last arrival before
	To     time.Duration // the first one after
	Open   bool          // there was none after: To is only the end of the window
}

// Outage is the longest outage that overlaps the window [from, to].
func (s Series) Outage(from, to time.Duration) Outage {
	type arrival struct {
		at     time.Duration
		number int
	}
	var arrivals []arrival
	for i, at := range s.Arrived {
		if at != Never {
			arrivals = append(arrivals, arrival{at, i})
		}
	}
	slices.SortStableFunc(arrivals, func(a, b arrival) int { return int(a.at - b.at) })

	var longest Outage
	consider := func(o Outage) {
		o.Length = max(0, o.To-o.From-s.Every)
		if o.To >= from && o.From <= to && (o.Length > longest.Length || longest.To == 0) {
			longest = o
		}
	}
	previous := arrival{at: from, number: -1}
	if len(s.Sent) > 0 {
		previous.at = max(from, s.Sent[0])
	}
	for _, next := range arrivals {
		consider(Outage{From: previous.at, To: next.at, Lost: s.lostBetween(previous.number, next.number)})
		previous = next
	}
	if len(s.Sent) > 0 && s.Sent[len(s.Sent)-1] > previous.at || len(arrivals) == 0 {
		consider(Outage{From: previous.at, To: to, Lost: s.lostBetween(previous.number, len(s.Sent)), Open: true})
	}
	return longest
}

// lostBetween counts the packets between two numbers that never arrived.
func (s Series) lostBetween(a, b int) int {
	lost := 0
	for i := a + 1; i < b; i++ {
		if s.Arrived[i] == Never {
			lost++
		}
	}
	return lost
}

// Loss counts the packets sent in the window [from, to), and those of them that never arrived.
func (s Series) Loss(from, to time.Duration) (sent, lost int) {
	for i, at := range s.Sent {
		if at < from || at >= to {
			continue
		}
		sent++
		if s.Arrived[i] == Never {
			lost++
		}
	}
	return sent, lost
}

// First is the time from a moment to the first arrival after it; false if there was none.
func (s Series) First(from time.Duration) (time.Duration, bool) {
	first, found := time.Duration(0), false
	for _, at := range s.Arrived {
		if at != Never && at >= from && (!found || at < first) {
			first, found = at, true
		}
	}
	return first - from, found
}

// Delays are the one-way delays of the packets sent in the window [from, to) that arrived, in ascending order.
func (s Series) Delays(from, to time.Duration) []time.Duration {
	var delays []time.Duration
	for i, at := range s.Sent {
		if at >= from && at < to && s.Arrived[i] != Never {
			delays = append(delays, s.Arrived[i]-at)
		}
	}
	slices.Sort(delays)
	return delays
}

// Late is how much later than its beat the latest packet was sent: the error of the sender.
func (s Series) Late() time.Duration {
	var late time.Duration
	for i, at := range s.Sent {
		late = max(late, at-s.Sent[0]-time.Duration(i)*s.Every)
	}
	return late
}

// Quantile is the smallest value that at least the share q (0 to 1) of the sorted values does not exceed (the nearest
// rank); zero if there are none.
func Quantile[T any](sorted []T, q float64) T {
	if len(sorted) == 0 {
		var zero T
		return zero
	}
	rank := int(q*float64(len(sorted)) + 0.999999)
	return sorted[min(max(rank, 1), len(sorted))-1]
}
