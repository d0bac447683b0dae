package node

import (
	"time"

	"overlayd/internal/wire"
)

// Lines in the log and the journal about one peer, and about all: a second, and at once. Whoever lets its paths come and go
// could fill the disk otherwise.
const (
	reportsOfPeer, reportsOfPeerAtOnce = 0.5, 30
	reportsOfAll, reportsOfAllAtOnce   = 5, 300
)

// reports bounds what is written about peers.
type reports struct {
	peers map[wire.NodeID]*bucket
	total bucket
	left  uint64 // lines that were not written
}

func newReports() reports {
	return reports{
		peers: make(map[wire.NodeID]*bucket), total: bucket{rate: reportsOfAll, depth: reportsOfAllAtOnce},
	}
}

// leavesOut reports whether an output is one too many to be written.
func (r *reports) leavesOut(now time.Time, out Output) bool {
	var about wire.NodeID
	switch out := out.(type) {
	case Switched:
		about = out.ID
	case PathChanged:
		if !out.Notable {
			return false // for the log of who debugs
		}
		about = out.ID
	default:
		return false
	}
	b := r.peers[about]
	if b == nil {
		r.forget(now)
		b = &bucket{rate: reportsOfPeer, depth: reportsOfPeerAtOnce}
		r.peers[about] = b
	}
	if b.take(now) && r.total.take(now) {
		return false
	}
	r.left++
	return true
}

// forget drops the buckets that are full again, when there are many.
func (r *reports) forget(now time.Time) {
	if len(r.peers) < 1024 {
		return
	}
	for id, b := range r.peers {
		if b.peek(now) >= b.depth {
			delete(r.peers, id)
		}
	}
}
