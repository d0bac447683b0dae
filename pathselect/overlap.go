package pathselect

import (
	"math"
	"time"

	"overlayd/internal/wire"
)

const (
	sharedRelay  = 4 // weight of a relay that two paths share, or of both being direct
	sharedLosses = 3 // of losing packets at the same moments
	sharedUplink = 1 // of the way out of this node

	jointWithin   = 500 * time.Millisecond // losses of two paths that are no further apart count as one
	jointEnough   = 2.5                    // such losses, decayed, that make two paths lose together
	jointHalfLife = 2 * time.Minute
)

// joint counts the moments at which two paths lost packets together; it decays.
type joint struct {
	n  float64
	at time.Time
}

func (j joint) now(t time.Time) float64 {
	if j.n == 0 {
		return 0
	}
	return j.n * math.Exp2(-float64(t.Sub(j.at))/float64(jointHalfLife))
}

// lostNow notes that a path has just lost something, and which others have as well: what two paths through different
// relays lose at the same moment, they lose where they meet, which no list of relays tells.
func (s *Selector) lostNow(c *candidate) {
	for _, other := range s.list {
		if other == c || other.LastLoss.IsZero() || c.LastLoss.Sub(other.LastLoss).Abs() > jointWithin {
			continue
		}
		for _, pair := range [2][2]*candidate{{c, other}, {other, c}} {
			if pair[0].joint == nil {
				pair[0].joint = make(map[wire.PathID]joint)
			}
			old := pair[0].joint[pair[1].ID]
			pair[0].joint[pair[1].ID] = joint{old.now(s.now) + 1, s.now}
		}
	}
}

// overlap is how much two paths have in common that may fail; zero if nothing is known.
func (s *Selector) overlap(a, b *candidate) int {
	n := sharedRelay * shared(&a.Path, &b.Path)
	if a.Uplink == b.Uplink {
		n += sharedUplink
	}
	if a.joint[b.ID].now(s.now) >= jointEnough {
		n += sharedLosses
	}
	return n
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
