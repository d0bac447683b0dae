package pathselect

import (
	"time"

	"overlayd/internal/wire"
)

// State is what is known of a path.
type State uint8

// The states of a path.
const (
	Unknown State = iota // never answered
	Up                   // delivers
	Suspect              // an answer is overdue
	Dead                 // does not deliver
)

// String is the state in lower case.
func (s State) String() string {
	switch s {
	case Up:
		return "up"
	case Suspect:
		return "suspect"
	case Dead:
		return "dead"
	default:
		return "unknown"
	}
}

// Path is a path as it was measured. Losses are parts of the packets sent, 0 to 1, on the way to the peer.
type Path struct {
	ID    wire.PathID
	Via   []wire.NodeID // the relays in order; none on a direct path
	State State
	Since time.Time // of the state
	Why   string    // what brought the state, in words

	Samples   int           // in RTT, since the path came up
	RTT       time.Duration // smoothed
	RecentRTT time.Duration // median of the last few samples
	Deviation time.Duration // smoothed
	MinRTT    time.Duration // windowed minimum

	LossOut       float64
	LossOutLow    float64 // what LossOut surely exceeds
	LossRecent    float64 // LossOut of about the last second
	LossRecentLow float64 // what LossRecent surely exceeds
	LossProbes    int     // sample size of LossOut
}

// Direct reports whether the path has no relays.
func (p *Path) Direct() bool { return len(p.Via) == 0 }

// raw is the path with its latest figures instead of the smoothed ones. Of a loss that is certain over a longer time,
// lately it need only be seen.
func (p *Path) raw() Path {
	r := *p
	if r.RecentRTT > 0 {
		r.RTT = r.RecentRTT
	}
	r.LossOutLow = max(r.LossRecentLow, min(r.LossRecent, r.LossOutLow))
	return r
}

// shared is how many things that may fail two paths have in common: relays, or that both are direct.
func shared(a, b *Path) int {
	if a.Direct() && b.Direct() {
		return 1
	}
	n := 0
	for _, x := range a.Via {
		for _, y := range b.Via {
			if x == y {
				n++
			}
		}
	}
	return n
}
