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

	LastLoss time.Time // when a loss, or an answer that is overdue, was last seen; zero: never
	Rate     float64   // at which data was delivered while data waited, in bytes a second; zero: not known

	Uplink     Uplink  // of this node, that the path leaves by; empty if it has but one
	Load       float64 // of the busiest relay, 0 to 1, as that relay says
	Quarantine string  // why a relay of it is in quarantine; empty if none is

	Doubtful bool   // the latest data has not arrived, or none ever has
	Unproven string // why it is not known to pass data where another path does not; empty if it is, or if all do
	Blocked  string // why it does not carry what is sent although it answers probes; empty if it does
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
