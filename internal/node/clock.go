package node

import (
	"fmt"
	"time"

	"overlayd/internal/member"
	"overlayd/internal/wire"
	"overlayd/probe"
)

// The Core is stepped in steady time, which never goes back and stands still while the host sleeps: all deadlines, round
// trips and ages are in it. Dates, which people read and members sign, are steady time and the offset of the wall clock.
// That clock may be stepped at any moment, by hours or by years, and is right at no moment for certain:
//
//	epochs (package seal)           greater than any before, by the state directory; no clock has to be right
//	dates of what is signed         network time (member.Set.Time)
//	WireGuard's handshakes          the wall clock, as wireguard-go reads it: if it goes back, both ends forget the time of
//	                                the latest one (KindSession), since they refuse older ones
//	rules of users that expire      the wall clock

const (
	// sleepAtLeast is how far the wall clock jumps ahead if the host has slept, or so it seems: then the peers have given up
	// its sessions, and the paths may be others.
	sleepAtLeast = 10 * time.Second

	// clockBack is how far it may go back without harm: WireGuard begins no two sessions with a peer within so short a time.
	clockBack = time.Second

	// resetEvery is how often a peer is asked to forget a session until it has, and how often at most this node does so on
	// the word of a peer.
	resetEvery = time.Second
)

// What a KindSession frame says.
const (
	sessionForget byte = 1 // forget the session with the sender
	sessionForgot byte = 2 // that is done
)

// WallClock says how far the wall clock is ahead of steady time, whenever that changes.
type WallClock struct{ Offset time.Duration }

func (WallClock) input() {}

// clock is the wall clock of this host.
type clock struct {
	offset time.Duration // from steady time
	latest time.Time     // that it has shown before it went back; zero: it never did
}

// wall is what the wall clock shows.
func (c *Core) wall(now time.Time) time.Time { return now.Add(c.clock.offset) }

// wallClock is a steady time as people read it; the zero time stays.
func (c *Core) wallClock(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return wallClock(c.wall(t))
}

// wallClockSet follows a step of the wall clock.
func (c *Core) wallClockSet(now time.Time, offset time.Duration) {
	before, step := c.wall(now), offset-c.clock.offset
	c.clock.offset = offset
	c.step(c.members.Step(now, member.Clock{Offset: offset}))
	switch {
	case step < -clockBack:
		if before.After(c.clock.latest) {
			c.clock.latest = before
		}
		for _, id := range c.order {
			c.peers[id].meeting.reset = true
			c.probePaths(now, c.peers[id]) // to be heard of it soon
		}
	case step > sleepAtLeast:
		for _, id := range c.order {
			p := c.peers[id]
			for _, q := range p.sorted() {
				c.step(p.prober.Step(now, probe.ProbeNow{ID: q.id}))
			}
			if p.use.level != idle {
				c.emit(RenewSession{ID: id})
			}
			c.touch(p)
		}
	}
	if step.Abs() > sleepAtLeast {
		c.notice(fmt.Sprintf("the clock of this host was set, or it has slept: it is %s UTC now, %v %s",
			wallClock(c.wall(now)).Format(time.DateTime), step.Abs().Round(time.Second),
			map[bool]string{true: "later than expected", false: "earlier than before"}[step > 0]), false)
	}
}

// wentBack reports whether a peer may have seen a handshake of this node at a later time than it is now.
func (c *Core) wentBack(now time.Time) bool { return c.wall(now).Before(c.clock.latest) }

// askReset asks a peer to forget the session, since the clock went back, until it has.
func (c *Core) askReset(now time.Time, p *peer, on *path) {
	if !p.meeting.reset || now.Sub(p.meeting.resetAsked) < resetEvery {
		return
	}
	p.meeting.resetAsked = now
	c.sendOn(p, on, wire.KindSession, []byte{sessionForget})
}

// sessionMessage takes the peer's word about the session with it.
func (c *Core) sessionMessage(now time.Time, p *peer, on *path, body []byte) {
	switch {
	case len(body) != 1:
	case body[0] == sessionForget && (p.meeting.resetDone.IsZero() || now.Sub(p.meeting.resetDone) >= resetEvery):
		p.meeting.resetDone = now
		c.resetSession(p)
		c.sendOn(p, on, wire.KindSession, []byte{sessionForgot})
	case body[0] == sessionForgot && p.meeting.reset:
		p.meeting.reset = false
		c.resetSession(p)
		if p.use.level != idle {
			c.emit(RenewSession{ID: p.id})
		}
	}
}

// clockWarning says that the clock of this host differs from those of its peers; empty if it does not.
func (c *Core) clockWarning(now time.Time) string {
	ahead, others := c.members.ClockError(now)
	if len(others) == 0 {
		return ""
	}
	direction := "ahead of"
	if ahead < 0 {
		direction = "behind"
	}
	whose := c.name(others[0])
	if len(others) > 1 {
		return fmt.Sprintf("the clock of this node is %v %s those of %s and %d more: set it (timedatectl set-ntp true)",
			ahead.Abs().Round(time.Minute), direction, whose, len(others)-1)
	}
	return fmt.Sprintf("the clock of this node is %v %s that of %s: set the one that is wrong (timedatectl set-ntp true)",
		ahead.Abs().Round(time.Minute), direction, whose)
}
