package node

import (
	"cmp"
	"math"
	"slices"
	"time"

	"overlayd/internal/blackhole"
	"overlayd/internal/circuit"
	"overlayd/internal/member"
	"overlayd/internal/wire"
	"overlayd/nat"
	"overlayd/probe"
	"overlayd/tunnel/fwd"
)

// A node keeps contact, which means state and probes, with a few of the members only: cost must not grow with the square
// of the network (D8). A contact is one of three:
//
//	picked   chosen by this node at random: it probes them, learns from them, and finds relays among them
//	guest    a member that has picked this node: it probes, this node answers
//	in use   data flows to or from it, or it stands beside a member to which data flows
//
// Guests never displace what this node has picked, however many there are: so a crowd of members that somebody has let
// in for the purpose cannot surround a node.
//
// With about 3·√N contacts each (1.5·√N picked, as many guests) two nodes have some nine in common on the average:
// enough to find relays without a table of everybody's links.

const (
	fewPicks = 16  // picked where there are so many: a small network is a full mesh
	perRoot  = 1.5 // picked for each root of the number of members, in a large one

	guestSilence = 90 * time.Second // a guest that does not probe for so long has gone: three intervals and a half
	pickSilence  = 2 * time.Minute  // a picked member that does not answer for so long makes room for another one

	// Hellos a second to members without contact: they cost a seal each.
	strangerHellos = 50
)

// Copies to a peer on a second path, while the first is suspect: bytes a second, and bytes at once.
const (
	copyRate  = 64 << 10
	copyBurst = 512 << 10
)

// Copies of critical packets to a peer, all the time: what is said if the configuration says nothing, and what may go out
// at once, a few large packets at least.
const (
	defaultCopies = 2_000_000 // bits a second
	criticalBurst = 16 << 10  // bytes
)

// criticalBudget is that of one peer.
func (c *Core) criticalBudget() *fwd.Budget {
	rate := float64(cmp.Or(c.cfg.Copies, defaultCopies)) / 8
	return fwd.NewBudget(rate, max(rate/4, criticalBurst))
}

// picksOf is how many contacts a node picks of so many other members.
func picksOf(others int) int {
	return min(others, max(fewPicks, int(math.Ceil(perRoot*math.Sqrt(float64(others+1))))))
}

// contact is the peer that a member is, made if need be; nil if it is none.
func (c *Core) contact(now time.Time, id wire.NodeID) *peer {
	if p := c.peers[id]; p != nil {
		return p
	}
	m, known := c.members.Get(id)
	if !known || m.Barred || id == c.self {
		return nil
	}
	p := c.meet(now, m)
	c.tryEndpoints(now, p)
	return p
}

// guest is contact for a member that came by itself; nil if there is no room.
func (c *Core) guest(now time.Time, id wire.NodeID) *peer {
	if len(c.peers)-c.picked >= c.maxGuests() && !c.dropGuest(now) {
		return nil
	}
	return c.contact(now, id)
}

const (
	claimsEach = 8               // contacts that rest on one neighbour's word alone
	claimsAll  = 64              // on that of all
	claimFor   = 3 * time.Second // a claim that is not proven by then makes room
)

// claimant is contact for a member that has opened a circuit to this node, as the last relay of it says: two members that
// do not know each other, and do not reach each other directly, meet in no other way. A neighbour that makes openers up
// uses up its own share only.
func (c *Core) claimant(now time.Time, id, says wire.NodeID) *peer {
	var each, all []*peer
	for _, known := range c.order {
		if p := c.peers[known]; !p.claims.IsZero() {
			all = append(all, p)
			if p.claims == says {
				each = append(each, p)
			}
		}
	}
	for _, full := range []struct {
		list []*peer
		most int
	}{{each, claimsEach}, {all, claimsAll}} {
		if len(full.list) < full.most {
			continue
		}
		oldest := slices.MinFunc(full.list, func(a, b *peer) int { return a.heard.Compare(b.heard) })
		if now.Sub(oldest.heard) < claimFor {
			return nil
		}
		if c.peers[oldest.id] == oldest && oldest.dispensable() {
			c.lose(now, oldest)
		}
	}
	p := c.guest(now, id)
	if p != nil {
		p.claims = says
	}
	return p
}

func (c *Core) maxGuests() int { return 32 + 4*picksOf(c.members.Len()) }

// dropGuest makes room for another guest: the one that was silent for longest and is not in use goes.
func (c *Core) dropGuest(now time.Time) bool {
	var oldest *peer
	hops := c.hops()
	for _, id := range c.order {
		if p := c.peers[id]; p.dispensable() && !hops[id] && (oldest == nil || p.heard.Before(oldest.heard)) {
			oldest = p
		}
	}
	if oldest == nil || now.Sub(oldest.heard) < candidateFor {
		return false
	}
	c.lose(now, oldest)
	return true
}

// meet makes the state that a contact needs.
func (c *Core) meet(now time.Time, m member.Member) *peer {
	p := &peer{
		id: m.ID, paths: make(map[wire.PathID]*path), place: notInAgenda, member: m, heard: now,
		frames:   bucket{rate: framesASecond, depth: framesAtOnce},
		trial:    newTrial(),
		relays:   nominations{lists: bucket{rate: listsASecond, depth: listsAtOnce}},
		prober:   probe.New(c.cfg.Probe, c.Stamp, c.rng(), c.secret),
		choices:  c.choicesFor(m.ID),
		sizes:    blackhole.NewSizes(readerSource{c.cfg.Secret}.Uint64),
		budget:   fwd.NewBudget(copyRate, copyBurst),
		critical: c.criticalBudget(),
		auditing: fwd.NewBudget(auditRate, auditBurst),
		reported: newReported(),
	}
	p.meeting.reset = c.wentBack(now)
	c.peers[m.ID] = p
	at, _ := slices.BinarySearchFunc(c.order, m.ID, wire.NodeID.Compare)
	c.order = slices.Insert(c.order, at, m.ID)
	c.outdate(p)
	c.touch(p)
	return p
}

// lose gives up a contact. It may be made again.
func (c *Core) lose(now time.Time, p *peer) {
	if p.reachable() {
		_, m := p.bestDirect(now)
		c.explorer.see(now, p.id, m.RTT)
	}
	c.agenda.remove(p)
	for _, q := range p.sorted() {
		if !q.direct() {
			c.step(c.circuits.Step(now, circuit.Close{ID: q.circuit}))
		}
	}
	if p.picked {
		c.picked--
	}
	delete(c.peers, p.id)
	if at, ok := slices.BinarySearchFunc(c.order, p.id, wire.NodeID.Compare); ok {
		c.order = slices.Delete(c.order, at, at+1)
	}
	c.step(c.puncher.Step(now, nat.Forget{Peer: p.id}))
	c.step(c.circuits.Step(now, circuit.Reachable{ID: p.id}))
	if p.meeting.met {
		c.unmet(now, p)
	}
	c.outdate(p)
}

// acquaint picks contacts until there are enough.
func (c *Core) acquaint(now time.Time) {
	ids := c.members.IDs()
	want := picksOf(len(ids) - 1)
	for _, id := range c.order { // fewer are wanted in a network that has shrunk
		if p := c.peers[id]; p.picked && c.picked > want+want/4 {
			c.unpick(now, p)
		}
	}
	if len(ids)-1 <= want {
		for _, id := range slices.Clone(ids) {
			c.pick(now, id)
		}
		return
	}
	for attempts := 0; c.picked < want && attempts < 16*want; attempts++ {
		c.pick(now, ids[c.random.IntN(len(ids))])
	}
}

func (c *Core) pick(now time.Time, id wire.NodeID) {
	p := c.contact(now, id)
	if p == nil || p.picked {
		return
	}
	p.picked, p.heard = true, now
	c.picked++
	if p.meeting.met {
		c.step(c.members.Step(now, member.Met{Peer: p.id, Chosen: true}))
	}
	c.setRates(now, p)
}

func (c *Core) unpick(now time.Time, p *peer) {
	p.picked = false
	c.picked--
	c.setRates(now, p)
}

// reviewContacts gives up guests that have gone, and one picked member that does not answer, for another one.
func (c *Core) reviewContacts(now time.Time) {
	c.keepPinned(now)
	others, replaced, hops := c.members.Len()-1, false, c.hops()
	for _, id := range slices.Clone(c.order) {
		p := c.peers[id]
		switch silent := now.Sub(p.heard); {
		case p.dispensable() && !hops[id] && silent > guestSilence:
			c.lose(now, p)
		case p.picked && !replaced && others > c.picked && silent > pickSilence && p.use.level == idle && p.beside == 0:
			c.unpick(now, p)
			c.lose(now, p)
			replaced = true
		}
	}
	c.acquaint(now)
	c.reviewNear(now)
}

// dispensable reports whether nothing would miss a contact, unless it is one of hops.
func (p *peer) dispensable() bool {
	return !p.picked && !p.near && !p.pinned && p.use.level == idle && p.beside == 0 && len(p.relays.waiting) == 0
}

// hops are the neighbours that circuits lead through, of this node or of others.
func (c *Core) hops() map[wire.NodeID]bool {
	hops := make(map[wire.NodeID]bool)
	for _, r := range c.relaying {
		hops[r.A], hops[r.B] = true, true
	}
	for _, p := range c.peers {
		for _, q := range p.paths {
			if !q.direct() {
				hops[q.firstHop] = true
			}
		}
	}
	return hops
}
