package member

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"overlayd/internal/wire"
)

// admit is the answer to a request for a certificate, and what was signed for it. Only a node that May asks it.
func (g *Registrar) admit(now time.Time, i *Invitation, b *requestBody) (replyBody, []Item) {
	n := g.set.network
	if !b.genuine(n.ID, i) {
		return replyBody{Status: statusRecord}, nil
	}
	id := NodeID(Key(b.WireGuard), b.Signing)
	known := g.set.certificate(id)
	if known != nil && known.Token == i.ID && !g.set.out(id) { // a request that is repeated
		if known.Name != b.Name {
			return replyBody{Status: statusOtherName, Text: known.Name}, nil
		}
		return g.grant(b.WireGuard, known), nil
	}
	if refused := g.refuses(now, i, id, b); refused.Status != statusOK {
		return refused, nil
	}
	want := Certificate{
		WireGuard: Key(b.WireGuard), Signing: b.Signing, Name: b.Name, Capabilities: Relay, Subnets: i.Subnets,
		NotBefore: now, NotAfter: now.Add(Validity), Serial: micros(now), Token: i.ID, Uses: i.Uses,
	}
	if known != nil { // it lost its certificate and keeps its place
		want.IPv4, want.NotBefore, want.Serial = known.IPv4, known.NotBefore, max(want.Serial, known.Serial+1)
	} else {
		addr, err := g.freeAddress(nil)
		if err != nil {
			return replyBody{Status: statusFull}, nil
		}
		want.IPv4 = addr
	}
	c, err := g.authority().Issue(want, now)
	if err != nil {
		return replyBody{Status: statusIssuer}, nil
	}
	return g.grant(b.WireGuard, c), []Item{{Kind: KindCertificate, Raw: c.raw}}
}

// refuses says why a newcomer gets no certificate.
func (g *Registrar) refuses(now time.Time, i *Invitation, id wire.NodeID, b *requestBody) replyBody {
	holder, taken := g.set.ByName(b.Name)
	owner, keyTaken := g.set.ByKey(Key(b.WireGuard))
	switch {
	case i.Cancelled:
		return replyBody{Status: statusCancelled}
	case !now.Before(i.Expiry):
		return replyBody{Status: statusExpired}
	case g.set.out(id):
		return replyBody{Status: statusRevoked}
	case g.set.Used(i.ID) >= i.Uses:
		return replyBody{Status: statusUsed}
	case ValidName(b.Name) != nil:
		return replyBody{Status: statusName}
	case i.Name != "" && i.Name != b.Name:
		return replyBody{Status: statusOtherName, Text: i.Name}
	case taken && holder != id:
		return replyBody{Status: statusTaken}
	case keyTaken && owner != id:
		return replyBody{Status: statusKey}
	case g.set.certificate(id) == nil && g.set.Len() >= MaxMembers:
		return replyBody{Status: statusFull}
	case !g.May(now), g.root == nil && g.set.IsAdmin(id):
		return replyBody{Status: statusIssuer}
	}
	return replyBody{}
}

func (g *Registrar) grant(newcomer []byte, c *Certificate) replyBody {
	public, sealed, err := sealGrant(g.random, g.set.network, newcomer, c)
	if err != nil {
		return replyBody{Status: statusRecord}
	}
	return replyBody{Public: public, Granted: sealed}
}

// freeAddress is an IPv4 address for a newcomer. Every admin begins in a block of its own, so that two of them on two
// sides of a partition hand out different ones; who holds the root key begins with the first. Those given are handed out already, and not in the set yet.
func (g *Registrar) freeAddress(given map[netip.Addr]bool) (netip.Addr, error) {
	prefix := g.set.network.Prefix
	taken := func(a netip.Addr) bool { _, taken := g.set.ByIPv4(a); return taken || given[a] }
	if g.root == nil {
		if start, ok := blockOf(prefix, g.set.self); ok {
			for a := start; usable(prefix, a); a = a.Next() {
				if !taken(a) {
					return a, nil
				}
			}
		}
	}
	return lowestFree(prefix, taken)
}

// blockOf is the first address of a node's block; false if the prefix is too small for blocks. The first block is left
// to the root.
func blockOf(prefix netip.Prefix, id wire.NodeID) (netip.Addr, bool) {
	const blockBits = 8
	bits := 32 - prefix.Bits() - blockBits
	if bits < 1 {
		return netip.Addr{}, false
	}
	blocks := uint32(1) << bits
	sum := hash("overlayd block v1", id[:])
	block := 1 + (uint32(sum[0])<<16|uint32(sum[1])<<8|uint32(sum[2]))%(blocks-1)
	a := prefix.Addr().As4()
	offset := block << blockBits
	for at := range a {
		a[at] |= byte(offset >> (8 * (3 - at)))
	}
	return netip.AddrFrom4(a).Next(), true
}

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
		if more, err := g.reissue(now, changed, validityOf(c)); err == nil {
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
	begin := c.NotAfter.Add(-RenewBefore)
	r := g.set.record(c.Node)
	if now.Before(begin) || r == nil || r.Sequence < micros(begin) || !g.signable(c) {
		return false
	}
	until := now.Add(validityOf(c))
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

// Endpoints are addresses of members for a token, after those given: of the members that f says are reached, which
// newcomers may reach as well.
func (s *Set) Endpoints(given []string, reached []wire.NodeID) []string {
	list := slices.Clone(given)
	for _, id := range reached {
		if r := s.record(id); r != nil && len(r.Endpoints) > 0 && len(list) < MaxTokenEndpoints {
			list = append(list, r.Endpoints[0].String())
		}
	}
	return list
}
