package node

import (
	"time"

	"overlayd/internal/wire"
	"overlayd/probe"
)

// audit is a path that carries copies of data for a moment, so that it shows what becomes of data on it: probes alone do
// not tell, since a relay, or a broken box, can pass them and drop the rest. A path is audited
//
//   - before it takes over for being better, while its claim lasts;
//   - when it stands by, and again from time to time;
//   - after it was left for losing data, until it is known whether that was aimed at data.
//
// The copies go nowhere but to the peer, which drops what it has, so users see nothing of it; they have a budget of their
// own.
type audit struct {
	path  wire.PathID // zero: none
	until time.Time
	from  uint64 // packets that the path had carried when it began
	left  bool   // the path was left for losing data
	trial bool   // the path has to show that it passes data: package blackhole ends it
}

const (
	auditPackets = 100             // that are enough
	auditFor     = 2 * time.Second // at most
	auditAgain   = 2 * time.Minute // between two audits of a path that stands by, doubled each time
	auditMost    = 10 * time.Minute
	auditTrial   = 20 * time.Second // an audit that is younger serves for a trial
	auditLeft    = time.Minute      // how long a path that was left is audited at most: so long it takes to tell 5% from chance
	auditLeast   = 5 * time.Second  // and at least, if it fares as probes do
	auditLoad    = 0.5              // of a relay, from which on copies do more harm than good
	auditExcess  = 0.01             // of data lost beyond what is lost of probes, that is worth to look at longer

	auditRate  = 32 << 10 // bytes a second of such copies
	auditBurst = 64 << 10
)

// reviewAudit begins and ends audits.
func (c *Core) reviewAudit(now time.Time, p *peer) {
	if c.reviewTrial(now, p) {
		return
	}
	flows := p.use.level == active && now.Sub(p.use.ours) < 2*checkRate
	next := p.audit
	if !flows || !c.auditGoesOn(now, p) {
		if q := p.paths[p.audit.path]; q != nil {
			q.audited = now
			q.auditGap = min(max(2*q.auditGap, auditAgain), auditMost)
		}
		next = audit{}
		if flows {
			next = c.nextAudit(now, p)
		}
	}
	if next == p.audit {
		return
	}
	p.audit = next
	c.setRates(now, p)
	c.outdate(p)
	c.touch(p)
}

// reviewTrial lets copies of data go over a path that did not pass data, or that must show that it does, while package
// blackhole wants it. It comes before all other audits. It reports whether there is such a trial.
func (c *Core) reviewTrial(now time.Time, p *peer) bool {
	var id wire.PathID
	if p.use.level == active {
		id = p.holes.Trial(now, func(id wire.PathID) bool {
			q := p.paths[id]
			return q != nil && id != p.route().Selected && c.auditable(now, p, q) && p.sizes.TooSmall(id) == ""
		})
	}
	if id == 0 {
		if p.audit.trial {
			p.setAudit(c, now, audit{})
		}
		return false
	}
	p.setAudit(c, now, audit{path: id, trial: true, until: now.Add(chooseIdle)})
	return true
}

// setAudit makes an audit the present one.
func (p *peer) setAudit(c *Core, now time.Time, next audit) {
	same := next.path == p.audit.path && next.trial == p.audit.trial
	p.audit = next
	if same {
		return
	}
	c.setRates(now, p)
	c.outdate(p)
	c.touch(p)
}

// nextAudit is the audit that should begin now, if any.
func (c *Core) nextAudit(now time.Time, p *peer) audit {
	begin := func(q *path, d time.Duration) audit {
		return audit{path: q.id, until: now.Add(d), from: q.fwd.Counters.TxPackets.Load()}
	}
	if q := p.paths[p.left.path]; q != nil && now.Before(p.left.until) && c.auditable(now, p, q) {
		next := begin(q, p.left.until.Sub(now))
		next.left, p.left.path = true, 0
		return next
	}
	for _, ch := range p.choices.list {
		if q := p.paths[ch.route.Trial]; q != nil && now.Sub(q.audited) > auditTrial && c.auditable(now, p, q) {
			return begin(q, auditFor)
		}
	}
	for _, q := range p.sorted() {
		if p.choices.standby(q.id) && !p.choices.selects(q.id) && now.Sub(q.audited) > q.auditGap && c.auditable(now, p, q) &&
			p.slower(q) {
			return begin(q, auditFor)
		}
	}
	return audit{}
}

// auditGoesOn reports whether the present audit is still needed.
func (c *Core) auditGoesOn(now time.Time, p *peer) bool {
	q := p.paths[p.audit.path]
	if q == nil || !now.Before(p.audit.until) || !c.auditable(now, p, q) {
		return false
	}
	if p.audit.left {
		m, _ := p.prober.Measure(q.id, now)
		innocent := m.Data.Verdict == probe.Congested ||
			m.Data.Verdict == probe.Honest && m.Data.DataLoss <= m.Data.ProbeLoss+auditExcess
		return !innocent || p.audit.until.Sub(now) > auditLeft-auditLeast
	}
	return q.fwd.Counters.TxPackets.Load()-p.audit.from < auditPackets
}

// auditable reports whether copies on a path would tell something.
func (c *Core) auditable(now time.Time, p *peer, q *path) bool {
	return q.id != p.route().Selected && p.state(q.id) == probe.Up && c.loadAlong(q.via) < auditLoad && !c.suspected(now, p, q.via)
}

// slower reports whether copies on a path arrive after what they are copies of, so that they bring nothing out of order.
func (p *peer) slower(q *path) bool {
	_, mine, _ := p.prober.Link(q.id)
	_, theirs, ok := p.prober.Link(p.route().Selected)
	return ok && mine >= theirs
}

// leftForLoss notes that a path was left since it lost data.
func (p *peer) leftForLoss(now time.Time, id wire.PathID) {
	p.left = audit{path: id, until: now.Add(auditLeft)}
}
