package node

import (
	"cmp"
	"slices"
	"time"

	"overlayd/internal/circuit"
	"overlayd/internal/wire"
	"overlayd/pathselect"
	"overlayd/probe"
)

const (
	wantedCircuits = 2                      // standing by for an active peer with a direct path; one more without
	nominateEvery  = 10 * time.Second       // while an active peer has ways enough
	searchEvery    = time.Second            // while it has not
	yieldFor       = 300 * time.Millisecond // the end with the larger identifier lets the other one open first
	listsLastFor   = 60 * time.Second       // how long nominations are believed
	firstRound     = time.Second            // after a peer becomes active; the time between rounds doubles
	listRounds     = 2                      // in which lists alone are to yield relays, where a path is up
	firstBackoff   = time.Second
	lastBackoff    = time.Minute
	samplesEnough  = 3  // of a circuit, to know better than hearsay
	openBonus      = 20 // what is open is worth more, by this part of its price
	leakyLoss      = 0.1
	testFor        = 5 * time.Second // that a new circuit may take to be measured
	measuredFor    = 2 * time.Minute // how long what was measured of a circuit counts more than hearsay
)

// nominations are the relays that a peer may be reached through. Everything in here is hearsay: it decides which
// circuits are tried, and only probes through a circuit decide whether it is used (D5).
type nominations struct {
	due      time.Time
	planned  time.Time  // what due was set to: it is earlier if something has happened
	rounds   int        // of nominations since the peer became active
	theirs   []neighbor // what the peer says that it reaches directly, the nearest first
	theirsAt time.Time
	routes   []nominee
	wanted   [][]wire.NodeID
	attempts map[viaKey]*attempt
	asked    time.Time // last RouteQuery about the peer
	told     time.Time // last Neighbors to the peer
	wished   time.Time // when the peer was last asked for its list, not being active
	nonce    uint32

	lists         bucket // that are taken from this peer: each makes this node rank its ways anew
	answered      int    // queries of this peer in the present second, and replies passed on for it
	answeredSince time.Time
	waiting       []waitingQuery // for word from this peer
}

// nominee is a route that somebody proposed, or that this node has put together.
type nominee struct {
	via   []wire.NodeID
	price time.Duration
	at    time.Time
	last  bool // against a wish, or over a relay in quarantine: tried where there is nothing else
}

func inMillis(ms float64) time.Duration { return time.Duration(ms * float64(time.Millisecond)) }

// priceOf is what is asked of a path before it is tried: its round-trip time, more for each relay, which spends somebody
// else's bandwidth, and more for what is lost, roughly as pathselect does.
func priceOf(rtt time.Duration, loss float64, relays int) time.Duration {
	return rtt + time.Duration(relays)*relayPrice + time.Duration(loss*float64(lossPrice))
}

const (
	relayPrice = 2 * time.Millisecond
	lossPrice  = time.Second // 10 ms for each percent
)

// viaKey is a list of relays as a map key.
type viaKey string

func appendVia(b []byte, via []wire.NodeID) []byte {
	for _, id := range via {
		b = append(b, id[:]...)
	}
	return b
}

// attempt is the history of opening a circuit through certain relays.
type attempt struct {
	pending  bool
	failures int
	notUntil time.Time
	why      string // it failed; empty: it did not

	measured   time.Duration // the price of the circuit when it was last open
	measuredAt time.Time     // zero: never
}

// tried is the history of trying certain relays, nil if there is none.
func (n *nominations) tried(via []wire.NodeID) *attempt {
	var key [wire.MaxRelays * len(wire.NodeID{})]byte
	return n.attempts[viaKey(appendVia(key[:0], via))]
}

func (n *nominations) attempt(via []wire.NodeID) *attempt {
	if n.attempts == nil {
		n.attempts = make(map[viaKey]*attempt)
	}
	a := n.tried(via)
	if a == nil {
		if len(n.attempts) >= 4*maxNominees {
			clear(n.attempts)
		}
		a = &attempt{}
		n.attempts[viaKey(appendVia(nil, via))] = a
	}
	return a
}

func (n *nominations) opened(via []wire.NodeID) {
	a := n.attempt(via)
	a.pending, a.failures, a.notUntil, a.why = false, 0, time.Time{}, ""
}

func (n *nominations) failed(now time.Time, via []wire.NodeID, why string) {
	a := n.attempt(via)
	a.pending, a.why = false, why
	a.notUntil = now.Add(min(firstBackoff<<min(a.failures, 10), lastBackoff))
	a.failures++
}

// lost notes that a circuit is gone that had been open for some time: a node on it was restarted, most likely, so another
// one may be opened at once.
func (n *nominations) lost(via []wire.NodeID, why string) {
	a := n.attempt(via)
	a.pending, a.failures, a.notUntil, a.why = false, 0, time.Time{}, why
}

// reopenAfter is how long a circuit must have been open for another one to be opened at once when it is lost.
const reopenAfter = 3 * time.Second

// without forgets every way through a node.
func (n *nominations) without(id wire.NodeID) {
	n.theirs = slices.DeleteFunc(n.theirs, func(t neighbor) bool { return t.id == id })
	n.routes = slices.DeleteFunc(n.routes, func(r nominee) bool { return slices.Contains(r.via, id) })
	n.wanted = slices.DeleteFunc(n.wanted, func(via []wire.NodeID) bool { return slices.Contains(via, id) })
}

func (n *nominations) wants(via []wire.NodeID) bool {
	return slices.ContainsFunc(n.wanted, func(w []wire.NodeID) bool { return slices.Equal(w, via) })
}

// nominate looks for relays to an active peer: it asks who may know, ranks what is known and opens what is missing.
func (c *Core) nominate(now time.Time, p *peer) {
	n := &p.relays
	if p.use.level != active {
		n.due, n.planned, n.rounds = time.Time{}, time.Time{}, 0
		c.openPinned(now, p)
		return
	}
	speaking := p.speakingPath()
	if speaking != nil && n.exchangeDue(now) {
		n.told = now
		list := wire.Neighbors{Want: true, List: c.neighbors(now)}
		c.sendOn(p, speaking, wire.KindNeighbors, list.Append(nil))
	}
	c.openWanted(now, p)
	few := len(n.wanted) < wantedCircuits && n.rounds >= listRounds // the lists of both ends cost less than a query
	if ask := now.Sub(n.asked); few && ask >= nominateEvery || speaking == nil && ask >= searchEvery {
		c.askRoutes(now, p)
	}
	c.explore(now, p)
	n.due = now.Add(min(firstRound<<min(n.rounds, 8), nominateEvery))
	n.rounds++
	if speaking == nil || c.desperate(now, p) || c.untested(now, p) {
		n.due = now.Add(searchEvery)
	}
	for _, via := range n.wanted {
		if a := n.attempt(via); !a.pending && p.byVia(via) == nil && a.notUntil.After(now) {
			n.due = earlier(n.due, a.notUntil)
		}
	}
	n.planned = n.due
	c.dropUnused(now, p)
}

// exchangeDue reports whether the two lists are to be exchanged. It is enough that one end begins; if something has
// happened, either does so at once.
func (n *nominations) exchangeDue(now time.Time) bool {
	since := now.Sub(n.told)
	if hastened := now.Before(n.planned); hastened || now.Sub(n.theirsAt) >= nominateEvery {
		return since >= searchEvery
	}
	return since >= nominateEvery
}

// openWanted ranks the nominated relays and opens the circuits that are missing.
func (c *Core) openWanted(now time.Time, p *peer) {
	p.relays.wanted = c.rank(now, p)
	alone := p.speakingPath() == nil
	for _, via := range p.relays.wanted {
		if p.byVia(via) != nil || !c.ready(now, p, via[0]) {
			continue
		}
		known := p.relays.tried(via) != nil
		a := p.relays.attempt(via)
		if !known && !alone && c.self.Compare(p.id) > 0 {
			a.notUntil = now.Add(yieldFor)
			p.relays.due = earlier(p.relays.due, a.notUntil)
		}
		if a.pending || (now.Before(a.notUntil) && !(alone && a.failures == 0)) {
			continue
		}
		a.pending = true
		c.step(c.circuits.Step(now, circuit.Open{Route: append(slices.Clone(via), p.id)}))
	}
}

// ready reports whether a circuit can begin at a relay: one that was met earlier and given up is met again first.
func (c *Core) ready(now time.Time, p *peer, relay wire.NodeID) bool {
	if q := c.peers[relay]; q != nil {
		return q.reachable()
	}
	if c.visit(now, relay) {
		p.relays.due = earlier(p.relays.due, now.Add(visitTakes))
	}
	return false
}

// rank is the list of relays that should stand by for the peer, best first.
func (c *Core) rank(now time.Time, p *peer) [][]wire.NodeID {
	found := c.compose(now, p)
	for _, n := range p.relays.routes {
		if now.Sub(n.at) < listsLastFor && !slices.ContainsFunc(found, func(f nominee) bool { return slices.Equal(f.via, n.via) }) {
			found = append(found, n)
		}
	}
	found = slices.DeleteFunc(found, func(n nominee) bool { return c.broken(now, p, n.via) })
	wish := c.policyFor(p, now)
	for i := range found {
		n := &found[i]
		n.price = c.appraise(now, p, n) + inMillis(wish.Toll(n.via)+pathselect.LoadCost(c.loadAlong(n.via)))
		_, excluded := wish.Excludes(n.via)
		n.last = excluded || c.suspected(now, p, n.via) || c.leaky(now, p, p.byVia(n.via))
	}
	slices.SortFunc(found, func(a, b nominee) int {
		if a.last != b.last {
			if b.last {
				return -1
			}
			return 1
		}
		if byPrice := cmp.Compare(a.price, b.price); byPrice != 0 {
			return byPrice
		}
		return slices.CompareFunc(a.via, b.via, wire.NodeID.Compare)
	})
	count := wantedCircuits
	if !p.reachable() {
		count++
	}
	var wanted [][]wire.NodeID
	if pinned := c.pinnedVia(p); len(pinned) > 0 && !c.broken(now, p, pinned) {
		wanted = append(wanted, pinned)
		count++
	}
	for _, disjoint := range []bool{true, false} { // first those that share no relay, then whatever is left
		for _, n := range found {
			if len(wanted) == count {
				return wanted
			}
			if slices.ContainsFunc(wanted, func(w []wire.NodeID) bool { return slices.Equal(w, n.via) }) {
				continue
			}
			if !disjoint || !slices.ContainsFunc(wanted, func(w []wire.NodeID) bool { return share(w, n.via) }) {
				wanted = append(wanted, n.via)
			}
		}
	}
	return wanted
}

// appraise is the price of a nominee: what was measured counts more than hearsay, so that who tells of short ways that are
// long is tried once in a while and not again and again. What is open stays, unless another one is clearly better.
func (c *Core) appraise(now time.Time, p *peer, n *nominee) time.Duration {
	q := p.byVia(n.via)
	if q != nil {
		if m, ok := p.prober.Measure(q.id, now); ok && m.Samples >= samplesEnough {
			a := p.relays.attempt(n.via)
			a.measured, a.measuredAt = priceOf(m.RTT, m.LossOut, len(n.via)), now
			c.hearsay.learn(now, n.via, n.price, priceOf(m.RTT, 0, len(n.via)))
		}
	}
	price := n.price + c.hearsay.of(n.via)
	if a := p.relays.tried(n.via); a != nil && !a.measuredAt.IsZero() && now.Sub(a.measuredAt) < measuredFor {
		price = a.measured
	}
	if q != nil {
		price -= price / openBonus
	}
	return price
}

// untested reports whether a circuit that is wanted was opened so lately that it is not known yet whether it is what was
// told: if it is not, the next one gets its turn at once.
func (c *Core) untested(now time.Time, p *peer) bool {
	return slices.ContainsFunc(p.relays.wanted, func(via []wire.NodeID) bool {
		a, q := p.relays.tried(via), p.byVia(via)
		switch {
		case a == nil:
			return false
		case q == nil:
			return a.pending
		}
		return a.measuredAt.IsZero() && now.Sub(q.created) < testFor
	})
}

// desperate reports whether what is sent to a peer takes a path that loses much, or that nobody wants.
func (c *Core) desperate(now time.Time, p *peer) bool {
	q := p.paths[p.route().Selected]
	return q != nil && !q.direct() && (c.leaky(now, p, q) || c.suspected(now, p, q.via))
}

// leaky reports whether a circuit loses so much that others should get their turn: of data too, of which hearsay tells
// nothing.
func (c *Core) leaky(now time.Time, p *peer, q *path) bool {
	if q == nil {
		return false
	}
	m, ok := p.prober.Measure(q.id, now)
	return ok && m.LossOutLow >= leakyLoss
}

// broken reports whether these relays were tried and do not work at present, so that others get their turn.
func (c *Core) broken(now time.Time, p *peer, via []wire.NodeID) bool {
	if q := p.byVia(via); q != nil {
		return p.state(q.id) == probe.Dead
	}
	a := p.relays.tried(via)
	return a != nil && a.failures > 0 && now.Before(a.notUntil)
}

func share(a, b []wire.NodeID) bool {
	return slices.ContainsFunc(a, func(id wire.NodeID) bool { return slices.Contains(b, id) })
}

// add keeps a nominee, in the place of an earlier word on the same relays or of the oldest.
func (n *nominations) add(fresh nominee) {
	n.routes = slices.DeleteFunc(n.routes, func(old nominee) bool { return slices.Equal(old.via, fresh.via) })
	if len(n.routes) == maxNominees {
		n.routes = slices.Delete(n.routes, 0, 1)
	}
	n.routes = append(n.routes, fresh)
}
