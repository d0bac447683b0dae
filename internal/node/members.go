package node

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"overlayd/internal/circuit"
	"overlayd/internal/member"
	"overlayd/internal/wire"
	"overlayd/nat"
	"overlayd/pathselect"
	"overlayd/probe"
	"overlayd/tunnel/fwd"
)

// memberChanges follows the set of members.
func (c *Core) memberChanges(now time.Time) (any bool) {
	c.memberOut = c.members.Drain(c.memberOut[:0])
	for _, out := range c.memberOut {
		any = true
		switch out := out.(type) {
		case member.Send:
			if p := c.peers[out.To]; p != nil {
				c.say(now, p, wire.KindMembers, out.Body)
			}
		case member.Changed:
			c.memberChanged(now, out.Node)
		case member.Save:
			c.emit(SaveMembers{Records: out.Records})
		}
	}
	return any
}

// memberChanged makes, renews or removes the peer that a member is to us.
func (c *Core) memberChanged(now time.Time, id wire.NodeID) {
	if id == c.self {
		return
	}
	m, known := c.members.Get(id)
	if !known {
		c.forget(now, id)
		return
	}
	p := c.peers[id]
	if p == nil {
		p = c.meet(m)
	}
	p.member = m
	var allowed []netip.Prefix
	for _, a := range []netip.Addr{m.IPv4, m.IPv6} {
		if a.IsValid() {
			allowed = append(allowed, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	c.emit(AddPeer{ID: id, Public: m.Record.Certificate.WireGuard, Allowed: allowed})
	c.tryEndpoints(now, p)
	c.touch(p)
}

// meet makes the state that a new member needs.
func (c *Core) meet(m member.Member) *peer {
	p := &peer{
		id: m.ID, paths: make(map[wire.PathID]*path), place: notInAgenda, member: m,
		prober:   probe.New(c.cfg.Probe, c.Stamp, rand.New(rand.NewPCG(c.random.Uint64(), c.random.Uint64()))),
		selector: pathselect.New(c.cfg.Select, c.cfg.Algorithm, rand.New(rand.NewPCG(c.random.Uint64(), c.random.Uint64()))),
		budget:   fwd.NewBudget(copyRate, copyBurst),
	}
	c.box.AddPeer(m.ID, m.Record.Certificate.WireGuard)
	c.peers[m.ID] = p
	at, _ := slices.BinarySearchFunc(c.order, m.ID, wire.NodeID.Compare)
	c.order = slices.Insert(c.order, at, m.ID)
	c.dirty = true
	return p
}

// Copies to a peer on a second path, while the first is suspect: bytes a second, and bytes at once.
const (
	copyRate  = 64 << 10
	copyBurst = 512 << 10
)

// forget removes a peer that is no member any more.
func (c *Core) forget(now time.Time, id wire.NodeID) {
	p := c.peers[id]
	if p == nil {
		return
	}
	c.agenda.remove(p)
	delete(c.peers, id)
	if at, ok := slices.BinarySearchFunc(c.order, id, wire.NodeID.Compare); ok {
		c.order = slices.Delete(c.order, at, at+1)
	}
	c.box.RemovePeer(id)
	c.step(c.puncher.Step(now, nat.Forget{Peer: id}))
	c.step(c.circuits.Step(now, circuit.NeighborGone{ID: id}))
	c.dirty = true
	c.emit(RemovePeer{ID: id})
}

// relaysForOthers reports whether this node forwards circuits of others.
func (c *Core) relaysForOthers() bool {
	return c.cfg.Relay != member.RelayNever && c.cfg.Certificate.Capabilities.Has(member.Relay)
}

// relays reports whether a member forwards circuits of others.
func relays(m member.Member) bool {
	return m.Record.Statement.Relay != member.RelayNever && m.Record.Certificate.Capabilities.Has(member.Relay)
}

// join answers a newcomer that has a token of ours. What was decided is stored before it is told.
func (c *Core) join(now time.Time, in Datagram, back fwd.Hop) {
	answer, err := c.inviter.Receive(now, in.From, in.Data)
	c.step(err)
	if answer.Save {
		c.emit(SaveInvitations{List: c.inviter.Invitations()})
	}
	if answer.Record != nil {
		c.step(c.members.Step(now, member.Learn{Record: answer.Record}))
		c.emit(SaveMembers{Records: c.members.Records(), Now: true})
	}
	if answer.Frame != nil {
		c.emit(Send{Hop: back, Frame: answer.Frame})
	}
}

// Invite makes a token for one newcomer. Without endpoints it names those that this node publishes. The invitation must
// be stored (SaveInvitations) before the token is handed out.
func (c *Core) Invite(now time.Time, name string, ttl time.Duration, endpoints []string) (string, error) {
	if len(endpoints) == 0 {
		for _, e := range c.endpoints {
			endpoints = append(endpoints, e.String())
		}
	}
	token, err := c.inviter.Create(now, name, ttl, endpoints)
	if err != nil {
		return "", err
	}
	c.emit(SaveInvitations{List: c.inviter.Invitations()})
	return token, nil
}
