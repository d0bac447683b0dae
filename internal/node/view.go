package node

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"overlayd/internal/control"
	"overlayd/internal/member"
	"overlayd/internal/wire"
	"overlayd/probe"
)

// viewMembers lists all members by name.
func (c *Core) viewMembers(now time.Time) (list control.List[control.Member]) {
	conflicts := c.members.Conflicts()
	for _, m := range c.members.Members() {
		v := control.Member{
			Name: c.name(m.ID), ID: m.ID.String(), Addresses: addressesOf(m), State: control.StateIdle,
			Admin: m.Admin, Relay: relays(m), RelayPolicy: m.Record.Relay.String(), Ceiling: m.Record.Ceiling,
			Subnets: m.Subnets, Carries: c.carries(m.ID), Labels: m.Record.Labels,
			Issuer: c.nameOfSigner(m.Certificate.Issuer), Expires: m.Certificate.NotAfter.UTC(),
			Warning: c.warningOf(now, m.ID), Version: m.Record.Version, Protocol: int(m.Record.Protocol),
		}
		if p := c.peers[m.ID]; p != nil {
			v.State = c.peerState(now, p)
		} else if m.ID == c.self {
			v.State = control.StateSelf
		}
		for _, k := range conflicts {
			if k.Loser == m.ID {
				v.Conflict = c.conflictText(k)
			}
		}
		list = append(list, v)
	}
	slices.SortFunc(list, func(a, b control.Member) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// Warnings are sentences on this node and its peers that a person has to do something about.
func (c *Core) Warnings(now time.Time) (list control.List[string]) {
	if w := c.clockWarning(now); w != "" {
		list = append(list, w)
	}
	for _, id := range c.members.IDs() {
		if w := c.warningOf(now, id); w != "" {
			list = append(list, w)
		}
	}
	return append(list, c.warnings.all()...)
}

// conflictsOf are sentences on what a node claims and does not get.
func (c *Core) conflictsOf(id wire.NodeID) (list control.List[string]) {
	for _, k := range c.members.Conflicts() {
		if k.Loser == id {
			list = append(list, c.conflictText(k))
		}
	}
	if v, out := c.members.Revoked(id); out {
		list = append(list, "this node was revoked by "+c.nameOfSigner(v.Signer)+": the others do not answer it any more")
	}
	return list
}

func addressesOf(m member.Member) (list control.List[netip.Addr]) {
	for _, a := range []netip.Addr{m.IPv4, m.IPv6} {
		if a.IsValid() {
			list = append(list, a)
		}
	}
	return list
}

// whole are addresses as networks of one.
func whole(addrs []netip.Addr) (list []netip.Prefix) {
	for _, a := range addrs {
		list = append(list, netip.PrefixFrom(a, a.BitLen()))
	}
	return list
}

// viewPeers lists the other members by name. SessionSince says since when there is a WireGuard session, zero for none.
func (c *Core) viewPeers(now time.Time, sessionSince func(wire.NodeID) wire.Stamp) (list []control.Peer) {
	for _, m := range c.members.Members() {
		if m.ID == c.self {
			continue
		}
		v := control.Peer{
			Name: c.name(m.ID), ID: m.ID.String(), Addresses: addressesOf(m), State: control.StateIdle,
			Endpoints: slices.Clone(m.Record.Endpoints), Admin: m.Admin, Relay: relays(m),
		}
		if p := c.peers[m.ID]; p != nil {
			c.viewContact(now, p, &v)
		}
		if since := sessionSince(m.ID); since != 0 {
			v.Handshake = c.wallClock(c.timeOf(since))
		}
		list = append(list, v)
	}
	slices.SortFunc(list, func(a, b control.Peer) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

func (c *Core) viewContact(now time.Time, p *peer, v *control.Peer) {
	v.State, v.Active = c.peerState(now, p), p.use.level == active
	for _, q := range p.paths {
		v.RxBytes += q.fwd.Counters.RxBytes.Load()
		v.TxBytes += q.fwd.Counters.TxBytes.Load()
		if m, ok := p.prober.Measure(q.id, now); ok && m.LastHeard.After(v.LastHeard) {
			v.LastHeard = c.wallClock(m.LastHeard)
		}
	}
}

func viewState(s probe.State) control.State {
	switch s {
	case probe.Up:
		return control.StateUp
	case probe.Suspect:
		return control.StateSuspect
	case probe.Dead:
		return control.StateDead
	default:
		return control.StateCandidate
	}
}

// wallClock is a time as people read it; the zero time stays.
func wallClock(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.Round(0).UTC()
}
