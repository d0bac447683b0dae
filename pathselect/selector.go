package pathselect

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"overlayd/internal/wire"
)

// The errors of Step.
var (
	ErrPaths = errors.New("paths without, or with the same identifier, or too many")
	ErrInput = errors.New("unknown input")
)

// Input is what Step takes.
type Input interface{ input() }

type (
	// Update brings all paths to the peer as they are measured now: after every change of a state, and several times
	// a second while the peer is active. The Selector keeps the slices Via.
	Update struct{ Paths []Path }
	// Tick is due when NextDeadline has passed.
	Tick struct{}
)

func (Update) input() {}
func (Tick) input()   {}

// Output is what Drain gives.
type Output interface{ output() }

// Select is the selection from now on.
type Select struct{ Selection }

func (Select) output() {}

// Selection is which path carries data, and which ones are ready.
type Selection struct {
	Selected  wire.PathID   // carries data; zero while no path ever worked
	Duplicate wire.PathID   // is to carry a copy of it, as far as the budget allows; or zero
	Trial     wire.PathID   // about to become the selected one: to be probed as often; or zero
	Standbys  []wire.PathID // at most two that would take over, the first one first
	Reason    Reason        // of Selected
	Since     time.Time     // of Selected
	Switches  int           // changes from one path to another so far
}

// Equal reports whether two selections are the same.
func (s *Selection) Equal(o *Selection) bool {
	return s.Selected == o.Selected && s.Duplicate == o.Duplicate && s.Trial == o.Trial && s.Since.Equal(o.Since) &&
		s.Switches == o.Switches && s.Reason.Code == o.Reason.Code && slices.Equal(s.Standbys, o.Standbys)
}

// Selector chooses among the paths to one peer. It is a pure state machine.
type Selector struct {
	cfg  Config
	algo Algorithm
	rng  *rand.Rand

	now      time.Time
	list     []*candidate // by ID
	current  Selection
	told     Selection
	deadline time.Time // zero: none
	out      []Output
}

// candidate is a path and what is remembered of it.
type candidate struct {
	Path
	cost, latest float64 // of the smoothed and of the latest figures
	damp         damping
	claim        claim
}

// claim is that a path is better than the selected one.
type claim struct {
	since         time.Time // zero: there is none
	samples       int       // of the path at that time
	hold, lossFor time.Duration
}

// New is a Selector without paths; rng is the source of all randomness.
func New(cfg Config, algo Algorithm, rng *rand.Rand) *Selector {
	return &Selector{cfg: cfg.withDefaults(), algo: algo, rng: rng}
}

// Step takes one input at a time that must not run backwards.
func (s *Selector) Step(now time.Time, in Input) error {
	if now.After(s.now) {
		s.now = now
	}
	switch in := in.(type) {
	case Update:
		if err := s.update(in.Paths); err != nil {
			return err
		}
	case Tick:
	default:
		return fmt.Errorf("%w: %T", ErrInput, in)
	}
	s.evaluate()
	return nil
}

// Drain appends the outputs since the last call to dst.
func (s *Selector) Drain(dst []Output) []Output {
	dst = append(dst, s.out...)
	clear(s.out)
	s.out = s.out[:0]
	return dst
}

// NextDeadline is when Tick is due, if ever.
func (s *Selector) NextDeadline() (time.Time, bool) { return s.deadline, !s.deadline.IsZero() }

// Current is the selection as it is. Its slices must not be changed.
func (s *Selector) Current() Selection { return s.told }

// update replaces the measured figures, and notes deaths.
func (s *Selector) update(paths []Path) error {
	if len(paths) > maxPaths {
		return ErrPaths
	}
	sorted := slices.Clone(paths)
	slices.SortFunc(sorted, func(a, b Path) int { return cmp.Compare(a.ID, b.ID) })
	for i := range sorted {
		if sorted[i].ID == 0 || i > 0 && sorted[i].ID == sorted[i-1].ID {
			return ErrPaths
		}
	}
	list := make([]*candidate, 0, len(sorted))
	for i := range sorted {
		c := s.find(sorted[i].ID)
		if c == nil {
			c = &candidate{Path: Path{ID: sorted[i].ID}}
		}
		s.observe(c, &sorted[i])
		list = append(list, c)
	}
	before := s.find(s.current.Selected)
	s.list = list
	if before != nil && s.find(before.ID) == nil {
		s.lose(before)
	}
	return nil
}

// observe takes over the figures of a path and remembers its failures.
func (s *Selector) observe(c *candidate, p *Path) {
	before := c.State
	c.Path = *p
	switch {
	case p.State == Dead && (before == Up || before == Suspect):
		c.damp.fail(s.now, s.cfg.DampHold, &s.cfg)
		c.damp.lossy = false
	case p.State == Dead || p.State == Unknown || before != Up && before != Suspect:
		c.damp.steady = s.now
	case c.damp.lossy && p.LossOutLow > 0:
		c.damp.steady = s.now
	}
	raw := p.raw()
	c.cost = s.algo.Cost(c.Path).Total
	c.latest = s.algo.Cost(raw).Total
}

func (s *Selector) find(id wire.PathID) *candidate {
	i, found := slices.BinarySearchFunc(s.list, id, func(c *candidate, id wire.PathID) int {
		return cmp.Compare(c.ID, id)
	})
	if !found {
		return nil
	}
	return s.list[i]
}

// lose takes away the selected path, which was removed.
func (s *Selector) lose(gone *candidate) {
	s.current.Reason = Reason{Code: Removed, From: chosen(gone)}
	s.current.Selected = 0
	s.current.Since = s.now
}

// evaluate decides everything anew from the figures and the time.
func (s *Selector) evaluate() {
	s.deadline = time.Time{}
	selected := s.find(s.current.Selected)
	if selected == nil || selected.State == Dead || selected.State == Unknown {
		selected = s.failOver(selected)
	} else if next := s.improve(selected); next != nil {
		s.move(next, s.improvement(selected, next))
		selected = next
	}
	s.current.Trial = 0
	if trial := s.trial(); trial != nil {
		s.current.Trial = trial.ID
	}
	s.current.Standbys = s.standbys(selected)
	s.current.Duplicate = s.duplicate(selected)
	if !s.current.Equal(&s.told) {
		s.told = s.current
		s.out = append(s.out, Select{s.current})
	}
}

// failOver finds the best path that works in the place of one that does not, and returns the selected one.
func (s *Selector) failOver(failed *candidate) *candidate {
	s.dropClaims()
	best := s.best(func(c *candidate) bool { return c != failed && (c.State == Up || c.State == Suspect) }, failed)
	if best == nil {
		if failed != nil && s.current.Reason.Code != NothingElse {
			s.current.Reason = Reason{Code: NothingElse, From: chosen(failed), To: chosen(failed), Detail: failed.Why}
		}
		return failed
	}
	r := Reason{Code: First, To: chosen(best)}
	if failed != nil {
		r = Reason{Code: Died, From: chosen(failed), To: chosen(best), Detail: failed.Why}
	} else if s.current.Reason.Code == Removed {
		r = s.current.Reason
		r.To = chosen(best)
	}
	s.move(best, r)
	return best
}

// move selects another path.
func (s *Selector) move(to *candidate, r Reason) {
	if r.From.ID != 0 {
		s.current.Switches++
	}
	s.current.Selected, s.current.Reason, s.current.Since = to.ID, r, s.now
	s.dropClaims()
}

func chosen(c *candidate) Chosen {
	if c == nil {
		return Chosen{}
	}
	return Chosen{ID: c.ID, Via: c.Via, RTT: c.RTT, Loss: c.LossOut}
}
