package node

import (
	"cmp"
	"slices"
	"time"

	"overlayd/internal/wire"
)

// Relays for a pair come from what its ends know, and what they know grows while they are in use:
//
//	A ── X ── B        X is a contact of both, or a stranger to one end that the other one has in its list: it is visited
//	                   (probed once), the most promising first, a few in each round
//	A ── X ── Y ── B   Y is in B's list, and in that of X, which A has asked for its own
//
// A relay can help only if it is nearer than what the path in use costs: so lists are cut where they get beyond.

// explorer is what a node remembers of looking around, and bounds to it.
type explorer struct {
	wishes   bucket // lists asked for
	visits   bucket // strangers probed
	sighted  map[wire.NodeID]sighting
	near     time.Time     // when near contacts are to be looked for again
	nearWait time.Duration // how long after that
}

// sighting is what was measured of a member that is no contact any more, or of one that did not answer.
type sighting struct {
	rtt time.Duration // zero: not answered
	at  time.Time
}

const (
	wishesASecond, wishesAtOnce = 4, 32
	visitsASecond, visitsAtOnce = 2, 16

	wishesARound = 12
	visitsARound = 4
	composed     = 8                      // ways through two relays that are nominated
	visitTakes   = 500 * time.Millisecond // until a stranger has answered, as a rule
	sightedFor   = 5 * time.Minute
	maxSighted   = 1024
	listsKeptFor = 5 * time.Minute // of neighbours, in ways through two relays
	listsOldFrom = 2 * time.Minute // they are asked for again, while there is use for them
)

func newExplorer() explorer {
	return explorer{
		wishes:  bucket{rate: wishesASecond, depth: wishesAtOnce},
		visits:  bucket{rate: visitsASecond, depth: visitsAtOnce},
		sighted: make(map[wire.NodeID]sighting),
	}
}

// see remembers a member that is given up, or visited.
func (e *explorer) see(now time.Time, id wire.NodeID, rtt time.Duration) {
	if len(e.sighted) >= maxSighted {
		for old, s := range e.sighted {
			if now.Sub(s.at) >= sightedFor {
				delete(e.sighted, old)
			}
		}
		if len(e.sighted) >= maxSighted {
			return
		}
	}
	e.sighted[id] = sighting{rtt: rtt, at: now}
}

// recall is what is remembered of a member.
func (e *explorer) recall(now time.Time, id wire.NodeID) (s sighting, ok bool) {
	s, ok = e.sighted[id]
	return s, ok && now.Sub(s.at) < sightedFor
}

// visit probes a member that is no contact, once, and reports whether there was room. It stays a contact for a while, in
// which a circuit can begin at it.
func (c *Core) visit(now time.Time, id wire.NodeID) bool {
	if c.strangers() >= c.maxGuests()/2 || !c.explorer.visits.take(now) {
		return false
	}
	if c.contact(now, id) == nil {
		return false
	}
	if s, ok := c.explorer.recall(now, id); !ok || s.rtt == 0 {
		c.explorer.see(now, id, 0)
	}
	return true
}

// strangers counts the contacts that nothing would miss: guests, and who was visited.
func (c *Core) strangers() (n int) {
	for _, p := range c.peers {
		if p.dispensable() {
			n++
		}
	}
	return n
}

// explore widens what is known of ways to an active peer.
func (c *Core) explore(now time.Time, p *peer) {
	bound := c.inUsePrice(now, p)
	reached := c.reached(now)
	within, _ := slices.BinarySearchFunc(reached, bound, func(n neighbor, d time.Duration) int { return cmp.Compare(n.rtt, d) })
	reached = reached[:within]
	c.wish(now, c.trusted(reached), wishesARound, listsOldFrom)
	if now.Sub(p.relays.theirsAt) >= listsLastFor {
		return
	}
	links := c.links(now, p, reached, bound)
	type guess struct {
		id    wire.NodeID
		price time.Duration
	}
	var guesses []guess
	for i, n := range p.relays.theirs {
		if n.rtt >= bound || c.peers[n.id] != nil || !c.mayRelay(n.id) {
			continue
		}
		if _, known := c.explorer.recall(now, n.id); known {
			continue
		}
		ours := bound // nobody that is asked knows it
		if links[i].via != nil {
			ours = links[i].rtt
		}
		guesses = append(guesses, guess{n.id, n.rtt + ours})
	}
	slices.SortStableFunc(guesses, func(a, b guess) int { return cmp.Compare(a.price, b.price) })
	for _, g := range guesses[:min(len(guesses), visitsARound)] {
		if !c.visit(now, g.id) {
			return
		}
	}
}

// inUsePrice is what the path in use to a peer costs: nothing that is dearer helps. Without one, anything helps.
func (c *Core) inUsePrice(now time.Time, p *peer) time.Duration {
	q := p.paths[p.route().Selected]
	if q == nil {
		return time.Hour
	}
	m, ok := p.prober.Measure(q.id, now)
	if !ok || m.Samples == 0 {
		return time.Hour
	}
	return priceOf(m.RTT, m.LossOut, len(q.via))
}

// mayRelay reports whether a member forwards circuits of others.
func (c *Core) mayRelay(id wire.NodeID) bool {
	m, known := c.members.Get(id)
	return known && !m.Barred && relays(m)
}

// link is the best way to a node through one neighbour.
type link struct {
	via  *peer // nil: none is known
	rtt  time.Duration
	loss float64
}

// links are the best ways through neighbours, by what these tell, to each node that a peer has in its list.
func (c *Core) links(now time.Time, p *peer, reached []neighbor, bound time.Duration) []link {
	links := make([]link, len(p.relays.theirs))
	index := make(map[wire.NodeID]int, len(links))
	for i, n := range p.relays.theirs {
		if n.id != p.id {
			index[n.id] = i
		}
	}
	for _, x := range reached {
		q := c.peers[x.id]
		if x.rtt >= bound || q == p || !relays(q.member) || now.Sub(q.relays.theirsAt) >= listsKeptFor {
			continue
		}
		for _, y := range q.relays.theirs {
			rtt := x.rtt + y.rtt
			if rtt >= bound {
				break // they are the nearest first; who orders them otherwise is heard in part
			}
			if i, wanted := index[y.id]; wanted && (links[i].via == nil || rtt < links[i].rtt) {
				links[i] = link{via: q, rtt: rtt, loss: float64(x.loss + y.loss)}
			}
		}
	}
	return links
}

// compose puts together ways to a peer from its list and those of neighbours.
func (c *Core) compose(now time.Time, p *peer) []nominee {
	if now.Sub(p.relays.theirsAt) >= listsLastFor {
		return nil
	}
	bound := c.inUsePrice(now, p) * 5 / 4 // standbys may be a little dearer
	var one, two []nominee
	links := c.links(now, p, c.reached(now), bound)
	for i, n := range p.relays.theirs {
		if n.id == p.id || !c.mayRelay(n.id) {
			continue
		}
		if q := c.peers[n.id]; q != nil && q.reachable() {
			_, m := q.bestDirect(now)
			price := priceOf(m.RTT+n.rtt, max(m.LossOut, m.LossIn)+float64(n.loss), 1)
			one = append(one, nominee{via: []wire.NodeID{n.id}, price: price, at: now})
		} else if s, ok := c.explorer.recall(now, n.id); ok && q == nil && s.rtt > 0 {
			one = append(one, nominee{via: []wire.NodeID{n.id}, price: priceOf(s.rtt+n.rtt, float64(n.loss), 1), at: now})
		}
		if x := links[i].via; x != nil && x.id != n.id {
			price := priceOf(links[i].rtt+n.rtt, links[i].loss+float64(n.loss), 2)
			two = append(two, nominee{via: []wire.NodeID{x.id, n.id}, price: price, at: now})
		}
	}
	slices.SortStableFunc(two, func(a, b nominee) int { return cmp.Compare(a.price, b.price) })
	return append(one, two[:min(len(two), composed)]...)
}
