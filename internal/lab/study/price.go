package study

import (
	"time"

	"overlayd/internal/lab/matrix"
	"overlayd/internal/wire"
	"overlayd/pathselect"
)

// priceOf is the price that an algorithm asks of a path that loses nothing and does not vary.
func priceOf(a pathselect.Algorithm) matrix.Price {
	paths := []pathselect.Path{{ID: 1, State: pathselect.Up}}
	var ranked []pathselect.Ranked
	via := make([]wire.NodeID, wire.MaxRelays)
	return func(rtt time.Duration, relays int) float64 {
		p := &paths[0]
		p.Via, p.RTT, p.RecentRTT, p.MinRTT = via[:relays], rtt, rtt, rtt
		ranked = a.Rank(ranked[:0], pathselect.Request{Paths: paths})
		return ranked[0].Cost.Total
	}
}
