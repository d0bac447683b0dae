package node

import (
	"net/netip"
	"time"

	"overlayd/internal/circuit"
	"overlayd/internal/wire"
	"overlayd/nat"
	"overlayd/probe"
	"overlayd/tunnel/fwd"
)

// addDirect begins to measure the direct path to an endpoint of the peer. It returns nil if there is no socket of that
// family, or no room: a path that is up or in use is never displaced.
func (c *Core) addDirect(now time.Time, p *peer, endpoint netip.AddrPort) *path {
	socket, ok := c.socketFor(endpoint.Addr())
	if !ok || c.onOverlay(endpoint.Addr()) {
		return nil
	}
	if q := p.byEndpoint(socket, endpoint); q != nil {
		return q
	}
	if direct, _ := p.count(); direct >= maxDirectPaths && !c.displaceDirect(now, p) {
		return nil
	}
	q := &path{endpoint: endpoint}
	c.addPath(now, p, q, fwd.Hop{Socket: socket, Addr: endpoint})
	p.endpoints.Trying(endpoint)
	return q
}

// addPath gives the path a number and starts to measure it.
func (c *Core) addPath(now time.Time, p *peer, q *path, hop fwd.Hop) {
	for p.lastPath++; p.lastPath == 0 || p.paths[p.lastPath] != nil; p.lastPath++ {
	}
	q.id, q.created, q.lastUse, q.rate = p.lastPath, now, now, p.leastRate()
	q.fwd = &fwd.Path{Peer: p.id, ID: q.id, Hop: hop, Counters: new(fwd.Counters)}
	p.add(q)
	c.step(p.prober.Step(now, probe.AddPath{ID: q.id, Counts: q.fwd.Counters, Rate: q.rate}))
	c.probeSoon(now, p, q)
	p.outdated = true
	c.outdate(p)
	c.touch(p)
}

// probeSoon finds out about a path: quickly, unless nothing flows.
func (c *Core) probeSoon(now time.Time, p *peer, q *path) {
	c.step(p.prober.Step(now, probe.ProbeNow{ID: q.id, Once: p.use.level == idle && !p.pinned}))
}

// probePaths finds out about all paths of a peer: where it was a moment ago it may not be any more, and an idle path is
// looked at only every half minute.
func (c *Core) probePaths(now time.Time, p *peer) {
	for _, q := range p.sorted() {
		c.probeSoon(now, p, q)
	}
	c.touch(p)
}

// removePath forgets a path; the selection moves away in the same step.
func (c *Core) removePath(now time.Time, p *peer, q *path) {
	p.remove(q)
	c.step(p.prober.Step(now, probe.RemovePath{ID: q.id}))
	p.outdated = true
	c.outdate(p)
	c.touch(p)
}

// candidateFor is how long an endpoint may stay silent while another one works.
const candidateFor = 30 * time.Second

// probed carries out what the peer's prober wants.
func (c *Core) probed(now time.Time, p *peer) (any bool) {
	c.probeOut = p.prober.Drain(c.probeOut[:0])
	for _, out := range c.probeOut {
		any = true
		switch out := out.(type) {
		case probe.SendPing:
			out.Ping.Known, out.Ping.Load = c.knowledge(), c.publishedLoad(now)
			c.sendOn(p, p.paths[out.Path], wire.KindPing, out.Ping.Append(nil))
		case probe.SendPong:
			out.Pong.Known, out.Pong.Load = c.knowledge(), c.publishedLoad(now)
			body := out.Pong.Append(nil)
			for _, id := range out.Paths {
				c.sendOn(p, p.paths[id], wire.KindPong, body)
			}
		case probe.Changed:
			c.pathChanged(now, p, out)
		}
	}
	return any
}

// pathChanged tells whoever depends on the state of a path.
func (c *Core) pathChanged(now time.Time, p *peer, out probe.Changed) {
	q := p.paths[out.Path]
	if q == nil {
		return
	}
	c.emit(c.changed(p, q, out))
	if (out.To == probe.Suspect || out.To == probe.Dead) && p.use.level == active && q.id == p.route().Selected {
		by := q.firstHop
		if q.direct() {
			by = p.id
		}
		c.trouble.note(now, by)
	}
	p.outdated = true
	c.outdate(p)
	c.networksChanged = c.networksChanged || c.advertisers[p.id] || q.direct() && len(c.advertisers) > 0
	if q.direct() {
		if out.To == probe.Up {
			p.endpoints.Answered(q.endpoint)
		}
		up := p.reachable()
		c.step(c.circuits.Step(now, circuit.Reachable{ID: p.id, Direct: up}))
		c.step(c.puncher.Step(now, nat.Direct{Peer: p.id, Up: up}))
	}
	speaking := p.speakingPath() != nil
	switch {
	case speaking && !p.meeting.met:
		c.met(now, p)
	case !speaking && p.meeting.met:
		c.unmet(now, p)
	}
	if speaking {
		c.pingReady(now, p)
	}
	if out.To == probe.Up && !p.reachable() {
		c.tellNow(now, p)
	}
	if q.direct() && !p.reachable() {
		p.endpoints.Again(now)
		c.tryEndpoints(now, p)
		if p.use.level == active {
			c.wantDirect(now, p)
		}
	}
	if out.To == probe.Dead && p.use.level == active {
		p.relays.due = now // look for more ways at once
	}
	if (out.To == probe.Suspect || out.To == probe.Dead) && !q.direct() {
		c.checkHop(now, p, q)
	}
}

// wake makes a peer active because data waits for it.
func (c *Core) wake(now time.Time, p *peer) {
	p.use.ours = now
	c.setLevel(now, p)
	c.touch(p)
}

// staleFor is how long after the start of this node a peer may use a session from before it. WireGuard finds out only
// when nothing has come back for 15 s.
const staleFor = 30 * time.Second

// renewAfter is how long a peer sends without an answer of ours before its session is taken for stale. A session that is
// only beginning must not be crossed by another one.
const renewAfter = time.Second

// theirActivity notes the peer's word that data flows or does not.
func (c *Core) theirActivity(now time.Time, p *peer, busy bool) {
	if !busy {
		return
	}
	p.use.theirs = now
	if p.meeting.busySince.IsZero() || c.catchup.holds(p.id) { // while it is held its handshakes are not taken
		p.meeting.busySince = now
	}
	if !p.meeting.renewed && now.Sub(c.origin) < staleFor && now.Sub(p.meeting.busySince) >= renewAfter && !p.answered() {
		p.meeting.renewed = true
		c.emit(RenewSession{ID: p.id})
	}
	if p.use.level != active {
		c.setLevel(now, p)
	}
}

// checkUse looks at the counters: did data flow since the last look?
func (c *Core) checkUse(now time.Time, p *peer) {
	p.use.nextCheck = now.Add(checkRate)
	var packets, bytes uint64
	for _, q := range p.paths {
		n, size := q.packets(), q.bytes()
		packets, bytes = packets+n-q.lookedPackets, bytes+size-q.lookedBytes
		q.lookedPackets, q.lookedBytes = n, size
	}
	if packets > 0 && bytes > packets*keepaliveLen {
		p.use.ours = now
	}
	if p.use.level == active && p.relays.due.After(now.Add(searchEvery)) && c.desperate(now, p) {
		p.relays.due = now
	}
	c.setLevel(now, p)
}

// setLevel derives the level of activity and what follows from a change of it.
func (c *Core) setLevel(now time.Time, p *peer) {
	level := idle
	last := p.use.ours
	if p.use.theirs.After(last) {
		last = p.use.theirs
	}
	switch age := now.Sub(last); {
	case last.IsZero():
	case age < activeFor:
		level = active
	case age < recentFor:
		level = recent
	}
	ours := !p.use.ours.IsZero() && now.Sub(p.use.ours) < activeFor
	c.step(p.prober.Step(now, probe.SetActive{Active: ours}))
	if level == p.use.level {
		return
	}
	was := p.use.level
	p.use.level = level
	c.hopsChanged = true
	c.outdate(p)
	c.networksChanged = c.networksChanged || len(p.member.Subnets) > 0
	c.setRates(now, p)
	if level != idle && was == idle {
		p.heard = now // it is not given up for having been silent
	}
	if level == active {
		p.use.nextCheck = now.Add(checkRate)
		p.relays.due = now
		for _, q := range p.sorted() {
			c.step(p.prober.Step(now, probe.ProbeNow{ID: q.id}))
		}
		c.wantDirect(now, p)
	}
	if was == active {
		c.step(c.puncher.Step(now, nat.Forget{Peer: p.id}))
		c.dropUnused(now, p)
	}
}
