package member

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"overlayd/internal/wire"
)

const (
	// attendEvery is how often a Registrar looks for what it should sign without being asked, and attendMost how much it
	// signs at once, so that a network that was enrolled in a day is not renewed in a second.
	attendEvery = time.Minute
	attendMost  = 64

	// attendYield is how much longer each admin waits than the one before it, so that one of them signs and not all.
	attendYield = 10 * time.Minute
	mendYield   = 5 * time.Second
)

// Attend signs what nobody asks for: certificates that are to be renewed, and names and addresses for those who lost
// theirs to an elder node. Called every now and then, by all admins; since is when each such node was first seen so.
func (g *Registrar) Attend(now time.Time, since map[wire.NodeID]time.Time) []Item {
	if !g.May(now) {
		clear(since)
		return nil
	}
	maps.DeleteFunc(since, func(id wire.NodeID, _ time.Time) bool { return g.set.certificate(id) == nil })
	admins, given := g.otherAdmins(), make(map[netip.Addr]bool)
	var items []Item
	for _, id := range g.set.holders() {
		c := g.set.certificate(id)
		mend, renew := g.mendable(c), g.renewable(now, c)
		if !mend && !renew {
			delete(since, id)
			continue
		}
		if _, seen := since[id]; !seen {
			since[id] = now
		}
		yield := mendYield
		if !mend {
			yield = attendYield
		}
		if len(items) == attendMost || now.Sub(since[id]) < yield*time.Duration(g.turn(id, admins)) {
			continue
		}
		changed := *c
		if mend && !g.mend(&changed, given) {
			continue
		}
		if more, err := g.reissue(now, changed); err == nil {
			items = append(items, more...)
			delete(since, id)
		}
	}
	return items
}

// signable reports whether this node may sign another certificate for the node that has c.
func (g *Registrar) signable(c *Certificate) bool {
	return (g.root != nil || !c.Capabilities.Has(Admin)) && !g.set.out(c.Node) && !g.set.barred(c)
}

// renewable reports whether a certificate is to be renewed: its end is near, its node has signed its record since, which
// shows that it is there, and a new one would be valid for longer.
func (g *Registrar) renewable(now time.Time, c *Certificate) bool {
	begin, date := c.NotAfter.Add(-RenewBefore), g.set.Time(now)
	r := g.set.Record(c.Node)
	if date.Before(begin) || r == nil || r.Sequence < micros(begin) || !g.signable(c) {
		return false
	}
	until := date.Add(validityOf(c))
	if g.root == nil && g.set.cert.NotAfter.Before(until) {
		until = g.set.cert.NotAfter
	}
	return until.Sub(c.NotAfter) > refreshEvery
}

// mendable reports whether a node has lost its name or its address.
func (g *Registrar) mendable(c *Certificate) bool {
	return g.signable(c) && (first(g.set.names[c.Name]) != c || first(g.set.addrs[c.IPv4]) != c)
}

// mend finds another name or address.
func (g *Registrar) mend(c *Certificate, given map[netip.Addr]bool) bool {
	holder := g.set.certificate(c.Node)
	if first(g.set.names[c.Name]) != holder {
		suffix := "-" + c.Node.Short()[:4]
		name := c.Name[:min(len(c.Name), maxName-len(suffix))] + suffix
		if _, taken := g.set.ByName(name); taken || ValidName(name) != nil {
			return false
		}
		c.Name = name
	}
	if first(g.set.addrs[c.IPv4]) != holder {
		addr, err := g.freeAddress(given)
		if err != nil {
			return false
		}
		c.IPv4, given[addr] = addr, true
	}
	return true
}

// otherAdmins are the admins but this node.
func (g *Registrar) otherAdmins() []wire.NodeID {
	return slices.DeleteFunc(slices.Clone(g.set.IDs()), func(id wire.NodeID) bool {
		return id == g.set.self || !g.set.IsAdmin(id)
	})
}

// turn is the place of this node among the admins for a node: the first one signs, the others only if it does not.
func (g *Registrar) turn(id wire.NodeID, others []wire.NodeID) int {
	rank := func(admin wire.NodeID) string { return string(hash("overlayd turn v1", admin[:], id[:])) }
	own, place := rank(g.set.self), 0
	for _, other := range others {
		if rank(other) < own {
			place++
		}
	}
	return min(place, maxTurn)
}

// maxTurn bounds how long the last of many admins waits.
const maxTurn = 8

// NextAttend is when Attend is to be called next.
func NextAttend(last time.Time) time.Time { return last.Add(attendEvery) }
