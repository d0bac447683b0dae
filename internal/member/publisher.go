package member

import (
	"bytes"
	"fmt"
	"time"
)

// publishEvery is the least time between two versions of a node's own record, so that an address that flaps does not
// flood the network.
const publishEvery = 500 * time.Millisecond

// surpassEvery is the same where somebody else has a newer record of this node. Once is right after a disk was lost;
// again and again means that two nodes run with the same keys, which must not make them outbid each other.
const surpassEvery = 30 * time.Second

// publisher keeps a node's own record.
type publisher struct {
	statement Statement
	has       bool // statement was given
	pending   bool // the record may have to be signed anew
	record    *Record
	above     uint64    // the next sequence must be greater: somebody has a record of ours with this one
	next      time.Time // the earliest time of the next version
	surpassed time.Time // when surpass was last called
}

func (s *Set) publish(st Statement) error {
	if _, err := st.payload(s.cert, 1); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	s.own.statement, s.own.has, s.own.pending = st.clone(), true, true
	return nil
}

func (s *Set) certified(c *Certificate) error {
	if c == nil || c.Node != s.self || c.Network != s.network.ID {
		return fmt.Errorf("own certificate: %w", ErrForeign)
	}
	s.cert, s.own.pending = c, s.own.has
	return nil
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

// deadline is when a change that came too soon after the last one is signed.
func (p *publisher) deadline() (time.Time, bool) { return p.next, p.pending }

// runOwn signs the own record anew if what it says has changed.
func (s *Set) runOwn(now time.Time) {
	p := &s.own
	if !p.pending || now.Before(p.next) {
		return
	}
	p.pending = false
	if p.record != nil {
		payload, err := p.statement.payload(s.cert, p.record.Sequence)
		if err != nil || bytes.Equal(payload, p.record.payload) {
			return
		}
	}
	sequence := max(micros(now), p.above+1)
	r, err := SignRecord(s.id, s.cert, sequence, p.statement)
	if err != nil {
		return // publish has tried the same statement
	}
	p.record, p.above, p.next = r, sequence, now.Add(publishEvery)
	s.put(now, r)
	s.sync.spread(r, s.self, true)
}
