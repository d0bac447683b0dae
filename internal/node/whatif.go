package node

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"overlayd/internal/control"
	"overlayd/internal/wire"
	"overlayd/pathselect"
)

// outage is what is supposed to be missing: a node, or the direct link between two.
type outage struct {
	down wire.NodeID // zero: the link between a and b
	a, b wire.NodeID
}

// breaks reports whether a path that leads through these nodes, from one end to the other, would be dead.
func (o outage) breaks(nodes ...wire.NodeID) bool {
	if !o.down.IsZero() {
		return slices.Contains(nodes, o.down)
	}
	for i := range len(nodes) - 1 {
		if from, to := nodes[i], nodes[i+1]; from == o.a && to == o.b || from == o.b && to == o.a {
			return true
		}
	}
	return false
}

// breaksVia is breaks for the path from this node to a peer through some relays.
func (c *Core) breaksVia(o outage, via []wire.NodeID, peer wire.NodeID) bool {
	nodes := append([]wire.NodeID{c.self}, via...)
	return o.breaks(append(nodes, peer)...)
}

// whatIf is what would become of the paths to all contacts, by name. It changes nothing.
func (c *Core) whatIf(now time.Time, o outage) (list control.List[control.Outlook]) {
	for _, id := range c.order {
		list = append(list, c.outlook(now, c.peers[id], o))
	}
	slices.SortFunc(list, func(a, b control.Outlook) int { return cmp.Compare(a.Peer, b.Peer) })
	return list
}

func (c *Core) outlook(now time.Time, p *peer, o outage) control.Outlook {
	v := control.Outlook{Peer: c.name(p.id)}
	wish := c.policyFor(p, now)
	var selected *pathselect.Explained
	var left []pathselect.Explained
	strictly := "" // why a path that would be left may not be used
	for _, e := range p.choices.list[0].selector.Explain() {
		if p.paths[e.Path.ID] == nil || e.Path.State != pathselect.Up && e.Path.State != pathselect.Suspect {
			continue
		}
		if e.Path.ID == p.route().Selected {
			selected = &e
		}
		excluded, _ := wish.Excludes(e.Path.Via)
		switch {
		case c.breaksVia(o, e.Path.Via, p.id):
		case excluded.Strict:
			strictly = excluded.Why
		default:
			left = append(left, e)
		}
	}
	if selected != nil {
		v.Now = c.pathOf(now, p, *selected)
	}
	switch {
	case p.id == o.down:
		v.Outcome, v.Why = control.OutcomeDown, "it is the node that is missing"
	case selected != nil && !c.breaksVia(o, selected.Path.Via, p.id):
		v.Outcome, v.Then, v.Why = control.OutcomeStays, v.Now, "its path is not concerned"
	case len(left) > 0:
		best := slices.MinFunc(left, func(a, b pathselect.Explained) int { return compareLeft(wish, a, b) })
		v.Outcome, v.Then, v.Why = control.OutcomeMoves, c.pathOf(now, p, best), "the only one that is left"
		if len(left) > 1 {
			v.Why = fmt.Sprintf("the cheapest of %d that are left", len(left))
		}
	default:
		c.withoutPath(now, p, o, strictly, &v)
	}
	return v
}

// compareLeft orders the paths that are left as the selector would take them: those that are not barred, that work for
// certain, and that cost least.
func compareLeft(wish *pathselect.Policy, a, b pathselect.Explained) int {
	rank := func(e pathselect.Explained) (r int) {
		if _, excluded := wish.Excludes(e.Path.Via); excluded {
			r += 2
		}
		if e.Path.State != pathselect.Up {
			r++
		}
		return r
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Cost.Total, b.Cost.Total), cmp.Compare(a.Path.ID, b.Path.ID))
}

// maxNamed bounds the relays that an Outlook names.
const maxNamed = 3

// withoutPath says what remains where no path that was measured is left.
func (c *Core) withoutPath(now time.Time, p *peer, o outage, strictly string, v *control.Outlook) {
	asked := c.mightRelay(now, p, o)
	switch {
	case v.Now == nil:
		v.Outcome, v.Why = control.OutcomeDead, "no path works now"
	case len(asked) > 0:
		v.Outcome = control.OutcomeSearch
		names := strings.Join(c.names(asked[:min(len(asked), maxNamed)]), ", ")
		if more := len(asked) - maxNamed; more > 0 {
			names += fmt.Sprintf(" and %d more", more)
		}
		v.Why = names + " would be asked to relay"
	case strictly != "":
		v.Outcome, v.Why = control.OutcomeCutOff, "what is left is barred strictly: "+strictly
	default:
		v.Outcome, v.Why = control.OutcomeCutOff, "no path is left, and nobody else in reach relays"
	}
}

// mightRelay are the contacts that this node would still reach, and that might relay to a peer. Whether they reach it is not
// known here.
func (c *Core) mightRelay(now time.Time, p *peer, o outage) (list []wire.NodeID) {
	wish := c.policyFor(p, now)
	for _, id := range c.order {
		q := c.peers[id]
		via := []wire.NodeID{id}
		excluded, _ := wish.Excludes(via)
		if q != p && relays(q.member) && q.reachable() && !c.breaksVia(o, via, p.id) && !excluded.Strict {
			list = append(list, id)
		}
	}
	return list
}

// pathOf is a path as the API shows it.
func (c *Core) pathOf(now time.Time, p *peer, e pathselect.Explained) *control.Path {
	v := c.viewCandidate(now, p, p.paths[e.Path.ID], e).Path
	return &v
}

// WhatIf implements control.Backend.
func (n *Node) WhatIf(ctx context.Context, q control.WhatIfQuery) (v control.WhatIf, err error) {
	var failed error
	err = n.do(ctx, func(now time.Time) {
		var o outage
		if o, failed = n.core.outageOf(q); failed != nil {
			return
		}
		v = control.WhatIf{Node: n.name, Peers: n.core.whatIf(now, o)}
		if o.down.IsZero() {
			v.Cut = n.core.names([]wire.NodeID{o.a, o.b})
		} else {
			v.Down = n.core.name(o.down)
		}
	})
	if err == nil {
		err = explain(failed)
	}
	return v, err
}

// outageOf finds the nodes that a question names.
func (c *Core) outageOf(q control.WhatIfQuery) (o outage, err error) {
	if q.Down != "" {
		if o.down, err = c.findMember(q.Down); err == nil && o.down == c.self {
			err = fmt.Errorf("%w: %s is this node, from which nothing would go anywhere: ask about another one", control.ErrConflict,
				c.name(c.self))
		}
		return o, err
	}
	if o.a, err = c.findMember(q.Cut[0]); err != nil {
		return o, err
	}
	if o.b, err = c.findMember(q.Cut[1]); err == nil && o.a == o.b {
		err = fmt.Errorf("%w: a link has two ends: name two nodes", control.ErrBadRequest)
	}
	return o, err
}
