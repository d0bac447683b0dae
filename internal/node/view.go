package node

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"overlayd/internal/control"
	"overlayd/internal/member"
	"overlayd/internal/wire"
	"overlayd/pathselect"
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

// viewPeers lists the other members by name.
func (c *Core) viewPeers(now time.Time) (list []control.Peer) {
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
			v.LastHeard = wallClock(m.LastHeard)
		}
	}
}

// peerState is the state of the selected path, or dead.
func (c *Core) peerState(now time.Time, p *peer) control.State {
	if m, ok := p.prober.Measure(p.route().Selected, now); ok {
		return viewState(m.State)
	}
	return control.StateDead
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

// Paths tells how packets go to every peer that there is contact with, by name.
func (c *Core) Paths(now time.Time) (list []control.PeerPaths) {
	for _, id := range c.order {
		list = append(list, c.viewPaths(now, c.peers[id]))
	}
	slices.SortFunc(list, func(a, b control.PeerPaths) int { return cmp.Compare(a.Peer, b.Peer) })
	return list
}

// viewPathsTo tells how packets go to one member, of which there may be no contact.
func (c *Core) viewPathsTo(now time.Time, id wire.NodeID) control.PeerPaths {
	if p := c.peers[id]; p != nil {
		return c.viewPaths(now, p)
	}
	m, _ := c.members.Get(id)
	return control.PeerPaths{
		Peer: c.name(id), Addresses: addressesOf(m), State: control.StateIdle,
		Reason: "nothing flows: a path is looked for with the first packet",
	}
}

// viewPaths tells how packets go to one peer.
func (c *Core) viewPaths(now time.Time, p *peer) control.PeerPaths {
	v := control.PeerPaths{
		Peer: c.name(p.id), Addresses: addressesOf(p.member), State: c.peerState(now, p),
		Reason: p.route().Reason.Text(c.name), Since: wallClock(p.route().Since), Switches: p.route().Switches,
		Duplicating: p.route().Copies[wire.DefaultTraffic] != 0, Inbound: c.inbound(p),
	}
	for _, id := range p.route().Standbys {
		if q := p.paths[id]; q != nil {
			v.Standbys = append(v.Standbys, c.names(q.via))
		}
	}
	for _, e := range p.choices.list[0].selector.Explain() {
		q := p.paths[e.Path.ID]
		if q == nil {
			continue
		}
		candidate := c.viewCandidate(now, p, q, e)
		v.Candidates = append(v.Candidates, candidate)
		if e.Path.ID == p.route().Selected {
			selected := candidate.Path
			v.Selected = &selected
		}
	}
	slices.SortStableFunc(v.Candidates, func(a, b control.Candidate) int {
		return cmp.Or(cmp.Compare(order(a), order(b)), cmp.Compare(costOf(a), costOf(b)))
	})
	return v
}

// order puts what is in use first, and what does not work last.
func order(c control.Candidate) int {
	switch {
	case c.Role == control.RoleSelected:
		return 0
	case c.Role == control.RoleStandby:
		return 1
	case c.State == control.StateUp || c.State == control.StateSuspect:
		return 2
	default:
		return 3
	}
}

func costOf(c control.Candidate) control.Cost {
	if c.Cost == nil {
		return 0
	}
	return *c.Cost
}

func (c *Core) viewCandidate(now time.Time, p *peer, q *path, e pathselect.Explained) control.Candidate {
	m, _ := p.prober.Measure(q.id, now)
	v := control.Candidate{
		Path: control.Path{Via: c.names(q.via), Endpoint: q.fwd.Hop.Addr.String()},
		ID:   int(q.id), State: viewState(m.State), Why: e.Why, Since: wallClock(m.Since), LastHeard: wallClock(m.LastHeard),
		RxPackets: q.fwd.Counters.RxPackets.Load(), TxPackets: q.fwd.Counters.TxPackets.Load(),
	}
	switch e.Role {
	case pathselect.CarriesData:
		v.Role = control.RoleSelected
	case pathselect.StandsBy, pathselect.CarriesCopies:
		v.Role = control.RoleStandby
	}
	if m.State != probe.Up && m.State != probe.Suspect {
		return v
	}
	v.RTT, v.Jitter = control.MillisOf(m.RTT), control.MillisOf(m.Deviation)
	v.LossOut, v.LossIn = control.FractionOf(m.LossOut), control.FractionOf(m.LossIn)
	v.Cost = control.CostOf(e.Cost.Total)
	for _, t := range e.Cost.Terms {
		v.Terms = append(v.Terms, control.Term{Name: t.Name, Cost: *control.CostOf(t.Value)})
	}
	return v
}

// inbound is the path on which the latest data of the peer came in.
func (c *Core) inbound(p *peer) *control.Via {
	var latest *path
	var at wire.Stamp
	for _, q := range p.sorted() {
		if _, _, last := q.fwd.Counters.Counts(); last > at {
			latest, at = q, last
		}
	}
	if latest == nil {
		return nil
	}
	via := control.Via(c.names(latest.via))
	return &via
}

// wallClock is a time as people read it; the zero time stays.
func wallClock(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.Round(0).UTC()
}
