package node

import (
	"slices"
	"time"

	"overlayd/internal/wire"
	"overlayd/probe"
)

const (
	freshFor   = 3 * time.Second // how long a neighbour counts as reached without a new answer, when others ask
	maxWaiting = 8               // queries that wait for such an answer, for each target
	waitFor    = time.Second

	queryFanout    = 4  // neighbours that a relay passes a query on to
	originFanout   = 8  // neighbours that the origin asks
	queriesASecond = 50 // that are taken from one neighbour
	queriesOfAll   = 500
)

// waitingQuery is a query about a peer whose direct path was not heard of lately. Its trail includes this node.
type waitingQuery struct {
	from  wire.NodeID
	query wire.RouteQuery
	until time.Time
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
	for _, n := range c.reached(now) {
		if fanout == 0 {
			return
		}
		if n.id == q.Origin || n.id == q.Target || slices.Contains(q.Trail, n.id) || !relays(c.peers[n.id].member) {
			continue
		}
		c.sayDirect(c.peers[n.id], wire.KindRouteQuery, body)
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
		len(q.Trail) >= wire.MaxRelays || !c.relaysForOthers() || !from.relays.mayAsk(now) || !c.queries.take(now) {
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
		p.relays.add(nominee{via: r.Route, price: priceOf(r.RTT, 0, len(r.Route)), at: now})
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
	if p := c.peers[back]; p != nil && from.relays.mayAsk(now) {
		c.sayDirect(p, wire.KindRouteReply, r.Append(nil))
	}
}
