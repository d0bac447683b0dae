package node

import (
	"maps"
	"time"

	"overlayd/internal/wire"
)

// hearsay is by how much longer the ways over a relay turned out to be than was told: who is said to be near to everybody
// and is of no use would else be tried with each other relay in turn. The entry of a relay is what its best way shows, since
// one bad way may be the fault of another relay on it.
type hearsay map[wire.NodeID]excess

type excess struct {
	by time.Duration // not negative
	at time.Time
}

const (
	maxHearsay  = 1024
	hearsayFor  = 10 * time.Minute
	hearsaySlip = 10 * time.Millisecond // that what is told may differ without being wrong
)

// learn compares what was measured of a way over some relays with what was told of it.
func (h hearsay) learn(now time.Time, via []wire.NodeID, told, measured time.Duration) {
	rest, unknown := measured-told-hearsaySlip, 0
	for _, id := range via {
		if known, ok := h[id]; ok && len(via) > 1 {
			rest -= known.by
		} else {
			unknown++
		}
	}
	for _, id := range via {
		share := max(rest, 0) / time.Duration(max(unknown, 1))
		known, ok := h[id]
		switch {
		case !ok && len(h) < maxHearsay, len(via) == 1:
			h[id] = excess{share, now}
		case ok && rest < 0: // the way is better than feared
			h[id] = excess{max(known.by+rest, 0), now}
		}
	}
}

// of is what to add to what is told of a way over some relays.
func (h hearsay) of(via []wire.NodeID) (sum time.Duration) {
	for _, id := range via {
		sum += h[id].by
	}
	return sum
}

// forget drops what is old: links change.
func (h hearsay) forget(now time.Time) {
	maps.DeleteFunc(h, func(_ wire.NodeID, e excess) bool { return now.Sub(e.at) > hearsayFor })
}
