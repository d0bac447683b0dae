package node

import (
	"maps"
	"net/netip"
	"time"

	"overlayd/internal/wire"
	"overlayd/probe"
	"overlayd/tunnel/fwd"
)

// tabled is the last table and what has changed since. The next one is a copy with those peers made anew, since a node
// that meets a thousand members builds some hundred tables of some hundred peers.
type tabled struct {
	last    *fwd.Table // nil: the next one is made from nothing
	changed []*peer    // also such as were lost since
}

// table builds the forwarding table from the present state.
func (c *Core) table(now time.Time) *fwd.Table {
	t, whole := c.tabled.copy()
	changed := c.tabled.changed
	if whole {
		changed = c.sortedPeers()
	}
	c.tabled.last, c.tabled.changed = t, nil
	shared := false // an address by two peers: the later one has it, until it has gone
	for _, p := range changed {
		p.stale = false
		shared = c.peers[p.id] == p && !c.enterPeer(now, t, p) || shared
	}
	if shared {
		c.tabled.last = nil
		if !whole {
			return c.table(now)
		}
	}
	for _, id := range sortedKeys(c.relaying) {
		r := c.relaying[id]
		t.Labels[r.LabelFromA] = fwd.Entry{
			From: r.A, Switch: &fwd.Switch{To: c.hopTo(now, r.B, r.LabelToB), Counters: r.toB, Budget: c.ceiling},
		}
		t.Labels[r.LabelFromB] = fwd.Entry{
			From: r.B, Switch: &fwd.Switch{To: c.hopTo(now, r.A, r.LabelToA), Counters: r.toA, Budget: c.ceiling},
		}
	}
	return t
}

// copy is the last table without the peers that have changed, and whether that leaves none.
func (s *tabled) copy() (t *fwd.Table, whole bool) {
	t = &fwd.Table{Labels: make(map[wire.Label]fwd.Entry)}
	if s.last == nil {
		t.Routes, t.Sources = make(map[wire.NodeID]*fwd.Route), make(map[netip.AddrPort]*fwd.Path)
		return t, true
	}
	t.Routes, t.Sources = maps.Clone(s.last.Routes), maps.Clone(s.last.Sources)
	for _, p := range s.changed {
		if p.entry == nil {
			continue
		}
		delete(t.Routes, p.id)
		for _, s := range p.entry.sources {
			delete(t.Sources, s.at)
		}
	}
	return t, false
}

func (c *Core) sortedPeers() []*peer {
	list := make([]*peer, 0, len(c.order))
	for _, id := range c.order {
		list = append(list, c.peers[id])
	}
	return list
}

// entry is what one peer adds to the table.
type entry struct {
	route   *fwd.Route
	sources []source
	labels  []label
}

type source struct {
	at   netip.AddrPort
	path *fwd.Path
}

type label struct {
	receive wire.Label
	entry   fwd.Entry
}

// outdate notes that what a peer adds to the table has changed.
func (c *Core) outdate(p *peer) {
	c.dirty = true
	if !p.stale {
		p.stale = true
		c.tabled.changed = append(c.tabled.changed, p)
	}
}

func (c *Core) outdateAll() {
	c.dirty = true
	c.tabled.last = nil
}

// enterPeer enters the routes to one peer and the ways in from it, and reports whether no other peer had one of them.
// Peers with circuits are made anew each time: their hops depend on other peers.
func (c *Core) enterPeer(now time.Time, t *fwd.Table, p *peer) (alone bool) {
	p.entry = c.makeEntry(now, p)
	if alone = true; len(p.entry.labels) > 0 {
		p.stale = true
		c.tabled.changed = append(c.tabled.changed, p)
	}
	for _, s := range p.entry.sources {
		alone = alone && t.Sources[s.at] == nil
		t.Sources[s.at] = s.path
	}
	for _, l := range p.entry.labels {
		t.Labels[l.receive] = l.entry
	}
	t.Routes[p.id] = p.entry.route
	return alone
}

func (c *Core) makeEntry(now time.Time, p *peer) *entry {
	route := &fwd.Route{Awake: p.use.level == active, Held: c.catchup.holds(p.id)}
	e := &entry{route: route}
	var known, candidates []*fwd.Path
	for _, q := range p.sorted() {
		if q.direct() {
			if q.heard {
				e.sources = append(e.sources, source{q.endpoint, q.fwd})
			}
		} else {
			c.renewHop(now, q)
			e.labels = append(e.labels, label{q.receive, fwd.Entry{From: q.firstHop, Path: q.fwd}})
		}
		switch p.state(q.id) {
		case probe.Up, probe.Suspect:
			route.All = append(route.All, q.fwd)
		case probe.Dead:
			known = append(known, q.fwd)
		default:
			candidates = append(candidates, q.fwd)
		}
	}
	if len(route.All) == 0 {
		route.All, route.Known, route.Trial = append(known, candidates...), len(known), p.trial.bytes
	}
	for class := range route.Ways {
		route.Ways[class] = p.way(wire.TrafficClass(class))
	}
	return e
}

// way is how data of a class travels to the peer.
func (p *peer) way(class wire.TrafficClass) (w fwd.Way) {
	route := &p.choices.of(class).route
	if q := p.paths[route.Selected]; q != nil {
		w.Primary = q.fwd
	}
	if q := p.paths[route.Copies[class]]; q != nil {
		w.Duplicate, w.Budget = q.fwd, p.budget
		if class == wire.Critical {
			w.Budget = p.critical
		}
	} else if q := p.paths[p.audit.path]; q != nil && q.fwd != w.Primary && class != wire.Bulk {
		w.Duplicate, w.Budget = q.fwd, p.auditing
	}
	return w
}

// renewHop follows the first hop of a circuit to the address at which that neighbour is reached best now.
func (c *Core) renewHop(now time.Time, q *path) {
	hop := c.hopTo(now, q.firstHop, q.fwd.Hop.Label)
	if hop != q.fwd.Hop && hop.Addr.IsValid() {
		renewed := *q.fwd // published tables hold the other one
		renewed.Hop = hop
		q.fwd = &renewed
	}
}
