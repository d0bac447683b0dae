package pathselect

import (
	"cmp"
	"slices"

	"overlayd/internal/wire"
)

// lossyStandby is the loss, surely exceeded, that makes a standby a bad one.
const lossyStandby = 0.05

// grade orders paths that might take over by how much they are to be trusted; lower is better.
func (s *Selector) grade(c *candidate) int {
	g := 0
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
	var overlap int
	if replaced != nil {
		overlap = cmp.Compare(shared(&a.Path, &replaced.Path), shared(&b.Path, &replaced.Path))
	}
	return cmp.Or(cmp.Compare(s.grade(a), s.grade(b)), overlap, cmp.Compare(a.cost, b.cost), cmp.Compare(a.ID, b.ID))
}

// standbys picks up to two paths that would take over: trusted, disjoint from the selected one and from each other,
// and cheap. One that already stands by stays unless another is better by the margins, and while it is suspect.
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
	return c.State == Up || c.State == Suspect && slices.Contains(s.current.Standbys, c.ID)
}

func (s *Selector) standbyOrder(a, b, selected *candidate, picked []*candidate) int {
	overlap := func(c *candidate) int {
		n := shared(&c.Path, &selected.Path)
		for _, p := range picked {
			n += shared(&c.Path, &p.Path)
		}
		return n
	}
	grade := func(c *candidate) int { return s.grade(c) &^ 8 } // a suspicion passes
	cost := func(c *candidate) float64 {
		if slices.Contains(s.current.Standbys, c.ID) {
			return c.cost - max(s.cfg.Margin*c.cost, millis(s.cfg.MinGain))
		}
		return c.cost
	}
	return cmp.Or(
		cmp.Compare(grade(a), grade(b)), cmp.Compare(overlap(a), overlap(b)),
		cmp.Compare(cost(a), cost(b)), cmp.Compare(a.ID, b.ID),
	)
}

// duplicate is the path that carries copies: the best one that is up while the selected one is suspect; and while
// that loses much, the one that is about to replace it. Copies are cheaper than the doubt.
func (s *Selector) duplicate(selected *candidate) wire.PathID {
	if selected == nil {
		return 0
	}
	if trial := s.find(s.current.Trial); trial != nil && s.heavy(trial, selected) {
		return trial.ID
	}
	if selected.State != Suspect {
		return 0
	}
	for _, id := range s.current.Standbys {
		if c := s.find(id); c.State == Up {
			return id
		}
	}
	if c := s.best(func(c *candidate) bool { return c != selected && c.State == Up }, selected); c != nil {
		return c.ID
	}
	return 0
}
