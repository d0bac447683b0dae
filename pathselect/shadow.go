package pathselect

import (
	"math/rand/v2"
	"time"

	"overlayd/internal/wire"
)

// Shadow runs another algorithm beside the one in use, on the same measurements, and adds up what it would have done.
// It moves nothing. What it says of paths that the algorithm in use does not keep measured at the full rate is less
// certain, as those are probed more seldom.
type Shadow struct {
	selector *Selector
	tally    Tally
	at       time.Time
	out      []Output
}

// Tally is what a Shadow has added up. Savings are means over the time Compared, in which both had a path that worked;
// they are negative where the algorithm in use did better.
type Tally struct {
	Algorithm string
	Would     wire.PathID // it would use now; zero: none
	Switches  int         // it would have made
	Compared  time.Duration
	Differed  time.Duration // of Compared, in which it would have used another path

	RTTSaved  time.Duration
	LossSaved float64       // part of the packets, 0 to 1
	UpSaved   time.Duration // in which its path was up while the one in use was not, less the opposite
}

// NewShadow is a Shadow that has seen nothing.
func NewShadow(cfg Config, algo Algorithm, class wire.TrafficClass, rng *rand.Rand) *Shadow {
	return &Shadow{selector: New(cfg, algo, class, rng), tally: Tally{Algorithm: algo.Name()}}
}

// Step takes what the Selector in use takes, and the path that this one has selected. What was measured counts for the
// time since the last Step, up to a second.
func (s *Shadow) Step(now time.Time, in Input, actual wire.PathID) error {
	if err := s.selector.Step(now, in); err != nil {
		return err
	}
	s.out = s.selector.Drain(s.out[:0])
	current := s.selector.Current()
	s.tally.Would, s.tally.Switches = current.Selected, current.Switches
	if !s.at.IsZero() {
		s.add(min(now.Sub(s.at), time.Second), s.selector.find(actual), s.selector.find(current.Selected))
	}
	s.at = now
	return nil
}

func (s *Shadow) add(d time.Duration, actual, would *candidate) {
	if actual == nil || would == nil || d <= 0 {
		return
	}
	t := &s.tally
	switch {
	case would.State == Up && actual.State != Up:
		t.UpSaved += d
	case would.State != Up && actual.State == Up:
		t.UpSaved -= d
	}
	if !would.works() || !actual.works() {
		return
	}
	t.Compared += d
	if would != actual {
		t.Differed += d
	}
	part := float64(d) / float64(t.Compared)
	t.RTTSaved += time.Duration(part * float64(actual.RTT-would.RTT-t.RTTSaved))
	t.LossSaved += part * (actual.LossOut - would.LossOut - t.LossSaved)
}

// Tally is what was added up so far.
func (s *Shadow) Tally() Tally { return s.tally }
