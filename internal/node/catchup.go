package node

import (
	"time"

	"overlayd/internal/member"
	"overlayd/internal/wire"
)

// catchup keeps a node that was off, or alone, from dealing with somebody who was put out meanwhile: it takes no session
// from a member before it has compared what it knows with another one, who has no reason to hide that.
//
//	alone ──first member met──▶ catching up ──compared with two, or 1.5 s, or there are no two──▶ caught up
//	  ▲                                                                                             │
//	  └────────────────────────── nobody met for 30 s ──────────────────────────────────────────────┘
//
// Where only one member is to be reached there is no second word to wait for: a part of a network goes on working.
type catchup struct {
	done  bool
	since time.Time   // when the first member was met; zero: none yet
	with  wire.NodeID // the first that was compared with; zero: none yet
	alone time.Time   // since when nobody is met; zero: somebody is
	met   int         // how many are
}

const (
	catchupFor = 1500 * time.Millisecond
	aloneFor   = 30 * time.Second
)

// meets notes that a member was met.
func (k *catchup) meets(now time.Time) (changed bool) {
	k.met++
	if !k.alone.IsZero() && now.Sub(k.alone) >= aloneFor {
		k.done, k.with, k.since = false, wire.NodeID{}, time.Time{}
		changed = true
	}
	k.alone = time.Time{}
	if k.since.IsZero() {
		k.since = now
	}
	return changed
}

// loses notes that a member was lost.
func (k *catchup) loses(now time.Time) {
	if k.met--; k.met == 0 {
		k.alone = now
	}
}

// compared notes that this node and a member know the same. Others is how many other members there are.
func (k *catchup) compared(with wire.NodeID, others int) (changed bool) {
	if k.done {
		return false
	}
	if k.with.IsZero() {
		k.with = with
		k.done = others <= 1
		return true
	}
	k.done = k.with != with
	return k.done
}

// tick ends the waiting.
func (k *catchup) tick(now time.Time) (changed bool) {
	if due, ok := k.deadline(); ok && !now.Before(due) {
		k.done = true
		return true
	}
	return false
}

func (k *catchup) deadline() (time.Time, bool) {
	return k.since.Add(catchupFor), !k.done && !k.since.IsZero()
}

// holds reports whether no session may be taken from a member yet.
func (k *catchup) holds(id wire.NodeID) bool { return !k.done && (k.with.IsZero() || k.with == id) }

// met notes that a member can be spoken to.
func (c *Core) met(now time.Time, p *peer) {
	p.meeting.met = true
	if c.catchup.meets(now) {
		c.outdateAll()
	}
	c.step(c.members.Step(now, member.Met{Peer: p.id, Chosen: p.picked}))
}

// unmet notes that it cannot any more.
func (c *Core) unmet(now time.Time, p *peer) {
	p.meeting.met = false
	c.catchup.loses(now)
	c.step(c.members.Step(now, member.Lost{Peer: p.id}))
}
