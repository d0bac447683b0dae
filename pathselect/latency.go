package pathselect

import (
	"time"

	"overlayd/internal/wire"
)

// Latency prices a path by the time that a packet and its answer take, those included that have to be sent again:
//
//	cost = RTT + p / (1 - p) · RTO        RTO = RTT + max(4 · deviation, 200 ms)
//
// p/(1-p) is how many times a packet has to be repeated on the average. The timeout is that of RFC 6298 with the least
// value that Linux uses (TCP_RTO_MIN).
func Latency() Algorithm {
	return Priced("latency", "the time until an answer arrives, repeats included", func(p *Path, _ wire.TrafficClass) Cost {
		c := Cost{Terms: make([]Term, 0, 5)}
		c.add("rtt", millis(p.RTT))
		lost := min(p.LossOutLow, mostLoss)
		c.add("repeats", lost/(1-lost)*millis(timeout(p)))
		return c
	})
}

const (
	mostLoss     = 0.99
	leastTimeout = 200 * time.Millisecond
)

func timeout(p *Path) time.Duration { return p.RTT + max(4*p.Deviation, leastTimeout) }
