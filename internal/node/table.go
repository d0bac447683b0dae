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

// enterPeer enters the routes to one peer and the ways in from it.
func (c *Core) enterPeer(now time.Time, t *fwd.Table, p *peer) {
	route := &fwd.Route{Budget: p.budget, Awake: p.use.level == active, Held: c.catchup.holds(p.id)}
	var candidates []*fwd.Path
	for _, q := range p.sorted() {
		if q.direct() {
			if q.heard {
				t.Sources[q.endpoint] = q.fwd
			}
		} else {
			c.renewHop(now, q)
			t.Labels[q.receive] = fwd.Entry{From: q.firstHop, Path: q.fwd}
		}
		switch p.state(now, q.id) {
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
	t.Routes[p.id] = route
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
