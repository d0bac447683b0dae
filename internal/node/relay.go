package node

import (
	"time"

	"overlayd/internal/circuit"
	"overlayd/internal/wire"
	"overlayd/probe"
	"overlayd/tunnel/fwd"
)

// relayed is a circuit that this node forwards, as installed by the circuit machine.
type relayed struct {
	circuit.Install
	toA, toB *fwd.Counters // what was forwarded in each direction
	loaded   uint64        // bytes that the load has counted
	seen     wire.Stamp    // the latest use that the machine has heard of
}

// circuited carries out what the circuit machine wants.
func (c *Core) circuited(now time.Time) (any bool) {
	c.circuitOut = c.circuits.Drain(c.circuitOut[:0])
	for _, out := range c.circuitOut {
		any = true
		switch out := out.(type) {
		case circuit.Send:
			if p := c.peers[out.To]; p != nil {
				c.sayDirect(p, out.Kind, out.Body)
			}
		case circuit.Opened:
			c.circuitOpened(now, out)
		case circuit.Failed:
			c.circuitFailed(now, out)
		case circuit.Closed:
			c.circuitClosed(now, out.Peer, out.ID)
		case circuit.Install:
			c.relaying[out.ID] = &relayed{Install: out, toA: new(fwd.Counters), toB: new(fwd.Counters)}
			c.dirty = true
		case circuit.Uninstall:
			delete(c.relaying, out.ID)
			c.dirty = true
		}
	}
	return any
}

// circuitOpened begins to measure a new circuit. The opener is only claimed; a probe sealed by it has to prove it.
func (c *Core) circuitOpened(now time.Time, out circuit.Opened) {
	p := c.peers[out.Peer]
	if p == nil {
		p = c.claimant(now, out.Peer, out.FirstHop)
	}
	if p == nil {
		c.step(c.circuits.Step(now, circuit.Close{ID: out.ID}))
		return
	}
	if !c.makeRoom(now, p, out) {
		if out.Initiator {
			p.relays.failed(now, out.Via, "there are too many circuits to the peer")
		}
		c.step(c.circuits.Step(now, circuit.Close{ID: out.ID}))
		return
	}
	q := &path{
		circuit: out.ID, via: out.Via, firstHop: out.FirstHop, receive: out.ReceiveLabel, initiator: out.Initiator,
	}
	c.addPath(now, p, q, c.hopTo(now, out.FirstHop, out.SendLabel))
	c.setRates(now, p)
	if out.Initiator {
		p.relays.opened(out.Via)
	}
	c.pingOpened(now, p, q)
}

// dropWorstCircuit closes a circuit that is not in use, to make room; or one that is not used any more because it loses
// data, unless the peer still uses it.
func (c *Core) dropWorstCircuit(now time.Time, p *peer) bool {
	unused := func(q *path) bool { return !c.inUse(now, p, q) }
	useless := func(q *path) bool {
		_, _, last := q.fwd.Counters.Counts()
		return !p.choices.selects(q.id) && (c.leaky(now, p, q) || c.suspected(now, p, q.via)) &&
			(last == 0 || now.Sub(c.timeOf(last)) > uselessFor)
	}
	for _, droppable := range []func(*path) bool{unused, useless} {
		for _, q := range p.sorted() {
			if !q.direct() && droppable(q) {
				c.closeCircuit(now, p, q)
				return true
			}
		}
	}
	return false
}

func (c *Core) closeCircuit(now time.Time, p *peer, q *path) {
	c.step(c.circuits.Step(now, circuit.Close{ID: q.circuit}))
	c.removePath(now, p, q)
}

// circuitFailed forgets a circuit, or an attempt to open one, and looks for another.
func (c *Core) circuitFailed(now time.Time, out circuit.Failed) {
	p := c.peers[out.Peer]
	if p == nil {
		return
	}
	why := c.reportedBy(out.By) + out.Reason
	if q := p.byCircuit(out.ID); q != nil && now.Sub(q.created) >= reopenAfter {
		p.relays.lost(out.Via, why)
	} else {
		p.relays.failed(now, out.Via, why)
	}
	c.pingFailed(p, out.Via, out.Reason)
	c.circuitClosed(now, out.Peer, out.ID)
	if p.use.level == active || p.pinned {
		p.relays.due = now
		c.touch(p)
	}
}

// reportedBy is the beginning of a sentence that another node said.
func (c *Core) reportedBy(id wire.NodeID) string {
	if id.IsZero() || id == c.self {
		return ""
	}
	return c.name(id) + " says: "
}

func (c *Core) circuitClosed(now time.Time, id wire.NodeID, circuitID wire.CircuitID) {
	p := c.peers[id]
	if p == nil {
		return
	}
	for _, q := range p.sorted() {
		if q.circuit == circuitID && !q.direct() {
			c.removePath(now, p, q)
		}
	}
}

// hopTo is the way to a neighbour, with a label in front. The hop of a neighbour that is not reachable now is the best
// known one: probes find out. An address that never answered is none, whoever says that the neighbour is there: data would
// go to a stranger.
func (c *Core) hopTo(now time.Time, neighbor wire.NodeID, label wire.Label) fwd.Hop {
	if p := c.peers[neighbor]; p != nil {
		if q, state := p.link(); q != nil && state != probe.Candidate {
			hop := q.fwd.Hop
			hop.Label = label
			return hop
		}
	}
	return fwd.Hop{Label: label}
}

// reportUse tells the circuit machine which circuits carried anything, so that it keeps them.
func (c *Core) reportUse(now time.Time) {
	for _, id := range sortedKeys(c.relaying) {
		r := c.relaying[id]
		last := max(wire.Stamp(r.toA.LastRx.Load()), wire.Stamp(r.toB.LastRx.Load()))
		if last > r.seen {
			r.seen = last
			c.step(c.circuits.Step(now, circuit.Used{ID: id, At: c.timeOf(last)}))
		}
	}
}

// dropUnused closes circuits that this node opened and nobody needs.
func (c *Core) dropUnused(now time.Time, p *peer) {
	for _, q := range p.sorted() {
		if !q.direct() && q.initiator && !c.inUse(now, p, q) {
			c.closeCircuit(now, p, q)
		}
	}
}

// uselessFor is how long the peer must not have sent on a circuit that loses data before it may be closed for another.
const uselessFor = 2 * time.Second

// unusedFor is how long a circuit carries no data before it may be closed.
const unusedFor = 15 * time.Second

// inUse reports whether a circuit is needed: selected, standing by for an active peer, wanted by the present
// nomination, or carrying data not long ago.
func (c *Core) inUse(now time.Time, p *peer, q *path) bool {
	if n := q.packets(); n != q.lastCount {
		q.lastCount, q.lastUse = n, now
	}
	if now.Sub(q.lastUse) < unusedFor || c.keepsPinned(p, q) {
		return true
	}
	if p.use.level == idle {
		return false
	}
	if p.choices.carries(q.id) {
		return true
	}
	if p.use.level == recent {
		return false
	}
	return p.choices.standby(q.id) || p.relays.wants(q.via) && p.byVia(q.via) == q
}
