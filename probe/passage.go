package probe

import "time"

// passage tells whether any data arrives on a path, from how many data packets the peer says had arrived when a probe
// did. It is for paths that pass probes and none of the data, at whatever rate that is sent: loss.go and evidence.go
// compare rates, and take too little data for no finding.
//
//	sent       d1 P1 d2 P2 P3 d3 P4 P5        P1 arrived, and d1 is counted: all up to it is resolved
//	arrived    d1 P1    P2 P3    P4 P5        P3 arrived, and d2 is not counted: one is missing, P5: two are
//
// A packet counts as missing once a probe has arrived that was sent settleGap later or more, so that a batch that two
// goroutines put in another order is no loss. When anything arrives, all that was sent before it is resolved: it is the run
// without any arrival that counts.
type passage struct {
	known    bool
	arrived  uint32  // the peer's count, modulo 2^32
	resolved uint32  // packets sent up to here are not asked about any more
	settled  uint32  // packets sent that had the time to arrive, the greatest so far
	missing  uint32  // of them, those that came after resolved
	groups   int     // intervals between two probes in which missing packets were sent
	since    instant // when the first missing packet was sent, or a little later
	until    instant // when the latest probe was sent that arrived after missing packets

	total   Passage // Settled and Arrived only
	surplus int64   // arrived beyond what was sent: data of another path that the peer counts here
}

// Passage is whether data arrives on a path, on the way to the peer. The totals are of the time since the path was added, and only
// grow.
type Passage struct {
	Settled    uint64        // data packets sent that had the time to arrive
	Arrived    uint64        // data packets that the peer has counted
	Missing    int           // packets sent since the latest that is known to have arrived, and that had the time to
	Groups     int           // intervals between probes in which they were sent
	ProbeLoss  float64       // part of the probes lost lately, 0 to 1
	MissingFor time.Duration // from the first of them to the latest probe that arrived after it
}

// settleGap is how much earlier than a probe that arrived data must have been sent to be missing.
const settleGap = 10 * time.Millisecond

// passed takes a report that the probe e arrived and that by then, or later, so many data packets had, the latest of them
// with this sequence (wire.DataSeq). It reports whether a packet that was sent before the probe is not there yet.
func (p *Prober) passed(a *path, e *sentProbe, data, latest uint32) (overtaken bool) {
	if a.counts == nil {
		return false
	}
	s := &a.passage
	news := int32(data - s.arrived)
	if !s.known || news < 0 {
		s.known, s.arrived = true, data
		a.resolve()
		s.settled = s.resolved
		return false
	}
	margin := min(max(settleGap, 4*a.timing.forward.dev), settleAfter)
	settled, ok := a.sentBefore(e, margin)
	if ok && int32(settled-s.settled) > 0 {
		s.total.Settled += uint64(settled - s.settled)
		s.settled = settled
	}
	if news > 0 {
		s.arrived = data
		s.total.Arrived += uint64(news)
		a.resolveUpTo(latest)
		sent, _, _ := a.counts.Counts()
		if surplus := int64(s.total.Arrived) - int64(sent); surplus > s.surplus {
			s.surplus = surplus
			p.resolveOthers(a)
		}
		return false
	}
	if missing := int32(s.settled - s.resolved); missing > int32(s.missing) {
		if s.missing == 0 {
			s.since = a.sentAfter(s.resolved, e)
		}
		s.missing = uint32(missing)
		s.groups++
	}
	if s.missing > 0 {
		s.until = max(s.until, e.at)
	}
	return int32(e.tx-s.resolved) > int32(s.missing)
}

// resolve asks no more about what was sent so far.
func (p *path) resolve() {
	if p.counts == nil {
		return
	}
	s := &p.passage
	sent, _, _ := p.counts.Counts()
	s.resolved = uint32(sent)
	s.missing, s.groups, s.until = 0, 0, never
}

// resolveUpTo asks no more about what was sent up to the data packet of a sequence, or to the next probe after it. What is not
// known is taken for arrived.
func (p *path) resolveUpTo(latest uint32) {
	b := p.sent(p.seq)
	if b == nil || int32(b.data-latest) < 0 {
		p.resolve() // it was sent after the latest probe
		return
	}
	for {
		before := p.sent(b.seq - 1)
		if before == nil || int32(before.data-latest) < 0 || int32(b.data-before.data) < 0 {
			break
		}
		b = before
	}
	s := &p.passage
	if int32(b.tx-s.resolved) < 0 {
		p.resolve() // an old packet came again, or late: it says nothing of the newer ones
		return
	}
	s.resolved = b.tx
	s.missing, s.groups, s.until = 0, 0, never
}

// resolveOthers takes data that the peer counts on a path, and that was not sent on it, for data of the others: the peer
// tells paths apart by where they come from, so two of our paths to different addresses of it may be one for it.
func (p *Prober) resolveOthers(a *path) {
	for _, b := range p.paths {
		if b != a && b.passage.missing > 0 {
			b.resolve()
		}
	}
}

// sentAfter is when the first probe up to e was sent after more than tx data packets.
func (p *path) sentAfter(tx uint32, e *sentProbe) instant {
	at := e.at
	for b := p.sent(e.seq - 1); b != nil && int32(b.tx-tx) > 0; b = p.sent(b.seq - 1) {
		at = b.at
	}
	return at
}

// measure is what is known now.
func (s *passage) measure() Passage {
	m := s.total
	if s.missing > 0 {
		m.Missing, m.Groups, m.MissingFor = int(s.missing), s.groups, max(s.until.sub(s.since), 0)
	}
	return m
}
