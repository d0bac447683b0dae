package pathselect

import (
	"math"
	"time"
)

// claim is that a path is better than the selected one.
type claim struct {
	since         time.Time // zero: there is none
	samples       int       // of the path at that time
	hold, lossFor time.Duration
}

// edge is by how much a path was cheaper than the selected one on the average of some time: gains too small to be told
// from noise at once are seen in it.
type edge struct {
	since, at time.Time // zero: there is nothing to compare yet
	gain      float64   // part of the selected path's cost, smoothed exponentially
	patience  float64   // drawn at random: how much longer than others this node waits where relays are loaded
}

// edgeMemory is the time constant of an edge.
const edgeMemory = 15 * time.Second

// weigh compares all paths with the selected one, in the smoothed figures.
func (s *Selector) weigh() {
	selected := s.find(s.current.Selected)
	if selected == nil || selected.State != Up || selected.cost <= 0 {
		return
	}
	for _, c := range s.list {
		if c == selected || c.State != Up {
			c.edge = edge{}
			continue
		}
		gain := 1 - c.cost/selected.cost
		if c.edge.since.IsZero() {
			c.edge = edge{since: s.now, at: s.now, gain: min(gain, 0), patience: loadPatience * s.rng.Float64()}
			continue
		}
		weight := 1 - math.Exp(-float64(s.now.Sub(c.edge.at))/float64(edgeMemory))
		c.edge.gain += weight * (gain - c.edge.gain)
		c.edge.at = s.now
	}
}

// improve keeps the claims of paths that are better than the selected one, and returns the cheapest whose claim is
// proven.
func (s *Selector) improve(selected *candidate) *candidate {
	var best *candidate
	for _, c := range s.list {
		if c == selected || c.State != Up || c.hard || !s.better(c, selected) {
			c.claim = claim{}
			if c != selected && s.edged(c, selected) && (best == nil || c.cost < best.cost) {
				best = c
			}
			continue
		}
		if c.claim.since.IsZero() || c.Samples < c.claim.samples {
			c.claim = s.claimOf(c, selected)
		}
		if s.proven(c, selected) && (best == nil || s.before(c, best)) {
			best = c
		}
	}
	return best
}

// before orders proven claims.
func (s *Selector) before(a, b *candidate) bool {
	if a.tier != b.tier {
		return a.tier < b.tier
	}
	return a.cost < b.cost
}

// claimOf begins a claim. Where relays are loaded, many nodes see the same at the same time, and what is better for one of
// them is not if all go there: so each of them waits for another time, of which the longest is some forty times the
// shortest, and looks again.
func (s *Selector) claimOf(c, selected *candidate) claim {
	least, hold, loss := s.cfg.HoldMin, s.cfg.HoldMax, s.cfg.LossMax
	if max(c.Load, selected.Load) > loadNothing {
		hold *= loadHold
		if s.lighter(c, selected) && s.current.Reason.Code == Lighter && s.now.Sub(s.current.Since) < 2*loadRest {
			least, hold = loadRest/2, 2*loadRest
		}
	}
	if selected.Load > loadFull {
		loss *= loadHold
	}
	return claim{
		since: s.now, samples: c.Samples,
		hold: s.between(least, hold), lossFor: s.between(s.cfg.LossMin, loss),
	}
}

const (
	loadHold     = 30
	loadRest     = time.Minute // between two moves for load alone, about
	loadPatience = 4
	loadEntry    = 0.5 // of what a relay can carry, above which nobody moves to it
	loadRelief   = 0.2 // unless it is by so much less than what the relays in use carry
	loadFull     = 0.8 // of what a relay can carry, above which it may lose some
	loadNothing  = 0.1 // of what relays carry, below which it does not matter who goes where
)

// lighter reports whether a path is better for the load of its relays only.
func (s *Selector) lighter(c, selected *candidate) bool {
	if LoadCost(selected.Load) <= LoadCost(c.Load) {
		return false // such as from one direct path to another: they have no relays
	}
	mine, theirs := c.cost-LoadCost(c.Load), selected.cost-LoadCost(selected.Load)
	return selected.tier == free && mine+s.gainNeeded(c, selected, theirs) > theirs
}

// gainNeeded is by how much a path must be cheaper than the selected one, whose cost is given, to replace it.
func (s *Selector) gainNeeded(c, selected *candidate, cost float64) float64 {
	if c.Direct() && !selected.Direct() {
		return 0
	}
	return s.leastGain(cost)
}

// leastGain is by how much a path must be cheaper than a cost to be worth a change: by the margin, and by the ratio.
func (s *Selector) leastGain(cost float64) float64 {
	return max(millis(s.cfg.Margin), s.cfg.Ratio*cost)
}

// better reports whether c is cheaper than the selected path in smoothed and in latest figures, by margin and ratio; the
// direct path needs none over a relayed one. What is barred is never better than what is not.
func (s *Selector) better(c, selected *candidate) bool {
	if c.tier != selected.tier {
		return c.tier < selected.tier
	}
	if crowded(c, selected) && !s.heavy(c, selected) {
		return false
	}
	return c.cost+s.gainNeeded(c, selected, selected.cost) <= selected.cost &&
		c.latest+s.gainNeeded(c, selected, selected.latest) <= selected.latest
}

// crowded reports whether a relay of a path is half loaded, and not clearly less than those of the selected one. Nobody
// moves there for a better path: what is told of load is a second old, and many come at once.
func crowded(c, selected *candidate) bool {
	return c.Load > loadEntry && c.Load > selected.Load-loadRelief
}

// edged reports whether c was cheaper than the selected path by little, but for long.
func (s *Selector) edged(c, selected *candidate) bool {
	if c.State != Up || selected.State != Up || crowded(c, selected) || c.tier != selected.tier || c.bar != selected.bar || c.edge.since.IsZero() ||
		c.Samples < s.cfg.MinSamples || c.damp.left(s.now, &s.cfg) > 0 || s.lighter(c, selected) && c.Load > selected.Load/2 {
		return false
	}
	after := s.cfg.SlowAfter
	if max(c.Load, selected.Load) > loadNothing {
		after += time.Duration(c.edge.patience * float64(after))
	}
	return s.now.Sub(c.edge.since) >= after && c.edge.gain >= s.cfg.SlowRatio &&
		c.edge.gain*selected.cost >= millis(s.cfg.SlowMargin) && c.cost < selected.cost
}

// heavy reports whether the selected path loses much, and c by far not as much.
func (s *Selector) heavy(c, selected *candidate) bool {
	return selected.LossOutLow >= s.cfg.HeavyLoss && c.LossOutLow <= selected.LossOutLow/2
}

// proven reports whether a claim has lasted long enough and rests on enough samples, young ones in particular. A path
// that is barred is left as soon as another one has shown that it works.
func (s *Selector) proven(c, selected *candidate) bool {
	if c.tier < selected.tier {
		return c.Samples >= validated
	}
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
	return selected.State == Up && c.Samples >= s.cfg.MinSamples && selected.Samples >= s.cfg.MinSamples &&
		c.Samples-c.claim.samples >= fresh
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
	case selected.tier == blocked && next.tier < blocked:
		r.Code, r.Detail = Stopped, selected.bar
	case next.tier < selected.tier:
		r.Code, r.Detail = Barred, selected.bar
	case s.heavy(next, selected) || lossGain > max(millis(selected.RTT-next.RTT), 0) && lossGain > 0:
		r.Code = Cleaner
		selected.damp.fail(s.now, s.cfg.DampLoss, &s.cfg)
		selected.damp.lossy = true
	case s.lighter(next, selected):
		r.Code = Lighter
	case next.Direct() && !selected.Direct() && next.RTT >= selected.RTT:
		r.Code = AsGood
	case next.RTT >= selected.RTT:
		r.Code = Cheaper
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
		if !c.claim.since.IsZero() && (best == nil || s.before(c, best)) {
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
