package pathselect

import (
	"time"
)

// improve keeps the claims of paths that are better than the selected one, and returns the cheapest whose claim is
// proven.
func (s *Selector) improve(selected *candidate) *candidate {
	var best *candidate
	for _, c := range s.list {
		if c == selected || c.State != Up || !s.better(c, selected) {
			c.claim = claim{}
			continue
		}
		if c.claim.since.IsZero() || c.Samples < c.claim.samples {
			c.claim = claim{
				since: s.now, samples: c.Samples,
				hold: s.between(s.cfg.HoldMin, s.cfg.HoldMax), lossFor: s.between(s.cfg.LossMin, s.cfg.LossMax),
			}
		}
		if selected.State == Up && s.proven(c, selected) && (best == nil || c.cost < best.cost) {
			best = c
		}
	}
	return best
}

// better reports whether c is cheaper than the selected path in smoothed and in latest figures, by the margins; the
// direct path needs none over a relayed one.
func (s *Selector) better(c, selected *candidate) bool {
	gain := func(cost float64) float64 {
		if c.Direct() && !selected.Direct() {
			return 0
		}
		return max(s.cfg.Margin*cost, millis(s.cfg.MinGain))
	}
	return c.cost+gain(selected.cost) <= selected.cost && c.latest+gain(selected.latest) <= selected.latest
}

// heavy reports whether the selected path loses much, and c by far not as much.
func (s *Selector) heavy(c, selected *candidate) bool {
	return selected.LossOutLow >= s.cfg.HeavyLoss && c.LossOutLow <= selected.LossOutLow/2
}

// proven reports whether a claim has lasted long enough and rests on enough samples, young ones in particular.
func (s *Selector) proven(c, selected *candidate) bool {
	hold, fresh := c.claim.hold, s.cfg.Fresh
	if s.heavy(c, selected) {
		hold, fresh = c.claim.lossFor, min(freshLossy, s.cfg.Fresh)
	}
	due := c.claim.since.Add(hold)
	if left := c.damp.left(s.now, &s.cfg); due.Before(s.now.Add(left)) {
		due = s.now.Add(left)
	}
	if due.After(s.now) {
		s.wake(due)
		return false
	}
	return c.Samples >= s.cfg.MinSamples && selected.Samples >= s.cfg.MinSamples && c.Samples-c.claim.samples >= fresh
}

// wake asks for a Tick at a time to come.
func (s *Selector) wake(t time.Time) {
	if s.deadline.IsZero() || t.Before(s.deadline) {
		s.deadline = t
	}
}

// improvement is why next replaces the selected path. One that is left for its loss is remembered for it.
func (s *Selector) improvement(selected, next *candidate) Reason {
	r := Reason{Code: Faster, From: chosen(selected), To: chosen(next)}
	lossGain := lossPenalty(selected.LossOutLow) - lossPenalty(next.LossOutLow)
	switch {
	case s.heavy(next, selected) || lossGain > millis(selected.RTT-next.RTT):
		r.Code = Cleaner
		selected.damp.fail(s.now, s.cfg.DampLoss, &s.cfg)
		selected.damp.lossy = true
	case next.Direct() && next.RTT >= selected.RTT:
		r.Code = AsGood
	}
	return r
}

func (s *Selector) dropClaims() {
	for _, c := range s.list {
		c.claim = claim{}
	}
}

// trial is the cheapest path with a claim.
func (s *Selector) trial() *candidate {
	var best *candidate
	for _, c := range s.list {
		if !c.claim.since.IsZero() && (best == nil || c.cost < best.cost) {
			best = c
		}
	}
	return best
}

func (s *Selector) between(low, high time.Duration) time.Duration {
	if high <= low {
		return low
	}
	return low + time.Duration(s.rng.Int64N(int64(high-low)))
}
