package node

import (
	"net/netip"
	"slices"
	"time"

	"overlayd/internal/member"
	"overlayd/internal/wire"
	"overlayd/nat"
	"overlayd/probe"
)

// localAddresses notes the addresses of this host, without those that come and go.
func (c *Core) localAddresses(now time.Time, addrs []netip.Addr) {
	c.damper.Set(now, addrs)
	c.settleAddresses(now)
}

// settleAddresses takes the addresses that count by now.
func (c *Core) settleAddresses(now time.Time) {
	addrs := c.damper.Steady(now)
	c.steadyAt, _ = c.damper.NextDeadline(now)
	var endpoints []netip.AddrPort
	for _, a := range addrs {
		if socket, ok := c.socketFor(a); ok {
			if own := c.cfg.Sockets[socket]; own.Addr().IsUnspecified() || own.Addr() == a {
				endpoints = append(endpoints, netip.AddrPortFrom(a, own.Port()))
			}
		}
	}
	c.step(c.gatherer.Step(now, nat.SetLocal{Addrs: endpoints}))
	if moved := len(c.local) > 0 && !slices.Equal(c.local, addrs); moved {
		for _, id := range c.order { // who hears from the new address speaks to it
			c.probePaths(now, c.peers[id])
		}
	}
	c.local = addrs
}

// socketFor is the local socket of an address's family.
func (c *Core) socketFor(a netip.Addr) (uint8, bool) {
	for i, s := range c.cfg.Sockets {
		if s.Addr().Is4() == a.Unmap().Is4() {
			return uint8(i), true
		}
	}
	return 0, false
}

// gathered publishes where this node can be reached.
func (c *Core) gathered(now time.Time) (any bool) {
	c.natOut = c.gatherer.Drain(c.natOut[:0])
	for _, out := range c.natOut {
		any = true
		if out, ok := out.(nat.Changed); ok {
			c.endpoints = out.Endpoints
			c.publishSelf(now)
		}
	}
	return any
}

// publishSelf makes a new record of this node, if what it says has changed.
func (c *Core) publishSelf(now time.Time) {
	c.step(c.members.Step(now, member.Publish{Statement: member.Statement{
		Endpoints: c.endpoints, Relay: c.cfg.Relay, Ceiling: c.cfg.Ceiling, Subnets: c.cfg.Subnets, Labels: c.cfg.Labels,
		Version: c.cfg.Version, Protocol: wire.Protocol,
	}}))
}

// punched carries out what the puncher wants.
func (c *Core) punched(now time.Time) (any bool) {
	c.punchOut = c.puncher.Drain(c.punchOut[:0])
	for _, out := range c.punchOut {
		any = true
		switch out := out.(type) {
		case nat.Probe:
			if p := c.peers[out.Peer]; p != nil {
				c.probeEndpoint(now, p, out.Endpoint)
			}
		case nat.Tell:
			if p := c.peers[out.Peer]; p != nil {
				c.tell(now, p)
			}
		}
	}
	return any
}

// probeEndpoint sends one probe to an endpoint at once, or gives it a turn.
func (c *Core) probeEndpoint(now time.Time, p *peer, endpoint netip.AddrPort) {
	socket, ok := c.socketFor(endpoint.Addr())
	if !ok || !c.worthTrying(endpoint) {
		return
	}
	if q := p.byEndpoint(socket, endpoint); q != nil {
		c.step(p.prober.Step(now, probe.ProbeNow{ID: q.id}))
		c.touch(p)
		return
	}
	p.endpoints.Learn(now, endpoint)
	c.takeTurns(now, p)
}

// owns reports whether an address is one of this host's.
func (c *Core) owns(a netip.Addr) bool { return c.host.Owns(a) || slices.Contains(c.local, a) }

// onOverlay reports whether an address is one of the overlay itself, which carries no underlay.
func (c *Core) onOverlay(a netip.Addr) bool {
	n := c.cfg.Network
	return n.Prefix.Contains(a.Unmap()) || n.Prefix6.Contains(a)
}

// tell says where this node is, or, while there is no way to say it, begins again once there is one.
func (c *Core) tell(now time.Time, p *peer) {
	p.meeting.untold = p.speakingPath() == nil
	message := wire.Endpoints{Punch: true, List: c.endpoints}
	c.say(now, p, wire.KindEndpoints, message.Append(nil))
}

// tellNow begins a new round of punching where the last one could not be announced.
func (c *Core) tellNow(now time.Time, p *peer) {
	if p.meeting.untold {
		p.meeting.untold = false
		c.step(c.puncher.Step(now, nat.Forget{Peer: p.id}))
		c.wantDirect(now, p)
	}
}

// wantDirect begins to look for a direct path to a peer that has none.
func (c *Core) wantDirect(now time.Time, p *peer) {
	c.step(c.puncher.Step(now, nat.Direct{Peer: p.id, Up: p.reachable()}))
	if !p.reachable() {
		c.step(c.puncher.Step(now, nat.Want{Peer: p.id, Remote: p.member.Record.Endpoints}))
	}
}

// theirEndpoints takes a peer's word on where it is, and punches at the same time as it does.
func (c *Core) theirEndpoints(now time.Time, p *peer, m wire.Endpoints) {
	if m.Punch { // even if we reach it: it does not reach us
		c.step(c.puncher.Step(now, nat.Told{Peer: p.id, Endpoints: m.List}))
	}
}

// gathererConfig publishes the first endpoints at once: a person may ask for an invitation as soon as the node is up. What
// the first members see of us follows soon: without it, no hole is punched.
func gathererConfig() nat.GathererConfig {
	cfg := nat.DefaultGathererConfig()
	cfg.First, cfg.Settle, cfg.Gap = 0, 50*time.Millisecond, 250*time.Millisecond
	return cfg
}
