package pathselect

import (
	"cmp"
	"slices"
	"time"

	"overlayd/internal/wire"
)

// lossyStandby is the loss, surely exceeded, that makes a standby a bad one.
const lossyStandby = 0.05

// grade orders paths that might take over by how much they are to be trusted; lower is better.
func (s *Selector) grade(c *candidate) int {
	g := 0
	g += 16 * int(c.tier)
	if c.State != Up {
		g += 8
	}
	if c.LossOutLow >= lossyStandby {
		g += 4
	}
	if c.damp.left(s.now, &s.cfg) > 0 {
		g += 2
	}
	if c.Samples < validated {
		g++
	}
	return g
}

// best is the best of the paths that are wanted: by trust, by what it shares with the one that it is to replace, by
// cost; nil if there is none.
func (s *Selector) best(want func(*candidate) bool, replaced *candidate) *candidate {
	var best *candidate
	for _, c := range s.list {
		if want(c) && (best == nil || s.order(c, best, replaced) < 0) {
			best = c
		}
	}
	return best
}

func (s *Selector) order(a, b, replaced *candidate) int {
	return cmp.Or(s.trust(a, b, replaced), cmp.Compare(a.cost, b.cost), cmp.Compare(a.ID, b.ID))
}

// trust orders by what comes before the cost.
func (s *Selector) trust(a, b, replaced *candidate) int {
	var overlap int
	if replaced != nil {
		overlap = cmp.Compare(s.overlap(a, replaced), s.overlap(b, replaced))
	}
	return cmp.Or(cmp.Compare(s.grade(a), s.grade(b)), overlap)
}

// spread is the best path, or at random one of those that are as good but for less than margin and ratio: many nodes that
// lose their paths at once must not all meet at one relay. The less loaded ones are drawn more often. A direct path is
// not given up for that.
func (s *Selector) spread(best, replaced *candidate) *candidate {
	if best == nil || best.Direct() {
		return best
	}
	total, picked := 0.0, best
	for _, c := range s.list {
		if c == replaced || !c.works() || c.Direct() || s.trust(c, best, replaced) != 0 || c.cost > best.cost+s.gainNeeded(c, best, best.cost) {
			continue
		}
		weight := 1 - min(c.Load, fullestLoad)
		total += weight
		if s.rng.Float64()*total < weight {
			picked = c
		}
	}
	return picked
}

// standbys picks up to two paths that would take over: trusted, disjoint from the selected one and from each other,
// and cheap. One that already stands by stays unless another is better by margin and ratio, and while it is suspect.
func (s *Selector) standbys(selected *candidate) []wire.PathID {
	if selected == nil {
		return nil
	}
	var picked []*candidate
	for len(picked) < maxStandbys {
		var best *candidate
		for _, c := range s.list {
			if c == selected || slices.Contains(picked, c) || !s.mayStandBy(c) {
				continue
			}
			if best == nil || s.standbyOrder(c, best, selected, picked) < 0 {
				best = c
			}
		}
		if best == nil {
			break
		}
		picked = append(picked, best)
	}
	ids := make([]wire.PathID, 0, len(picked))
	for _, c := range picked {
		ids = append(ids, c.ID)
	}
	return ids
}

func (s *Selector) mayStandBy(c *candidate) bool {
	return !c.hard && (c.State == Up || c.State == Suspect && slices.Contains(s.current.Standbys, c.ID))
}

func (s *Selector) standbyOrder(a, b, selected *candidate, picked []*candidate) int {
	overlap := func(c *candidate) int {
		n := s.overlap(c, selected)
		for _, p := range picked {
			n += s.overlap(c, p)
		}
		return n
	}
	grade := func(c *candidate) int { return s.grade(c) &^ 8 } // a suspicion passes
	cost := func(c *candidate) float64 {
		if slices.Contains(s.current.Standbys, c.ID) {
			return c.cost - s.leastGain(c.cost)
		}
		return c.cost
	}
	return cmp.Or(
		cmp.Compare(grade(a), grade(b)), cmp.Compare(overlap(a), overlap(b)),
		cmp.Compare(cost(a), cost(b)), cmp.Compare(a.ID, b.ID),
	)
}

// apart is, of the paths that are up, the one that shares least with the selected one. It stays until another one
// shares less, or it is not to be trusted any more.
func (s *Selector) apart(selected *candidate) wire.PathID {
	if selected == nil {
		return 0
	}
	better := func(a, b *candidate) int {
		return cmp.Or(
			cmp.Compare(s.grade(a), s.grade(b)), cmp.Compare(s.overlap(a, selected), s.overlap(b, selected)),
			s.staying(a, b), cmp.Compare(a.cost, b.cost), cmp.Compare(a.ID, b.ID),
		)
	}
	var best *candidate
	for _, c := range s.list {
		if s.copyable(c, selected) && (best == nil || better(c, best) < 0) {
			best = c
		}
	}
	if best == nil {
		return 0
	}
	return best.ID
}

// copyLoad is the load of a relay from which on nothing is sent over it twice.
const copyLoad = 0.5

// staying orders by what is ready: the paths that stand by are measured often, and the one in use need not change.
func (s *Selector) staying(a, b *candidate) int {
	idle := func(c *candidate) bool { return !slices.Contains(s.current.Standbys, c.ID) }
	return cmp.Or(compareBool(idle(a), idle(b)), compareBool(a.ID != s.current.Apart, b.ID != s.current.Apart))
}

// copyable reports whether a path may carry copies of what is sent on the selected one: a wish binds copies too, and where
// a relay is loaded they would make trouble worse.
func (s *Selector) copyable(c, selected *candidate) bool {
	return c != selected && c.State == Up && !c.hard && c.Load < copyLoad && (c.tier < barred || c.tier <= selected.tier)
}

// copies are the paths that carry copies for each class of traffic.
func (s *Selector) copies(selected *candidate) (to [wire.TrafficClasses]wire.PathID) {
	to[wire.DefaultTraffic] = s.duplicate(selected)
	to[wire.Interactive] = to[wire.DefaultTraffic]
	to[wire.Critical] = s.current.Apart
	if to[wire.Interactive] == 0 && s.now.Before(s.trouble) {
		to[wire.Interactive] = s.current.Apart
		s.wake(s.trouble)
	}
	return to
}

// troubled reports whether there are signs of trouble near an end: two paths or more, without a relay in common, fail or
// lose packets at once.
func (s *Selector) troubled() bool {
	var signs []*candidate
	for _, c := range s.list {
		gone := c.State == Dead && !c.Since.IsZero() && s.now.Sub(c.Since) < troubleRecent
		if !gone && c.State != Suspect && !(c.State == Up && c.LossRecentLow > 0) {
			continue
		}
		for _, other := range signs {
			if shared(&c.Path, &other.Path) == 0 {
				return true
			}
		}
		signs = append(signs, c)
	}
	return false
}

// troubleRecent is how long the death of a path is a sign.
const troubleRecent = 3 * time.Second

// duplicate is the path that carries copies: the best one that is up while the selected one is suspect; and while
// that loses much, the one that is about to replace it. Copies are cheaper than the doubt.
func (s *Selector) duplicate(selected *candidate) wire.PathID {
	if selected == nil {
		return 0
	}
	if trial := s.find(s.current.Trial); trial != nil && s.heavy(trial, selected) && s.copyable(trial, selected) {
		return trial.ID
	}
	if selected.State != Suspect && !selected.Doubtful && selected.tier != unproven && selected.tier != blocked {
		return 0
	}
	for _, doubtful := range []bool{false, true} { // a copy on a path that may drop it as well is worth little
		copyable := func(c *candidate) bool { return s.copyable(c, selected) && (doubtful || !c.Doubtful) }
		for _, id := range s.current.Standbys {
			if copyable(s.find(id)) {
				return id
			}
		}
		if c := s.best(copyable, selected); c != nil {
			return c.ID
		}
	}
	return 0
}
