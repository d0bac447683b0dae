package node

import (
	"errors"
	"slices"
	"time"

	"overlayd/internal/circuit"
	"overlayd/internal/join"
	"overlayd/internal/member"
	"overlayd/internal/seal"
	"overlayd/internal/wire"
	"overlayd/tunnel/fwd"
)

// memberChanges follows the set of members.
func (c *Core) memberChanges(now time.Time) (any bool) {
	c.memberOut = c.members.Drain(c.memberOut[:0])
	for _, out := range c.memberOut {
		any = true
		switch out := out.(type) {
		case member.Send:
			if p := c.peers[out.To]; p != nil {
				c.say(now, p, wire.KindMembers, out.Body)
			}
		case member.Changed:
			c.memberChanged(now, out.Node)
		case member.Synced:
			if c.catchup.compared(out.Peer, c.members.Len()-1) {
				c.outdateAll()
			}
		case member.Ruled:
			c.ruled(out.Verdict)
		case member.Conflict:
			c.notice(c.conflictText(out), false)
		case member.Surpassed:
			if out.Again {
				c.noticeOnce("surpassed", now, "another host publishes records with the keys of this node"+
					placesOf(out.Record.Endpoints[:min(len(out.Record.Endpoints), 2)])+": stop one of the two, remove its state "+
					"directory and join it as a new node", true)
			}
		case member.Recertified:
			c.recertified(now, out.Certificate)
		case member.Renamed:
			c.emit(SaveMembership{Network: out.Network, Certificate: c.members.Certificate()})
		case member.Save:
			c.emit(SaveMembers{Items: out.Items})
		}
	}
	if c.roster {
		c.roster = false
		c.acquaint(now)
		c.networksChanged = true
		any = true
	}
	return any
}

// memberChanged makes, renews or removes what a member is to us.
func (c *Core) memberChanged(now time.Time, id wire.NodeID) {
	c.roster = true
	m, known := c.members.Get(id)
	if known && len(m.Subnets) > 0 {
		c.advertisers[id] = true
	} else {
		delete(c.advertisers, id)
	}
	if id == c.self {
		return
	}
	if !known || m.Barred {
		c.expel(now, id)
		return
	}
	if key := m.Certificate.WireGuard; c.known[id] != key { // that of a node is always the same: its identifier follows from it
		c.known[id] = key
		c.box.AddPeer(id, key)
		c.outcasts = slices.DeleteFunc(c.outcasts, func(other wire.NodeID) bool { return other == id })
	}
	c.emit(AddPeer{ID: id, Public: m.Certificate.WireGuard, Allowed: whole(addressesOf(m))})
	if p := c.peers[id]; p != nil {
		moved := !slices.Equal(p.member.Record.Endpoints, m.Record.Endpoints)
		p.member = m
		c.tryEndpoints(now, p)
		if moved {
			c.probePaths(now, p)
		}
		c.touch(p)
	}
}

// knowledge is what probes say of all that this node knows of the members.
func (c *Core) knowledge() uint32 { return uint32(c.members.Digest()) }

// theirKnowledge compares it with a peer's. So a difference, such as is left when a cut that nobody noticed heals, is
// found within a probe of some contact or other.
func (c *Core) theirKnowledge(now time.Time, p *peer, known uint32) {
	if known != c.knowledge() && p.meeting.met {
		c.step(c.members.Step(now, member.Differs{Peer: p.id, Known: known}))
	}
}

// expel ends all dealings with a node that is no member any more: its session, its keys, and every circuit that it opened,
// ends or relays.
func (c *Core) expel(now time.Time, id wire.NodeID) {
	if c.known[id].IsZero() {
		return
	}
	delete(c.known, id)
	if p := c.peers[id]; p != nil {
		c.lose(now, p)
	}
	c.step(c.circuits.Step(now, circuit.NeighborGone{ID: id}))
	for _, other := range c.order {
		p := c.peers[other]
		for _, q := range p.sorted() {
			if slices.Contains(q.via, id) {
				c.closeCircuit(now, p, q)
			}
		}
		p.relays.without(id)
	}
	c.castOut(id)
	c.dirty = true
	c.emit(RemovePeer{ID: id})
}

// Whoever is out by what this node knows may have been put out by an admin that the root has struck, and so may everybody
// else: then nobody is left to say so. So a little is heard from outcasts too (member.Set), and told to members that do not
// answer.
const (
	maxOutcasts   = 256
	outsideFrames = 20 // a second, of all of them
	pleadEvery    = time.Minute
)

// castOut keeps the key of a node that is out, and forgets that of the first one if there are too many.
func (c *Core) castOut(id wire.NodeID) {
	c.outcasts = append(c.outcasts, id)
	if len(c.outcasts) > maxOutcasts {
		c.box.RemovePeer(c.outcasts[0])
		c.outcasts = slices.Delete(c.outcasts, 0, 1)
	}
}

// heardOutside takes a frame of a node that is no member.
func (c *Core) heardOutside(now time.Time, frame seal.Frame) {
	if frame.Kind == wire.KindMembers && c.outside.take(now) {
		c.step(c.members.Step(now, member.Received{From: frame.From, Body: frame.Body}))
	}
}

// plead tells picked members that do not answer what the root says: they may take this node for revoked.
func (c *Core) plead(now time.Time) {
	if now.Sub(c.pleaded) < pleadEvery {
		return
	}
	c.pleaded = now
	pleas := c.members.Pleas()
	if len(pleas) == 0 {
		return
	}
	for _, id := range c.order {
		p := c.peers[id]
		if !p.picked || p.speakingPath() != nil {
			continue
		}
		q, _ := p.link()
		for _, body := range pleas {
			c.sendOn(p, q, wire.KindMembers, body)
		}
	}
}

// ruled tells a person of a verdict.
func (c *Core) ruled(v *member.Verdict) {
	if v.Part > 0 {
		return
	}
	node, by := c.name(v.Target), c.nameOfSigner(v.Signer)
	switch {
	case v.Left():
		c.notice(node+" has left the network", false)
	case v.Rank == member.Out && v.Target == c.self:
		c.notice("this node was revoked by "+by+": the others do not answer it any more", true)
	case v.Rank == member.Out:
		c.notice(node+" was revoked by "+by, false)
	case v.Rank == member.AsAdmin:
		c.notice(node+" is an admin now, says "+by, false)
	default:
		c.notice(node+" is an ordinary member now, says "+by, false)
	}
}

func (c *Core) notice(text string, bad bool) {
	if !c.quiet {
		c.emit(Notice{Text: text, Bad: bad})
	}
}

// A certificate that is not renewed in time means that no admin was reached for weeks: a person is told once a day.
const (
	endWarning = 14 * 24 * time.Hour
	warnEvery  = 24 * time.Hour
)

func (c *Core) warnOfEnd(now time.Time) {
	end := c.members.Certificate().NotAfter
	if end.Sub(c.members.Time(now)) > endWarning || now.Sub(c.warned) < warnEvery {
		return
	}
	c.warned = now
	ends := " ends on "
	if end.Before(c.members.Time(now)) {
		ends = " ended on "
	}
	c.notice("the certificate of this node"+ends+end.UTC().Format(time.DateOnly)+" and no admin has renewed it: start an "+
		"admin that it reaches (overlayctl members lists them)", true)
}

// conflictText says who has what two members claim.
func (c *Core) conflictText(k member.Conflict) string {
	winner, loser := c.name(k.Winner), k.Loser.Short()
	const elder = ", which was let in earlier"
	switch {
	case k.Name != "":
		return "the name " + k.Name + " belongs to " + k.Winner.Short() + elder + "; " + loser + " goes without one"
	case k.IPv4.IsValid():
		return "the address " + k.IPv4.String() + " belongs to " + winner + elder + "; " + c.name(k.Loser) + " goes without one"
	case k.Key:
		return winner + " has the key of " + loser + ", which is not dealt with: it is a copy, and has to join anew"
	default:
		return "the invitation " + k.Token.String() + " was used by more nodes than it was for; " + loser + " is not dealt with"
	}
}

// recertified follows a new certificate of this node's own.
func (c *Core) recertified(now time.Time, cert *member.Certificate) {
	c.cfg.Certificate = cert
	c.emit(SaveMembership{Network: c.members.Network(), Certificate: cert})
	c.step(c.circuits.Step(now, circuit.SetRelay{Allowed: c.relaysForOthers()}))
	c.networksChanged = true
}

// relaysForOthers reports whether this node forwards circuits of others.
func (c *Core) relaysForOthers() bool {
	return c.cfg.Relay != member.RelayNever && c.cfg.Certificate.Capabilities.Has(member.Relay)
}

// relays reports whether a member forwards circuits of others.
func relays(m member.Member) bool {
	return m.Record.Statement.Relay != member.RelayNever && m.Certificate.Capabilities.Has(member.Relay)
}

// attend signs what nobody asks for, if this node may.
func (c *Core) attend(now time.Time) {
	c.attended = now
	c.learn(now, c.registrar.Attend(now, c.attending))
}

// learn gives the set what was signed here, to be stored before anything else is done.
func (c *Core) learn(now time.Time, items []member.Item) {
	if len(items) == 0 {
		return
	}
	c.step(c.members.Step(now, member.Learn{Items: items}))
	c.emit(SaveMembers{Items: c.members.Stored(), Now: true})
}

// join answers a newcomer that has a token, or asks an admin. What was decided is stored before it is told.
func (c *Core) join(now time.Time, in Datagram, back fwd.Hop) {
	answer, err := c.door.Receive(now, in.From, back, in.Data, c.reachableAdmins(now))
	c.step(err)
	if errors.Is(err, join.ErrNoAdmin) {
		c.seekAdmins(now) // the newcomer will ask again
	}
	c.answer(now, answer)
}

// pass takes what a member passes on.
func (c *Core) pass(now time.Time, p *peer, body []byte) {
	answer, err := c.door.Passed(now, p.id, body)
	c.step(err)
	c.answer(now, answer)
}

func (c *Core) answer(now time.Time, a join.Answer) {
	if a.Notice != "" {
		c.noticeOnce(a.Notice, now, a.Notice, false)
	}
	c.learn(now, a.Learn)
	if p := c.peers[a.To]; p != nil {
		c.say(now, p, wire.KindPass, a.Body)
	}
	if back, ok := a.Back.(fwd.Hop); ok && a.Frame != nil {
		c.emit(Send{Hop: back, Frame: a.Frame})
	}
}

// reachableAdmins are the admins that this node has a path to, the nearest first; none if it is one.
func (c *Core) reachableAdmins(now time.Time) []wire.NodeID {
	if c.registrar.May(now) {
		return nil
	}
	var list []wire.NodeID
	rtt := make(map[wire.NodeID]time.Duration)
	for _, id := range c.order {
		p := c.peers[id]
		if !p.member.Admin {
			continue
		}
		if q := p.speakingPath(); q != nil {
			m, _ := p.prober.Measure(q.id, now)
			rtt[id] = m.RTT
			list = append(list, id)
		}
	}
	slices.SortStableFunc(list, func(a, b wire.NodeID) int { return int(rtt[a] - rtt[b]) })
	return list
}

// soughtAdmins is how many admins a node looks for at once.
const soughtAdmins = 3

func (c *Core) seekAdmins(now time.Time) {
	sought := 0
	ids := c.members.IDs()
	offset := c.random.IntN(max(len(ids), 1))
	for i := range ids {
		id := ids[(i+offset)%len(ids)]
		if id == c.self || !c.members.IsAdmin(id) {
			continue
		}
		if p := c.contact(now, id); p != nil {
			c.wake(now, p)
			if sought++; sought == soughtAdmins {
				return
			}
		}
	}
}
