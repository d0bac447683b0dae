package node

import (
	"overlayd/internal/member"
	"overlayd/internal/wire"
)

// What a simulation holds its invariants against. Nothing of it may be changed.

// Members is what this node knows of the members.
func (c *Core) Members() *member.Set { return c.members }

// Contacts counts the contacts that this node has picked, and the others.
func (c *Core) Contacts() (picked, others int) { return c.picked, len(c.peers) - c.picked }

// Bounds are how many contacts this node picks, and how many guests it takes.
func (c *Core) Bounds() (picks, guests int) { return picksOf(c.members.Len() - 1), c.maxGuests() }

// Picks are the contacts that this node has picked, sorted.
func (c *Core) Picks() (list []wire.NodeID) {
	for _, id := range c.order {
		if c.peers[id].picked {
			list = append(list, id)
		}
	}
	return list
}

// InContact reports whether this node keeps contact with a member.
func (c *Core) InContact(id wire.NodeID) bool { return c.peers[id] != nil }

// Met reports whether it can speak to a member.
func (c *Core) Met(id wire.NodeID) bool { return c.peers[id] != nil && c.peers[id].meeting.met }

// Selected is the path in use to a member: its relays, and how often it has changed. False if there is none.
func (c *Core) Selected(id wire.NodeID) (via []wire.NodeID, switches int, ok bool) {
	p := c.peers[id]
	if p == nil || p.paths[p.route().Selected] == nil {
		return nil, 0, false
	}
	return p.paths[p.route().Selected].via, p.route().Switches, true
}

// Probed counts the members that this node probes at intervals, whether anything flows or not.
func (c *Core) Probed() (n int) {
	for _, p := range c.peers {
		if p.picked || p.near {
			n++
		}
	}
	return n
}
