package node

import (
	"cmp"
	"slices"
	"time"

	"overlayd/internal/circuit"
	"overlayd/internal/wire"
	"overlayd/probe"
)

const (
	wantedCircuits = 2                      // standing by for an active peer with a direct path; one more without
	nominateEvery  = 10 * time.Second       // while an active peer has ways enough
	searchEvery    = time.Second            // while it has not
	yieldFor       = 300 * time.Millisecond // the end with the larger identifier lets the other one open first
	listsLastFor   = 60 * time.Second       // how long nominations are believed
	firstBackoff   = time.Second
	lastBackoff    = time.Minute

	freshFor   = 3 * time.Second // how long a neighbour counts as reached without a new answer, when others ask
	maxWaiting = 8               // queries that wait for such an answer, for each target
	waitFor    = time.Second

	queryFanout    = 4  // neighbours that a relay passes a query on to
	originFanout   = 8  // neighbours that the origin asks
	queriesASecond = 50 // that are taken from one neighbour
)

// nominations are the relays that a peer may be reached through. Everything in here is hearsay: it decides which
// circuits are tried, and only probes through a circuit decide whether it is used (D5).
type nominations struct {
	due      time.Time
	theirs   []wire.Neighbor // what the peer reaches directly
	theirsAt time.Time
	routes   []nominee
	wanted   [][]wire.NodeID
	attempts map[viaKey]*attempt
	asked    time.Time // last RouteQuery about the peer
	told     time.Time // last Neighbors to the peer
	nonce    uint32

	answered      int // queries of this peer in the present second
	answeredSince time.Time
	waiting       []waitingQuery // for word from this peer
}

// waitingQuery is a query about a peer whose direct path was not heard of lately. Its trail includes this node.
type waitingQuery struct {
	from  wire.NodeID
	query wire.RouteQuery
	until time.Time
}

// nominee is a route that somebody proposed.
type nominee struct {
	via []wire.NodeID
	rtt time.Duration
	at  time.Time
}

// viaKey is a list of relays as a map key.
type viaKey string

func keyOf(via []wire.NodeID) viaKey {
	b := make([]byte, 0, len(via)*len(wire.NodeID{}))
	for _, id := range via {
		b = append(b, id[:]...)
	}
	return viaKey(b)
}

// attempt is the history of opening a circuit through certain relays.
type attempt struct {
	pending  bool
	failures int
	notUntil time.Time
}

func (n *nominations) attempt(via []wire.NodeID) *attempt {
	if n.attempts == nil {
		n.attempts = make(map[viaKey]*attempt)
	}
	a := n.attempts[keyOf(via)]
	if a == nil {
		if len(n.attempts) >= 4*maxNominees {
			clear(n.attempts)
		}
		a = &attempt{}
		n.attempts[keyOf(via)] = a
	}
	return a
}

func (n *nominations) opened(via []wire.NodeID) { *n.attempt(via) = attempt{} }

func (n *nominations) failed(now time.Time, via []wire.NodeID) {
	a := n.attempt(via)
	a.pending = false
	a.notUntil = now.Add(min(firstBackoff<<min(a.failures, 10), lastBackoff))
	a.failures++
}

// without forgets every way through a node.
func (n *nominations) without(id wire.NodeID) {
	n.theirs = slices.DeleteFunc(n.theirs, func(t wire.Neighbor) bool { return t.ID == id })
	n.routes = slices.DeleteFunc(n.routes, func(r nominee) bool { return slices.Contains(r.via, id) })
	n.wanted = slices.DeleteFunc(n.wanted, func(via []wire.NodeID) bool { return slices.Contains(via, id) })
}

func (n *nominations) wants(via []wire.NodeID) bool {
	return slices.ContainsFunc(n.wanted, func(w []wire.NodeID) bool { return slices.Equal(w, via) })
}

// nominate looks for relays to an active peer: it asks who may know, ranks what is known and opens what is missing.
func (c *Core) nominate(now time.Time, p *peer) {
	if p.use.level != active {
		p.relays.due = time.Time{}
		return
	}
	speaking := p.speakingPath()
	if speaking != nil && now.Sub(p.relays.told) >= searchEvery {
		p.relays.told = now
		list := wire.Neighbors{Want: true, List: c.neighbors(now)}
		c.sendOn(p, speaking, wire.KindNeighbors, list.Append(nil))
	}
	c.openWanted(now, p)
	enough := len(p.relays.wanted) >= wantedCircuits && speaking != nil
	if ask := now.Sub(p.relays.asked); !enough && (ask >= nominateEvery || speaking == nil && ask >= searchEvery) {
		c.askRoutes(now, p)
	}
	p.relays.due = now.Add(nominateEvery)
	if speaking == nil {
		p.relays.due = now.Add(searchEvery)
	}
	for _, via := range p.relays.wanted {
		if a := p.relays.attempt(via); !a.pending && p.byVia(via) == nil && a.notUntil.After(now) {
			p.relays.due = earlier(p.relays.due, a.notUntil)
		}
	}
	c.dropUnused(now, p)
}

// openWanted ranks the nominated relays and opens the circuits that are missing.
func (c *Core) openWanted(now time.Time, p *peer) {
	p.relays.wanted = c.rank(now, p)
	alone := p.speakingPath() == nil
	for _, via := range p.relays.wanted {
		if p.byVia(via) != nil {
			continue
		}
		known := p.relays.attempts[keyOf(via)] != nil
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

// rank is the list of relays that should stand by for the peer, best first.
func (c *Core) rank(now time.Time, p *peer) [][]wire.NodeID {
	found := c.common(now, p)
	for _, n := range p.relays.routes {
		if now.Sub(n.at) < listsLastFor && !slices.ContainsFunc(found, func(f nominee) bool { return slices.Equal(f.via, n.via) }) {
			found = append(found, n)
		}
	}
	found = slices.DeleteFunc(found, func(n nominee) bool { return c.broken(now, p, n.via) })
	score := func(n nominee) time.Duration {
		if p.byVia(n.via) != nil {
			return n.rtt - n.rtt/5 // what is open stays, unless the other is clearly better
		}
		return n.rtt
	}
	slices.SortStableFunc(found, func(a, b nominee) int {
		return cmp.Or(cmp.Compare(score(a), score(b)), cmp.Compare(keyOf(a.via), keyOf(b.via)))
	})
	count := wantedCircuits
	if !p.reachable() {
		count++
	}
	var wanted [][]wire.NodeID
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

// broken reports whether these relays were tried and do not work at present, so that others get their turn.
func (c *Core) broken(now time.Time, p *peer, via []wire.NodeID) bool {
	if q := p.byVia(via); q != nil {
		return p.state(q.id) == probe.Dead
	}
	a := p.relays.attempts[keyOf(via)]
	return a != nil && a.failures > 0 && now.Before(a.notUntil)
}

func share(a, b []wire.NodeID) bool {
	return slices.ContainsFunc(a, func(id wire.NodeID) bool { return slices.Contains(b, id) })
}

// common are the neighbours of both ends.
func (c *Core) common(now time.Time, p *peer) []nominee {
	if now.Sub(p.relays.theirsAt) >= listsLastFor {
		return nil
	}
	var found []nominee
	for _, n := range p.relays.theirs {
		q := c.peers[n.ID]
		if q == nil || q == p || !relays(q.member) || !q.reachable() {
			continue
		}
		_, m := q.bestDirect(now)
		found = append(found, nominee{via: []wire.NodeID{n.ID}, rtt: m.RTT + n.RTT, at: now})
	}
	return found
}

// neighbors are the nodes that this one reaches directly, nearest first.
func (c *Core) neighbors(now time.Time) []wire.Neighbor {
	var list []wire.Neighbor
	for _, id := range c.order {
		q := c.peers[id]
		if q.reachable() {
			_, m := q.bestDirect(now)
			list = append(list, wire.Neighbor{ID: id, RTT: m.RTT, Loss: uint8(255 * min(max(m.LossOut, m.LossIn), 1))})
		}
	}
	slices.SortStableFunc(list, func(a, b wire.Neighbor) int { return cmp.Compare(a.RTT, b.RTT) })
	return list[:min(len(list), wire.MaxNeighbors)]
}

// theirNeighbors takes a peer's list, and answers with ours if that was asked for.
func (c *Core) theirNeighbors(now time.Time, p *peer, m wire.Neighbors) {
	p.relays.theirs, p.relays.theirsAt = m.List, now
	if m.Want {
		list := wire.Neighbors{List: c.neighbors(now)}
		c.say(now, p, wire.KindNeighbors, list.Append(nil))
	}
	if p.use.level == active {
		c.openWanted(now, p)
	}
}

// askRoutes asks the neighbours for ways to a peer.
func (c *Core) askRoutes(now time.Time, p *peer) {
	p.relays.asked = now
	p.relays.nonce = c.random.Uint32()
	q := wire.RouteQuery{Nonce: p.relays.nonce, Origin: c.self, Target: p.id, Hops: wire.MaxRelays - 1}
	c.passOn(now, q, originFanout)
}

// passOn sends a query to the nearest neighbours that it has not passed.
func (c *Core) passOn(now time.Time, q wire.RouteQuery, fanout int) {
	body := q.Append(nil)
	for _, n := range c.neighbors(now) {
		if fanout == 0 {
			return
		}
		if n.ID == q.Origin || n.ID == q.Target || slices.Contains(q.Trail, n.ID) || !relays(c.peers[n.ID].member) {
			continue
		}
		c.sayDirect(c.peers[n.ID], wire.KindRouteQuery, body)
		fanout--
	}
}

// routeQuery answers a neighbour's query, or passes it on.
func (c *Core) routeQuery(now time.Time, from *peer, q wire.RouteQuery) {
	last := q.Origin
	if len(q.Trail) > 0 {
		last = q.Trail[len(q.Trail)-1]
	}
	target := c.peers[q.Target]
	if last != from.id || q.Origin == c.self || c.known[q.Target].IsZero() || slices.Contains(q.Trail, c.self) ||
		len(q.Trail) >= wire.MaxRelays || !c.relaysForOthers() || !from.relays.mayAsk(now) {
		return
	}
	q.Trail = append(slices.Clone(q.Trail), c.self)
	if target != nil && target.reachable() {
		if _, m := target.bestDirect(now); now.Sub(m.LastDelivered) < freshFor {
			c.answerQuery(now, from.id, q)
			return
		}
		c.awaitWord(now, target, waitingQuery{from: from.id, query: q, until: now.Add(waitFor)})
	}
	if q.Hops > 0 && len(q.Trail) < wire.MaxRelays {
		q.Hops--
		c.passOn(now, q, queryFanout)
	}
}

// answerQuery nominates the way through this node.
func (c *Core) answerQuery(now time.Time, to wire.NodeID, q wire.RouteQuery) {
	target, back := c.peers[q.Target], c.peers[to]
	if target == nil || back == nil {
		return
	}
	_, m := target.bestDirect(now)
	reply := wire.RouteReply{Nonce: q.Nonce, Origin: q.Origin, Target: q.Target, Route: q.Trail, RTT: m.RTT}
	c.sayDirect(back, wire.KindRouteReply, reply.Append(nil))
}

// awaitWord probes a peer that an idle path may or may not reach any more, and keeps the query until it answers.
func (c *Core) awaitWord(now time.Time, target *peer, w waitingQuery) {
	n := &target.relays
	n.waiting = slices.DeleteFunc(n.waiting, func(old waitingQuery) bool {
		return now.After(old.until) || old.query.Nonce == w.query.Nonce
	})
	if len(n.waiting) == maxWaiting {
		return
	}
	n.waiting = append(n.waiting, w)
	c.probeDirect(now, target)
}

// probeDirect makes sure of the direct paths to a neighbour.
func (c *Core) probeDirect(now time.Time, p *peer) {
	for _, q := range p.sorted() {
		if q.direct() {
			c.step(p.prober.Step(now, probe.ProbeNow{ID: q.id}))
		}
	}
	c.touch(p)
}

// answerWaiting answers the queries about a peer that has just answered a probe on a direct path.
func (c *Core) answerWaiting(now time.Time, p *peer) {
	for _, w := range p.relays.waiting {
		if !now.After(w.until) {
			c.answerQuery(now, w.from, w.query)
		}
	}
	p.relays.waiting = nil
}

// mayAsk bounds the queries of one neighbour.
func (n *nominations) mayAsk(now time.Time) bool {
	if now.Sub(n.answeredSince) >= time.Second {
		n.answeredSince, n.answered = now, 0
	}
	n.answered++
	return n.answered <= queriesASecond
}

// routeReply takes a nomination, or passes it back along its route.
func (c *Core) routeReply(now time.Time, from *peer, r wire.RouteReply) {
	_, m := from.bestDirect(now)
	r.RTT += m.RTT
	if r.Origin == c.self {
		p := c.peers[r.Target]
		if p == nil || r.Nonce != p.relays.nonce || r.Route[0] != from.id || slices.Contains(r.Route, p.id) ||
			slices.ContainsFunc(r.Route, func(id wire.NodeID) bool { return c.known[id].IsZero() }) {
			return
		}
		p.relays.add(nominee{via: r.Route, rtt: r.RTT, at: now})
		if p.use.level == active {
			c.openWanted(now, p)
			c.touch(p)
		}
		return
	}
	at := slices.Index(r.Route, c.self)
	if at < 0 || at+1 >= len(r.Route) || r.Route[at+1] != from.id {
		return
	}
	back := r.Origin
	if at > 0 {
		back = r.Route[at-1]
	}
	if p := c.peers[back]; p != nil {
		c.sayDirect(p, wire.KindRouteReply, r.Append(nil))
	}
}

// add keeps a nominee, in the place of an earlier word on the same relays or of the oldest.
func (n *nominations) add(fresh nominee) {
	n.routes = slices.DeleteFunc(n.routes, func(old nominee) bool { return slices.Equal(old.via, fresh.via) })
	if len(n.routes) == maxNominees {
		n.routes = slices.Delete(n.routes, 0, 1)
	}
	n.routes = append(n.routes, fresh)
}
