package node

import (
	"net/netip"
	"time"

	"overlayd/internal/wire"
	"overlayd/probe"
	"overlayd/tunnel/fwd"
)

// table builds the forwarding table from the present state.
func (c *Core) table(now time.Time) *fwd.Table {
	t := &fwd.Table{
		Routes:  make(map[wire.NodeID]*fwd.Route, len(c.peers)),
		Labels:  make(map[wire.Label]fwd.Entry, 2*len(c.relaying)),
		Sources: make(map[netip.AddrPort]*fwd.Path, len(c.peers)),
	}
	for _, id := range c.order {
		c.enterPeer(now, t, c.peers[id])
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

// entry is what one peer adds to the table. It is kept while nothing changes, since a busy node builds many tables; not
// that of a peer with circuits, whose hops depend on other peers.
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
	p.entry = nil
	c.dirty = true
}

func (c *Core) outdateAll() {
	for _, p := range c.peers {
		c.outdate(p)
	}
	c.dirty = true
}

// enterPeer enters the routes to one peer and the ways in from it.
func (c *Core) enterPeer(now time.Time, t *fwd.Table, p *peer) {
	e := p.entry
	if e == nil {
		e = c.makeEntry(now, p)
		if len(e.labels) == 0 {
			p.entry = e
		}
	}
	for _, s := range e.sources {
		t.Sources[s.at] = s.path
	}
	for _, l := range e.labels {
		t.Labels[l.receive] = l.entry
	}
	t.Routes[p.id] = e.route
}

func (c *Core) makeEntry(now time.Time, p *peer) *entry {
	route := &fwd.Route{Budget: p.budget, Awake: p.use.level == active, Held: c.catchup.holds(p.id)}
	e := &entry{route: route}
	var candidates []*fwd.Path
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
		default:
			candidates = append(candidates, q.fwd)
		}
		switch q.id {
		case p.route.Selected:
			route.Primary = q.fwd
		case p.route.Duplicate:
			route.Duplicate = q.fwd
		}
	}
	if len(route.All) == 0 {
		route.All = candidates
	}
	return e
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
