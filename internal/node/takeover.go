package node

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"overlayd/internal/wire"
)

// A peer that has heard a later run of this node refuses what this run says: a copy of this node runs elsewhere, or its
// memory or its epoch went back. The pair goes on in a newer epoch (seal.Box.Advance), and its WireGuard session anew: both
// ends may have gone back with it. Where a copy runs, the two take turns, until one of them ends.

const (
	// takeoverEvery is the least time between two takeovers of one pair: as long as two copies run, each has the peer in
	// turn, and once one has ended, the other one has it back after that time at most.
	takeoverEvery = 2 * time.Second

	// duplicateFor is how long this node says that it has a copy after a peer has last said so, and duplicateToldEvery how
	// often a person is told while it goes on.
	duplicateFor       = 30 * time.Second
	duplicateToldEvery = 10 * time.Minute
)

// takeovers are the pairs in which this node was found behind.
type takeovers map[wire.NodeID]*takeover

type takeover struct {
	above uint64    // the epoch that the peer has heard
	last  time.Time // the latest takeover
	due   time.Time // the next one; zero: none is needed
}

// want notes that a peer has heard an epoch of this node that is not behind its own.
func (t takeovers) want(now time.Time, id wire.NodeID, above uint64) {
	o := t[id]
	if o == nil {
		o = &takeover{}
		t[id] = o
	}
	o.above = max(o.above, above)
	if o.due.IsZero() {
		o.due = now
		if next := o.last.Add(takeoverEvery); !o.last.IsZero() && next.After(now) {
			o.due = next
		}
	}
}

// take returns the pairs whose time has come, sorted, and forgets those for which none came for long.
func (t takeovers) take(now time.Time) (due []wire.NodeID) {
	for id, o := range t {
		switch {
		case o.due.IsZero():
			if now.Sub(o.last) > time.Minute {
				delete(t, id)
			}
		case !o.due.After(now):
			o.due, o.last = time.Time{}, now
			due = append(due, id)
		}
	}
	slices.SortFunc(due, wire.NodeID.Compare)
	return due
}

func (t takeovers) deadline() (next time.Time, ok bool) {
	for _, o := range t {
		if !o.due.IsZero() && (!ok || o.due.Before(next)) {
			next, ok = o.due, true
		}
	}
	return next, ok
}

// takeOver takes newer epochs in the pairs where that is due.
func (c *Core) takeOver(now time.Time) {
	for _, id := range c.takeovers.take(now) {
		if !c.box.Advance(id, c.takeovers[id].above) {
			continue
		}
		if p := c.peers[id]; p != nil {
			p.meeting.tookOver = true
			c.restarted(now, p)
		}
		c.noticeOnce("overtaken "+id.String(), now, c.name(id)+" has heard a later run of this node than this one: its memory was put "+
			"back to a snapshot, its clock went back with a lost state directory, or a copy of it runs elsewhere; this run goes on in "+
			"its place", true)
	}
}

// reset ends the WireGuard session with a peer, and what this node remembers of its time stamps: what follows is from
// another run, or by another clock.
func (c *Core) resetSession(p *peer) { c.emit(ForgetSession{ID: p.id}) }

// source is where a frame came from: not valid if a relay passed it on.
func (in *Datagram) source() netip.AddrPort {
	if in.Path != nil {
		return netip.AddrPort{}
	}
	return in.From
}

// newRun follows a peer into a newer epoch, and tells it if another host has its keys.
func (c *Core) newRun(now time.Time, p *peer, on *path) {
	if at := p.runs.At(now); at != nil {
		c.sendOn(p, on, wire.KindDuplicate, (&wire.Endpoints{List: validOf(at)}).Append(nil))
	}
}

func validOf(list []netip.AddrPort) []netip.AddrPort {
	return slices.DeleteFunc(slices.Clone(list), func(a netip.AddrPort) bool { return !a.IsValid() })
}

// toldDuplicate takes a peer's word that another host runs with the keys of this node. It is shown, and changes nothing.
func (c *Core) toldDuplicate(now time.Time, p *peer, at []netip.AddrPort) {
	slices.SortFunc(at, netip.AddrPort.Compare)
	at = at[:min(len(at), 2)]
	c.duplicate = duplicate{by: p.id, at: at, told: now}
	c.noticeOnce("duplicate self", now, c.ownDuplicate(now), true)
}

// duplicate is what a peer last said of hosts with the keys of this node.
type duplicate struct {
	by   wire.NodeID
	at   []netip.AddrPort
	told time.Time // zero: never
}

// ownDuplicate says that another host runs with the keys of this node; empty if nobody has said so lately.
func (c *Core) ownDuplicate(now time.Time) string {
	d := c.duplicate
	if d.told.IsZero() || now.Sub(d.told) > duplicateFor {
		return ""
	}
	return "two hosts run with the keys of this node" + placesOf(d.at) + ", says " + c.name(d.by) + ": stop one of them, remove " +
		"its state directory and join it as a new node"
}

// duplicateOf says that two hosts run with the keys of a peer; empty if there is no sign of it.
func (c *Core) duplicateOf(now time.Time, p *peer) string {
	at := p.runs.At(now)
	if at == nil {
		return ""
	}
	return "two hosts run with the keys of " + c.name(p.id) + placesOf(at) + ": stop one of them, remove its state directory and " +
		"join it as a new node"
}

func placesOf(at []netip.AddrPort) string {
	var places []string
	for _, a := range at {
		if a.IsValid() {
			places = append(places, a.String())
		} else {
			places = append(places, "an address behind a relay")
		}
	}
	if len(places) == 0 {
		return ""
	}
	return ", at " + strings.Join(places, " and ")
}

// told remembers when people were last told of something that goes on.
type told map[string]time.Time

// maxTold bounds it: what is forgotten is told once more.
const maxTold = 256

// noticeOnce tells a person of something that goes on, again only after a while.
func (c *Core) noticeOnce(key string, now time.Time, text string, bad bool) {
	if last, ok := c.told[key]; ok && now.Sub(last) < duplicateToldEvery {
		return
	}
	if len(c.told) >= maxTold {
		clear(c.told)
	}
	c.told[key] = now
	c.notice(text, bad)
}

// warnings are sentences on a peer that people must see wherever it is listed; empty: none.
func (c *Core) warningOf(now time.Time, id wire.NodeID) string {
	if id == c.self {
		return c.ownDuplicate(now)
	}
	p := c.peers[id]
	if p == nil {
		return c.otherBuild(id)
	}
	return cmp.Or(c.duplicateOf(now, p), c.otherBuild(id))
}
