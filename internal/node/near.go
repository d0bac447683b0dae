package node

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	"overlayd/internal/wire"
)

// Besides the contacts that a node picks at random it keeps some that are near: the best relays are near to one of the
// ends as a rule. It finds them by asking the nearest that it knows for those that are nearest to them, and so on (as in
// W. Dong, M. Charikar, K. Li, "Efficient K-Nearest Neighbor Graph Construction for Generic Similarity Measures", WWW
// 2011). They are chosen by what this node has measured; what others tell decides only whom it visits.

const (
	nearPerRoot = 0.75 // near contacts for each root of the number of members, in a network that is no full mesh

	nearAsks     = 3 // neighbours asked in each search
	nearVisits   = 4
	nearFrom     = 8 // neighbours whose lists are looked at
	nearFirst    = sweepEvery
	nearLast     = 10 * time.Minute // between searches that find nothing nearer
	nearListsOld = time.Minute
)

// nearOf is how many near contacts a node keeps, some of which it may have picked as well.
func nearOf(others int) int {
	return min(others-picksOf(others), int(math.Ceil(nearPerRoot*math.Sqrt(float64(others+1)))))
}

// reviewNear finds out which contacts are the nearest, keeps those, and looks for nearer ones.
func (c *Core) reviewNear(now time.Time) {
	reached := c.trusted(c.reached(now))
	nearest := reached[:min(len(reached), nearOf(c.members.Len()-1))]
	found := false
	for _, id := range c.order {
		p := c.peers[id]
		near := slices.ContainsFunc(nearest, func(n neighbor) bool { return n.id == id })
		if near && p.sought {
			p.sought, found = false, true
		}
		if near != p.near {
			p.near = near
			c.setRates(now, p)
		}
	}
	e := &c.explorer
	switch {
	case found:
		e.nearWait = nearFirst
		e.near = earlier(e.near, now.Add(nearFirst))
	case now.Before(e.near):
		return
	default:
		e.nearWait = min(max(2*e.nearWait, nearFirst), nearLast)
		e.near = now.Add(e.nearWait)
	}
	if len(nearest) > 0 {
		c.seekNear(now, reached, nearest[len(nearest)-1].rtt)
	}
}

// seekNear visits those strangers that should be nearer than a bound by what the nearest neighbours tell.
func (c *Core) seekNear(now time.Time, reached []neighbor, bound time.Duration) {
	best := make(map[wire.NodeID]time.Duration)
	for _, x := range reached[:min(len(reached), nearFrom)] {
		q := c.peers[x.id]
		if now.Sub(q.relays.theirsAt) >= listsKeptFor {
			continue
		}
		for _, y := range q.relays.theirs {
			rtt := x.rtt + y.rtt
			if y.rtt >= bound {
				break
			}
			_, seen := c.explorer.recall(now, y.id)
			if old, ok := best[y.id]; !seen && c.peers[y.id] == nil && (!ok || rtt < old) {
				best[y.id] = rtt
			}
		}
	}
	strangers := slices.SortedFunc(maps.Keys(best), wire.NodeID.Compare)
	slices.SortStableFunc(strangers, func(a, b wire.NodeID) int { return cmp.Compare(best[a], best[b]) })
	for _, id := range strangers[:min(len(strangers), nearVisits)] {
		if c.visit(now, id) {
			c.peers[id].sought = true
		}
	}
	c.wish(now, reached[:min(len(reached), nearAsks)], nearAsks, nearListsOld)
}
