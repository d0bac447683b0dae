package member

import (
	"slices"
	"time"

	"overlayd/internal/wire"
)

// Which time is what. The `now` of every call is a steady time that never goes back; deadlines and gaps are counted in it.
// What is signed carries dates, which are compared with the wall clock: steady time and an offset, which the caller tells
// (Clock). That clock may be wrong, by months, at a start or at any moment. So
//
//	to sign, and to take what is new     network time: the wall clock; where it is alone among the clocks of the neighbors
//	                                     and two of them agree, theirs
//	to forget for good                   the earliest of network time, the wall clock, and a date that two others have
//	                                     signed later than: an item goes only if all three are past its end
//
// A certificate that has ended makes a member for Lapse more: its node is heard, and renewed when an admin is there. A
// revocation outlasts every certificate that it is about, with that time.

const (
	// Lapse is how long past its end a certificate still makes a member, and can be renewed. With Validity it is how long a
	// network goes on without any admin, and a node that is off is not forgotten.
	Lapse = 270 * 24 * time.Hour

	// clocksAgree is by how much two clocks that agree may differ.
	clocksAgree = time.Hour

	// clockFor is how long a neighbor's clock counts after it last told it.
	clockFor = 10 * time.Minute
)

// Clock says how far the wall clock is ahead of the times that Step is called with.
type Clock struct{ Offset time.Duration }

func (Clock) setInput() {}

// wall is what this host's clock shows.
func (s *Set) wall(now time.Time) time.Time { return now.Add(s.offset) }

// neighborClock is what a neighbor last said of its clock.
type neighborClock struct {
	ahead time.Duration // of steady time here
	at    time.Time     // zero: it has said nothing
}

// tells notes what a neighbor's clock shows, in seconds since 1970; zero: it does not say.
func (s *Set) tells(now time.Time, from wire.NodeID, seconds int64) {
	if n := s.sync.neighbors[from]; n != nil && seconds > 0 && seconds < maxUnix {
		n.clock = neighborClock{ahead: time.Unix(seconds, 0).Sub(now), at: now}
		own := s.own.record
		s.own.redate = own != nil && s.early(now, own.Sequence, recordTooEarly)
	}
}

// ClockError is how far this host's clock is ahead of those of all neighbors that have told theirs, which are given too:
// the median. It is zero if one of them agrees with it, or none has told.
func (s *Set) ClockError(now time.Time) (ahead time.Duration, others []wire.NodeID) {
	var errors []time.Duration
	for _, id := range s.sync.order {
		c := s.sync.neighbors[id].clock
		if c.at.IsZero() || now.Sub(c.at) > clockFor {
			continue
		}
		e := s.offset - c.ahead
		if e.Abs() <= clocksAgree {
			return 0, nil
		}
		errors, others = append(errors, e), append(others, id)
	}
	if len(errors) == 0 {
		return 0, nil
	}
	slices.Sort(errors)
	return errors[len(errors)/2], others
}

// Time is network time: what is signed at now is dated with it.
func (s *Set) Time(now time.Time) time.Time {
	wall := s.wall(now)
	wrong, others := s.ClockError(now)
	agreeing := 0
	for _, id := range others {
		if (s.offset - wrong - s.sync.neighbors[id].clock.ahead).Abs() <= clocksAgree {
			agreeing++
		}
	}
	if agreeing < 2 || 2*agreeing <= len(others) { // one of two clocks is wrong: nobody knows which
		return wall
	}
	return wall.Add(-wrong)
}

// confirmed reports whether two neighbors agree with this host's clock.
func (s *Set) confirmed(now time.Time) bool {
	agreeing := 0
	for _, n := range s.sync.neighbors {
		if c := n.clock; !c.at.IsZero() && now.Sub(c.at) <= clockFor && (s.offset-c.ahead).Abs() <= clocksAgree {
			agreeing++
		}
	}
	return agreeing >= 2
}

// dates are the latest dates that two others have signed anything at: one of them alone may lie, or have a wrong clock.
type dates [2]struct {
	by wire.NodeID
	at uint64 // microseconds since 1970; zero: none
}

// note enters the date of an item.
func (d *dates) note(by wire.NodeID, at uint64) {
	switch {
	case d[0].at != 0 && d[0].by == by:
		d[0].at = max(d[0].at, at)
	case at > d[0].at:
		d[0], d[1] = struct {
			by wire.NodeID
			at uint64
		}{by, at}, d[0]
	case at > d[1].at:
		d[1].by, d[1].at = by, at
	}
}

// latest is a date that two have signed later than, or one where there is no second.
func (d *dates) latest() uint64 {
	if d[1].at != 0 {
		return d[1].at
	}
	return d[0].at
}

// signedBy is who has dated an item.
func (i *item) signedBy() wire.NodeID {
	switch i.kind {
	case KindRecord:
		return i.id
	case KindCertificate:
		return i.certificate.Issuer
	case KindVerdict:
		return i.verdict.Signer
	case KindInvitation:
		return i.invitation.By
	}
	return wire.NodeID{}
}

// behind reports whether this host's clock must be behind: others have signed later than it says that it is.
func (s *Set) behind(now time.Time) bool {
	return s.dates.latest() > micros(s.Time(now).Add(recordTooEarly))
}

// early reports whether a date is too far ahead to be believed.
func (s *Set) early(now time.Time, date uint64, by time.Duration) bool {
	return date > micros(s.Time(now).Add(by)) && !s.behind(now)
}

// past is the time up to which everything is over, whoever's clock is wrong. A node that knows nobody has only its own.
func (s *Set) past(now time.Time) time.Time {
	past := s.Time(now)
	if wall := s.wall(now); wall.Before(past) {
		past = wall
	}
	date := s.dates.latest()
	if latest := time.UnixMicro(int64(min(date, maxSequence))); date != 0 && latest.Before(past) {
		past = latest
	}
	return past
}

// lapsed reports whether a certificate makes no member any more. That of a node which never came ends when it says.
func (s *Set) lapsed(c *Certificate, past time.Time) bool {
	end := c.NotAfter.Add(ClockTolerance)
	if s.Record(c.Node) != nil {
		end = end.Add(Lapse)
	}
	return past.After(end)
}
