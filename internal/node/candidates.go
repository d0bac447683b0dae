package node

import (
	"net/netip"
	"time"

	"overlayd/probe"
	"overlayd/tunnel/fwd"
)

const (
	// turn is how long an endpoint has, to answer, while others wait for its place: the round trip by satellite, and a
	// few probes of which one may be lost.
	turn = time.Second

	// silentFor is how long an endpoint that the peer does not publish may be dead until it has to wait for its turn
	// like one that never answered.
	silentFor = time.Minute
)

// tryEndpoints gives the endpoints that the peer publishes their turns, those that it prefers first, and where it was
// reached before: behind a router that forwards a port, or just after its start, it does not know that address itself.
func (c *Core) tryEndpoints(now time.Time, p *peer) {
	var list []netip.AddrPort
	for _, endpoint := range p.member.Record.Endpoints {
		if c.worthTrying(endpoint) {
			list = append(list, endpoint)
		}
	}
	if contact := c.cfg.Contact; contact.Node == p.id && contact.Endpoint.IsValid() {
		list = append(list, contact.Endpoint)
	}
	p.endpoints.Publish(now, list)
	c.takeTurns(now, p)
}

// worthTrying reports whether an endpoint can be that of another node: not on the overlay, which carries no underlay,
// and not this node's own, which it meets where many hosts have the same address, on a bridge for instance.
func (c *Core) worthTrying(endpoint netip.AddrPort) bool {
	socket, ok := c.socketFor(endpoint.Addr())
	if !ok || c.onOverlay(endpoint.Addr()) {
		return false
	}
	return endpoint.Port() != c.cfg.Sockets[socket].Port() || !c.owns(endpoint.Addr())
}

// takeTurns begins to measure endpoints whose turn it is, as far as there is room: a path that works is not displaced,
// nor one that has not had its time.
func (c *Core) takeTurns(now time.Time, p *peer) {
	p.turn = time.Time{}
	fresh := p.reachable()
	for p.endpoints.Waits(now, fresh) {
		if direct, _ := p.count(); direct >= maxDirectPaths {
			tired, at := p.tired(now)
			if tired == nil {
				p.turn = at
				return
			}
			c.giveUp(now, p, tired)
		}
		endpoint, _ := p.endpoints.Next(now, fresh)
		socket, _ := c.socketFor(endpoint.Addr())
		if p.byEndpoint(socket, endpoint) == nil {
			c.addPath(now, p, &path{endpoint: endpoint}, fwd.Hop{Socket: socket, Addr: endpoint})
		}
	}
	if due, ok := p.endpoints.Due(fresh); ok {
		p.turn = due
	}
}

// tired is the direct path that does not work and has had its time; of several the one that has had it for longest. If
// there is none, at is when there may be one; zero: not before a path changes.
func (p *peer) tired(now time.Time) (tired *path, at time.Time) {
	for _, q := range p.sorted() {
		if !q.direct() || linkRank(p.state(q.id)) < linkRank(probe.Dead) {
			continue
		}
		if end := q.created.Add(turn); end.After(now) {
			if at.IsZero() || end.Before(at) {
				at = end
			}
			continue
		}
		if tired == nil || q.created.Before(tired.created) {
			tired = q
		}
	}
	return tired, at
}

// giveUp forgets a direct path that does not work; its endpoint has another turn later.
func (c *Core) giveUp(now time.Time, p *peer, q *path) {
	c.removePath(now, p, q)
	p.endpoints.Failed(now, q.endpoint)
}

// displaceDirect lets a direct path go for the sake of one on which the peer has just been heard.
func (c *Core) displaceDirect(now time.Time, p *peer) bool {
	if tired, _ := p.tired(now); tired != nil {
		c.giveUp(now, p, tired)
		return true
	}
	var latest *path
	for _, q := range p.sorted() {
		if q.direct() && !q.heard && p.state(q.id) == probe.Candidate && (latest == nil || q.created.After(latest.created)) {
			latest = q
		}
	}
	if latest == nil {
		return false
	}
	c.removePath(now, p, latest)
	p.endpoints.PutBack(now, latest.endpoint)
	return true
}

// dropCandidates forgets endpoints that never answered, once the peer is reached at another one, and those where it was
// once and which it does not publish: somebody else may have the address by now.
func (c *Core) dropCandidates(now time.Time, p *peer) {
	reachable := p.reachable()
	for _, q := range p.sorted() {
		if !q.direct() {
			continue
		}
		switch m, _ := p.prober.Measure(q.id, now); {
		case m.State == probe.Candidate && reachable && now.Sub(q.created) > candidateFor:
			c.giveUp(now, p, q)
		case m.State == probe.Candidate && !p.endpoints.Published(q.endpoint) && now.Sub(q.created) > silentFor,
			m.State == probe.Dead && !p.endpoints.Published(q.endpoint) && now.Sub(m.Since) > silentFor:
			p.endpoints.Learn(now, q.endpoint)
			c.giveUp(now, p, q)
		}
	}
	c.takeTurns(now, p)
}
