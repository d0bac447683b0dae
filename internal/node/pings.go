package node

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"overlayd/internal/circuit"
	"overlayd/internal/wire"
)

// maxPings bounds the pings that people have under way.
const maxPings = 64

// What a person's ping may run into.
var (
	ErrNoPath    = errors.New("no path to the peer is known yet")
	ErrManyPings = errors.New("too many pings are under way: wait for some to end")
)

// pings are the pings of people: they travel a path of their choosing and do not count as measurements.
type pings struct {
	last uint32
	out  map[uint32]*pingRequest
}

type pingRequest struct {
	peer  wire.NodeID
	nonce uint64 // of the ping, once it is sent
	sent  wire.Stamp
	via   []wire.NodeID // if it waits for a circuit
	wait  bool          // for that circuit
	any   bool          // it waits for whatever path comes first
}

// Ping sends one ping to a peer: on the selected path, or through the given relays, for which a circuit is opened if
// there is none. PingDone tells what became of it, unless the caller gives up first (CancelPing).
func (c *Core) Ping(now time.Time, to wire.NodeID, via []wire.NodeID, chosen bool) (uint32, error) {
	p := c.contact(now, to)
	if p == nil {
		return 0, fmt.Errorf("%s: %w", c.name(to), ErrNoPath)
	}
	if len(c.pings.out) >= maxPings {
		return 0, ErrManyPings
	}
	c.pings.last++
	id := c.pings.last
	r := &pingRequest{peer: to, via: via}
	var q *path
	switch {
	case !chosen:
		if q = p.speakingPath(); q == nil {
			c.wake(now, p)
			r.any = true
		}
	case len(via) == 0:
		q, _ = p.link()
		if q == nil {
			return 0, fmt.Errorf("%s: %w", c.name(to), ErrNoPath)
		}
	default:
		q = p.byVia(via)
		r.wait = q == nil
	}
	if c.pings.out == nil {
		c.pings.out = make(map[uint32]*pingRequest)
	}
	c.pings.out[id] = r
	if r.any {
		c.settle(now)
		return id, nil
	}
	if r.wait {
		c.step(c.circuits.Step(now, circuit.Open{Route: append(slices.Clone(via), to)}))
	} else {
		c.sendPing(now, p, q, id)
	}
	c.settle(now)
	return id, nil
}

// CancelPing forgets a ping that nobody waits for any more, and reports whether it was never sent for want of a path.
func (c *Core) CancelPing(id uint32) (pathless bool) {
	r := c.pings.out[id]
	delete(c.pings.out, id)
	return r != nil && r.any
}

// sendPing sends the ping with the given number. Path zero tells both ends that it is not a measurement.
func (c *Core) sendPing(now time.Time, p *peer, q *path, id uint32) {
	r := c.pings.out[id]
	r.nonce, r.sent = c.secret.Uint64(), c.Stamp(now)
	ping := wire.Ping{Seq: id, Nonce: r.nonce, Sent: r.sent}
	c.sendOn(p, q, wire.KindPing, ping.Append(nil))
}

// pinged takes the answer to a person's ping.
func (c *Core) pinged(p *peer, on *path, m wire.Pong, at time.Time) {
	r := c.pings.out[m.Seq]
	if r == nil || r.peer != p.id || r.sent == 0 || r.nonce != m.Nonce {
		return
	}
	delete(c.pings.out, m.Seq)
	rtt := c.Stamp(at).Sub(r.sent) - m.Replied.Sub(m.Received)
	c.emit(PingDone{ID: m.Seq, RTT: max(rtt, 0), Via: c.names(on.via), Endpoint: on.fwd.Hop.Addr.String()})
}

// pingReady sends the pings that waited for any path.
func (c *Core) pingReady(now time.Time, p *peer) {
	for _, id := range sortedKeys(c.pings.out) {
		if r := c.pings.out[id]; r.any && r.peer == p.id {
			r.any = false
			c.sendPing(now, p, p.speakingPath(), id)
		}
	}
}

// pingOpened sends the pings that waited for a circuit.
func (c *Core) pingOpened(now time.Time, p *peer, q *path) {
	for _, id := range sortedKeys(c.pings.out) {
		if r := c.pings.out[id]; r.wait && r.peer == p.id && slices.Equal(r.via, q.via) {
			r.wait = false
			c.sendPing(now, p, q, id)
		}
	}
}

// pingFailed ends the pings that waited for a circuit that cannot be opened.
func (c *Core) pingFailed(p *peer, via []wire.NodeID, why string) {
	for _, id := range sortedKeys(c.pings.out) {
		if r := c.pings.out[id]; r.wait && r.peer == p.id && slices.Equal(r.via, via) {
			delete(c.pings.out, id)
			c.emit(PingDone{ID: id, Err: why})
		}
	}
}
