package node

import (
	"cmp"
	"slices"
	"time"

	"overlayd/internal/control"
	"overlayd/internal/wire"
	"overlayd/pathselect"
	"overlayd/probe"
)

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
		Reason: "nothing flows: a path is looked for with the first packet", Warning: c.warningOf(now, id),
	}
}

// viewPaths tells how packets go to one peer.
func (c *Core) viewPaths(now time.Time, p *peer) control.PeerPaths {
	v := control.PeerPaths{
		Peer: c.name(p.id), Addresses: addressesOf(p.member), State: c.peerState(now, p),
		Reason: c.reason(now, p), Since: c.wallClock(p.route().Since), Switches: p.route().Switches,
		Rules: c.ruleTexts(now, p.id), Duplicating: p.route().Copies[wire.DefaultTraffic] != 0, Inbound: c.inbound(p),
		Warning: c.warningOf(now, p.id),
	}
	if why := c.unusable(p); why != "" && p.speakingPath() == nil {
		v.Reason += "; " + why
	}
	v.Algorithm = p.choices.list[0].using.Name()
	v.Classes, v.Shadow = c.viewClasses(p), c.viewShadow(p)
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
		ID:   int(q.id), State: viewState(m.State), Why: e.Why, Since: c.wallClock(m.Since), LastHeard: c.wallClock(m.LastHeard),
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
	v.Figures = c.figures(q, &m, p.prober.Tail(q.id), &e.Path)
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

// figures are what a person may want to know of a path besides its cost.
func (c *Core) figures(q *path, m *probe.Measurement, p95 time.Duration, p *pathselect.Path) control.Figures {
	f := control.Figures{
		MinRTT: control.MillisOf(m.MinRTT), P95RTT: control.MillisOf(p95),
		LossOutLow: control.FractionOf(m.LossOutLow), LossOutHigh: control.FractionOf(m.LossOutHigh),
		BurstOut: m.BurstOut, ReorderedOut: control.FractionOf(m.ReorderedOut), Rate: 8 * m.Achievable,
		Evidence: evidence(&m.Data), Quarantine: p.Quarantine,
	}
	if !q.direct() {
		f.Load = control.FractionOf(p.Load)
	}
	return f
}

// viewClasses are the classes of traffic that go another way than the default one, or that are sent twice now.
func (c *Core) viewClasses(p *peer) (list control.List[control.ClassChoice]) {
	usual := p.route()
	for class := wire.TrafficClass(1); class < wire.TrafficClasses; class++ {
		ch := p.choices.of(class)
		copies := ch.route.Copies[class]
		if ch.route.Selected == usual.Selected && copies == 0 && ch == p.choices.list[0] {
			continue
		}
		list = append(list, control.ClassChoice{
			Class: class.String(), Algorithm: ch.using.Name(), Via: c.viaOf(p, ch.route.Selected), Copies: c.viaOf(p, copies),
			Reason: ch.route.Reason.Text(c.name),
		})
	}
	return list
}

// viaOf is the relays of a path for people; nil if there is no such path.
func (c *Core) viaOf(p *peer, id wire.PathID) *control.Via {
	q := p.paths[id]
	if q == nil {
		return nil
	}
	via := control.Via(c.names(q.via))
	return &via
}

func (c *Core) viewShadow(p *peer) *control.Shadow {
	if p.choices.shadow == nil {
		return nil
	}
	t := p.choices.shadow.Tally()
	return &control.Shadow{
		Algorithm: t.Algorithm, Via: c.viaOf(p, t.Would), Switches: t.Switches, Compared: t.Compared.Seconds(),
		Differed: t.Differed.Seconds(), RTTSaved: control.MillisOf(t.RTTSaved),
		LossSaved: *control.FractionOf(t.LossSaved), UpSaved: t.UpSaved.Seconds(),
	}
}

// evidence says how data fares against probes; nothing where there is too little to tell.
func evidence(d *probe.Data) string {
	if d.Verdict == probe.Undecided {
		return ""
	}
	return d.String()
}
