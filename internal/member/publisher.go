package member

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// publishEvery is the least time between two versions of a node's own record, so that an address that flaps does not
// flood the network.
const publishEvery = 500 * time.Millisecond

// surpassEvery is the same where somebody else has a newer record of this node. Once is right after a disk was lost;
// again and again means that two nodes run with the same keys, which must not make them outbid each other.
const surpassEvery = 30 * time.Second

// surpassedAgain is how soon after one such record another one shows that a copy of this node signs them.
const surpassedAgain = 10 * time.Minute

// How many versions of its own record a node signs at once, and how soon one more: whatever others tell it, or its
// addresses do.
const (
	versionsAtOnce = 16
	versionEvery   = 30 * time.Second
)

// publisher keeps a node's own record.
type publisher struct {
	statement Statement
	has       bool // statement was given
	pending   bool // the record may have to be signed anew
	record    *Record
	above     uint64    // the next sequence must be greater: somebody has a record of ours with this one
	next      time.Time // the earliest time of the next version
	versions  Credit
	surpassed time.Time    // when surpass was last called
	refreshed time.Time    // when the record was last signed
	redate    bool         // it is dated by a clock that was ahead
	spare     *Certificate // the last one by another issuer than that of the present one; nil: none
}

func (s *Set) publish(st Statement) error {
	if _, err := s.allowed(st).payload(s.cert, 1); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	s.own.statement, s.own.has, s.own.pending = st.clone(), true, true
	return nil
}

// recertified makes a new certificate this node's own. The record that is signed under it next replaces the item.
func (s *Set) recertified(c *Certificate) {
	if c.Serial <= s.cert.Serial && (c.sameRaw(s.cert.raw) || s.believes(s.cert) || !s.believes(c)) {
		return
	}
	if s.believes(s.cert) && c.Issuer != s.cert.Issuer {
		s.own.spare = s.cert
	}
	s.cert, s.own.pending = c, s.own.has
	s.emit(Recertified{Certificate: c})
}

// fallBack makes the certificate by an earlier issuer this node's own again, if a verdict voids what another one signed
// since: who passed it may not have known that this node was recertified, and so not have listed it.
func (s *Set) fallBack(now time.Time) {
	c := s.own.spare
	if c == nil || s.believes(s.cert) || !s.believes(c) || s.lapsed(c, s.past(now)) || s.out(s.self) {
		return
	}
	it := newItem(header{KindCertificate, s.self, c.Serial, c.payload}, c.raw)
	it.certificate = c
	s.put(it)
	s.touch(now)
	s.sync.spread(it, s.self, true)
}

// surpass notes a record of this node that it does not know: from before its disk was lost. A newer one must follow.
func (p *publisher) surpass(now time.Time, r *Record) {
	p.above = max(p.above, r.Sequence)
	p.record = r
	p.pending = p.has
	if !p.surpassed.IsZero() {
		p.next = p.surpassed.Add(surpassEvery)
	}
	p.surpassed = now
}

// refreshEvery is how often a record is signed anew while its certificate wants renewal: it shows that the node is there
// and wants to stay.
const refreshEvery = 24 * time.Hour

// refreshAt is when the record is signed anew though nothing has changed, in steady time.
func (s *Set) refreshAt() time.Time {
	at := s.cert.NotAfter.Add(-RenewBefore)
	if p := &s.own; p.record != nil {
		if next := time.UnixMicro(int64(p.record.Sequence)).Add(refreshEvery); next.After(at) {
			at = next
		}
	}
	at = at.Add(-s.offset)
	if next := s.own.refreshed.Add(refreshEvery); !s.own.refreshed.IsZero() && next.After(at) {
		return next
	}
	return at
}

// publishAt is when there is something to sign, if ever.
func (s *Set) publishAt() (time.Time, bool) {
	p := &s.own
	switch at := s.refreshAt(); {
	case !p.has:
		return time.Time{}, false
	case (p.pending || p.redate) && p.next.Before(at):
		return p.next, true
	case at.Before(p.next):
		return p.next, true
	default:
		return at, true
	}
}

// runOwn signs the own record anew if what it says has changed, or if it is to show that the node is there.
func (s *Set) runOwn(now time.Time) {
	p := &s.own
	stale := !now.Before(s.refreshAt())
	if !p.has || !(p.pending || stale || p.redate) || now.Before(p.next) {
		return
	}
	stale = stale || p.redate
	p.pending, p.redate = false, false
	statement := s.allowed(p.statement)
	if p.record != nil && !stale {
		payload, err := statement.payload(s.cert, p.record.Sequence)
		if err != nil || bytes.Equal(payload, p.record.payload) {
			return
		}
	}
	sequence := micros(s.Time(now))
	if !s.early(now, p.above, recordTooEarly) { // otherwise nobody believes it, and the clock has been put right
		sequence = max(sequence, p.above+1)
	}
	r, err := SignRecord(s.id, s.cert, sequence, statement)
	if err != nil {
		p.next = now.Add(publishEvery) // publish has tried the same statement, under an earlier certificate
		return
	}
	p.record, p.above, p.next, p.refreshed = r, sequence, p.nextVersion(now), now
	h := header{KindRecord, s.self, sequence, r.payload}
	it := newItem(h, r.raw)
	it.record = r
	s.put(it)
	s.touchRecord(now)
	s.sync.spread(it, s.self, true)
}

// nextVersion is when the record may be signed again after it was at now.
func (p *publisher) nextVersion(now time.Time) time.Time {
	rate := 1 / versionEvery.Seconds()
	if !p.versions.Take(now, rate, versionsAtOnce, 1) {
		p.versions.Left = 0 // a little was missing
	}
	wait := publishEvery
	if p.versions.Left < 1 {
		wait = max(wait, time.Duration((1-p.versions.Left)/rate*float64(time.Second)))
	}
	return now.Add(wait)
}

// allowed is the statement with those subnets only that this node's certificate allows.
func (s *Set) allowed(st Statement) Statement {
	st.Subnets = slices.DeleteFunc(slices.Clone(st.Subnets), func(p netip.Prefix) bool { return !s.cert.allows(p) })
	return st
}
