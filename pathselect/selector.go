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
	Update struct {
		Paths []Path
		// Trouble says that paths to other peers are in trouble as well, so that it is near this node.
		Trouble bool
	}
	// Wish brings another policy: nil for none.
	Wish struct{ Policy *Policy }
	// Use brings another algorithm.
	Use struct{ Algorithm Algorithm }
	// Tick is due when NextDeadline has passed.
	Tick struct{}
)

func (Update) input() {}
func (Wish) input()   {}
func (Use) input()    {}
func (Tick) input()   {}

// Output is what Drain gives.
type Output interface{ output() }

// Select is the selection from now on.
type Select struct{ Selection }

func (Select) output() {}

// Selection is which path carries data, and which ones are ready.
type Selection struct {
	Selected wire.PathID   // carries data; zero while no path ever worked
	Trial    wire.PathID   // about to become the selected one: to be probed as often; or zero
	Standbys []wire.PathID // at most two that would take over, the first one first
	Apart    wire.PathID   // of those that are up, shares least with the selected one; or zero
	Reason   Reason        // why Selected is, or that no path works and why: as it is now
	Since    time.Time     // of Reason: when Selected was chosen, stopped working, or came back
	Switches int           // changes from one path to another so far

	// Copies are the paths that are to carry copies of what is sent on Selected, for each class of traffic, as far as
	// the budget allows; or zero.
	Copies [wire.TrafficClasses]wire.PathID
}

// Carries reports whether a path carries data or copies of any class but the critical one, of which there may be none.
func (s *Selection) Carries(id wire.PathID) bool {
	return id != 0 && (id == s.Selected || id == s.Copies[wire.DefaultTraffic] || id == s.Copies[wire.Interactive])
}

// Works reports whether the selected path carries data, as far as is known.
func (s *Selection) Works() bool {
	switch s.Reason.Code {
	case NoPath, NothingElse, CutOff:
		return false
	default:
		return s.Selected != 0
	}
}

// Equal reports whether two selections are the same.
func (s *Selection) Equal(o *Selection) bool {
	return s.Selected == o.Selected && s.Copies == o.Copies && s.Trial == o.Trial && s.Apart == o.Apart && s.Since.Equal(o.Since) &&
		s.Switches == o.Switches && s.Reason.Code == o.Reason.Code && s.Reason.Detail == o.Reason.Detail &&
		s.Reason.Rule == o.Reason.Rule && slices.Equal(s.Standbys, o.Standbys)
}

// Selector chooses among the paths to one peer. It is a pure state machine.
type Selector struct {
	cfg    Config
	algo   Algorithm
	class  wire.TrafficClass // that the algorithm is asked for
	policy *Policy
	rng    *rand.Rand

	now      time.Time
	list     []*candidate // by ID
	ranked   []Ranked     // scratch
	trouble  time.Time    // until when there is trouble near an end
	outage   outage
	current  Selection
	told     Selection
	deadline time.Time // zero: none
	out      []Output
}

// candidate is a path and what is remembered of it.
type candidate struct {
	Path
	priced       Cost    // of the smoothed figures
	cost, latest float64 // of the smoothed and of the latest figures
	bar          string  // why it is used only if no other works
	tier         tier
	hard         bool // it is not even used then
	damp         damping
	claim        claim
	edge         edge
	joint        map[wire.PathID]joint
	counted      time.Time // the latest loss that joint knows of
}

// works reports whether a path may carry data.
func (c *candidate) works() bool { return (c.State == Up || c.State == Suspect) && !c.hard }

// New is a Selector without paths for a class of traffic, or for all; rng is the source of all randomness.
func New(cfg Config, algo Algorithm, class wire.TrafficClass, rng *rand.Rand) *Selector {
	return &Selector{cfg: cfg.withDefaults(), algo: algo, class: class, rng: rng}
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
		if in.Trouble {
			s.trouble = s.now.Add(s.cfg.TroubleFor)
		}
	case Wish:
		s.policy = in.Policy
		s.rank()
	case Use:
		s.algo = in.Algorithm
		s.dropClaims()
		s.rank()
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
	for _, c := range list {
		if !c.LastLoss.IsZero() && s.now.Sub(c.LastLoss) < jointWithin && c.LastLoss != c.counted {
			c.counted = c.LastLoss
			s.lostNow(c)
		}
	}
	if s.troubled() {
		s.trouble = s.now.Add(s.cfg.TroubleFor)
	}
	s.rank()
	s.weigh()
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
}

// rank asks the algorithm for the costs of all paths, by their smoothed and by their latest figures.
func (s *Selector) rank() {
	paths := make([]Path, len(s.list))
	for i, c := range s.list {
		paths[i] = c.Path
	}
	r := Request{Paths: paths, Class: s.class, Policy: s.policy}
	s.ranked = s.algo.Rank(s.ranked[:0], r)
	for _, at := range s.ranked {
		if c := s.find(at.ID); c != nil {
			c.priced, c.cost, c.hard = at.Cost, at.Cost.Total, at.Hard
			c.tier, c.bar = tierOf(&c.Path, at.Bar, at.Hard)
		}
	}
	for i := range paths {
		paths[i] = paths[i].raw()
	}
	s.ranked = s.algo.Rank(s.ranked[:0], r)
	for _, at := range s.ranked {
		if c := s.find(at.ID); c != nil {
			c.latest = at.Cost.Total
		}
	}
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
	s.current.Selected = 0
	s.current.Reason = Reason{Code: Removed, From: chosen(gone)}
}

// evaluate decides everything anew from the figures and the time.
func (s *Selector) evaluate() {
	s.deadline = time.Time{}
	selected := s.find(s.current.Selected)
	if selected == nil || !selected.works() {
		selected = s.failOver(selected)
	} else if s.outage.lasts() {
		s.comeBack(selected)
	} else if next := s.improve(selected); next != nil {
		s.move(next, s.improvement(selected, next))
		selected = next
	}
	s.current.Trial = 0
	if trial := s.trial(); trial != nil {
		s.current.Trial = trial.ID
	}
	s.current.Standbys = s.standbys(selected)
	s.current.Apart = s.apart(selected)
	s.current.Copies = s.copies(selected)
	if !s.current.Equal(&s.told) {
		s.told = s.current
		s.out = append(s.out, Select{s.current})
	}
}

// failOver finds the best path that works in the place of one that does not, and returns the selected one.
func (s *Selector) failOver(failed *candidate) *candidate {
	s.dropClaims()
	best := s.best(func(c *candidate) bool { return c != failed && c.works() }, failed)
	if failed != nil {
		best = s.spread(best, failed)
	}
	if best == nil {
		return s.strand(failed)
	}
	r := Reason{Code: First, To: chosen(best)}
	switch {
	case s.outage.lasts():
		s.comeBack(best)
		return best
	case failed != nil && failed.hard && failed.State != Dead:
		r = Reason{Code: Barred, From: chosen(failed), To: chosen(best), Detail: failed.bar}
	case failed != nil:
		r = Reason{Code: Died, From: chosen(failed), To: chosen(best), Detail: failed.Why}
	case s.current.Reason.Code == Removed:
		r = Reason{Code: Removed, From: s.current.Reason.From, To: chosen(best)}
	}
	s.move(best, r)
	return best
}

// move selects another path.
func (s *Selector) move(to *candidate, r Reason) {
	if r.From.ID != 0 && r.From.ID != to.ID {
		s.current.Switches++
	}
	s.outage = outage{}
	s.current.Selected, s.current.Reason, s.current.Since = to.ID, r, s.now
	s.dropClaims()
	for _, c := range s.list {
		c.edge = edge{}
	}
}

func chosen(c *candidate) Chosen {
	if c == nil {
		return Chosen{}
	}
	return Chosen{ID: c.ID, Via: c.Via, RTT: c.RTT, Loss: c.LossOut, Cost: c.cost}
}
