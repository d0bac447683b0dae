package probe

import (
	"fmt"
	"slices"
	"time"

	"overlayd/internal/wire"
)

// digest takes the peer's reports. They cover what the peer had received by known, and were made at made, both on the
// peer's clock; they arrived at at, on ours.
func (p *Prober) digest(reports []wire.Report, known, made, at instant) {
	for i := range reports {
		r := &reports[i]
		a := p.find(r.Path)
		if a == nil {
			continue
		}
		e := a.sent(r.LastSeq)
		if e != nil && e.nonce != r.Echo {
			e = nil // who did not receive the probe says nothing about it
		}
		if e != nil {
			a.proved = max(a.proved, e.at)
			p.deliver(a, e.at, "a report says so", false)
		}
		if a.peer.known && known < a.peer.at {
			continue // older than what we know
		}
		if e != nil && p.passed(a, e, r.Data, r.DataSeq) && a.rate == Selected {
			p.hasten(a, a.lastSent.add(p.cfg.Quick)) // it tells whether that was only overtaken
		}
		if a.peer.known && int32(r.Data-a.peer.data) > 0 && a.timing.forward.n > 0 {
			arrived := made.add(-time.Duration(r.Age) * time.Microsecond)
			sent := min(arrived.add(-a.timing.forward.mean), at)
			if sent.sub(a.proved) < max(dataAlone, 4*p.cfg.interval(a.rate)) {
				p.deliver(a, sent, "data arrives", true)
			}
		}
		if a.peer.missing(r) && int32(a.peer.seq-a.lossSeq) >= 0 {
			a.lossSeq = r.LastSeq - 1
			a.lossSeen(p.now)
		}
		a.peer = lastReport{known: true, at: known, seq: r.LastSeq, probes: r.Probes, data: r.Data}
		a.out.add(p.now, r.LastSeq, r.Probes, probeGap, probeStep)
		a.order.add(orderMark{at: p.now, seq: r.LastSeq, got: r.Probes, runs: r.Runs, late: r.Late})
		p.convict(a, false)
	}
}

// deliver enters evidence: something that was sent on the path at a time arrived. If the evidence says nothing of the
// answer that was waited for, the wait was too short and is stretched.
func (p *Prober) deliver(a *path, sent instant, why string, stretch bool) {
	if sent <= a.delivered {
		return
	}
	a.delivered = sent
	if a.state == Suspect && sent >= a.suspected {
		if stretch {
			a.timing.stretch(p.now, p.now.sub(a.suspected))
		}
		p.change(a, Up, why)
	}
	a.settle()
}

// stretch makes the wait longer for a while, since an answer has evidently taken this long and more.
func (t *timing) stretch(now instant, took time.Duration) {
	slack := min(took-t.wait.mean-4*t.wait.dev, maxSlack)
	if slack > t.slackNow(now) {
		t.slack, t.slackAt = slack, now
	}
}

// pongReceived takes an answer and the reports with it.
func (p *Prober) pongReceived(in PongReceived) {
	at := p.at(in.At)
	pong := &in.Pong
	p.peerActive = pong.Active
	if on := p.find(in.On); on != nil {
		on.heard = max(on.heard, at)
	}
	if a := p.find(pong.Path); a != nil {
		if e := a.sent(pong.Seq); e != nil && e.nonce == pong.Nonce && wire.Stamp(e.at) == pong.Sent {
			p.answered(a, e, in.On, pong, at)
		}
	}
	for i := range pong.Reports {
		if r := &pong.Reports[i]; r.Path == pong.Path && r.LastSeq == pong.Seq && r.Echo == 0 {
			r.Echo = pong.Nonce // the answer itself says it
		}
	}
	p.digest(pong.Reports, instant(pong.Received), instant(pong.Replied), at)
}

// answered takes the answer to a probe that is held.
func (p *Prober) answered(a *path, e *sentProbe, on wire.PathID, pong *wire.Pong, at instant) {
	first := !e.answered
	e.answered = true
	if first {
		p.revive(a, e)
	}
	p.sample(a, e, on == a.id, first, pong, at)
	if !first {
		return
	}
	a.proved = max(a.proved, e.at)
	p.deliver(a, e.at, "answered", on != a.id)
	if a.state == Candidate {
		p.change(a, Up, "answered")
	}
	for i := range pong.Reports {
		if r := &pong.Reports[i]; r.Path == a.id && r.LastSeq == e.seq {
			a.data.add(at, e.tx, r.Data, dataGap, dataStep)
			a.slow.add(at, e.tx, r.Data, slowGap, slowStep)
			p.delivered(a, e, on == a.id, pong, r, at)
		}
	}
}

// revive counts the answers in a row on a dead path. The first one begins fresh estimates, the last one makes it up.
func (p *Prober) revive(a *path, e *sentProbe) {
	if a.state != Dead {
		return
	}
	if a.streak > 0 && e.seq == a.streakAt+1 {
		a.streak++
	} else if a.streak == 0 || e.seq > a.streakAt {
		a.streak = 1
		a.timing = timing{}
		a.forgetLoss()
	}
	a.streakAt = max(a.streakAt, e.seq)
	p.hasten(a, p.now)
	if a.streak >= reviveProbes {
		p.change(a, Up, fmt.Sprintf("%d probes in a row answered", a.streak))
	}
}

// sample decides whether the timing of an answer is taken, and takes it.
func (p *Prober) sample(a *path, e *sentProbe, same, first bool, pong *wire.Pong, at instant) {
	turnaround := at.sub(e.at)
	held := pong.Replied.Sub(pong.Received)
	rtt := turnaround - held
	if held < 0 || rtt < 0 || turnaround > maxSample {
		return
	}
	t := &a.timing
	if first {
		t.forward.add(pong.Received.Sub(pong.Sent), rtt/4)
	}
	switch {
	case same:
		t.crossRun = 0
		if t.cross {
			t.restart(false)
		} else if e.sampled {
			return
		}
	case !first:
		return
	default:
		t.crossRun++
		if !t.cross {
			if t.rtt.n > 0 && t.crossRun < crossAnswers {
				return
			}
			t.restart(true)
		}
	}
	e.sampled = true
	t.sample(p.now, rtt, turnaround, max(time.Minute, 8*p.cfg.interval(a.rate)))
}

// change moves a path to another state.
func (p *Prober) change(a *path, to State, why string) {
	from := a.state
	a.state, a.since, a.why = to, p.now, why
	switch to {
	case Up:
		a.quick, a.streak, a.backoff = 0, 0, 0
		a.next = min(a.next, max(p.now, a.lastSent.add(jitter(p.cfg.interval(a.rate), p.rng))))
	case Dead:
		a.backoff, a.streak, a.burst = deadGap, 0, 0
		a.forgetLoss()
	case Candidate, Suspect:
	}
	p.out = append(p.out, Changed{Path: a.id, From: from, To: to, Why: why})
}

// kill declares a path dead and plans the first probe that may revive it.
func (p *Prober) kill(a *path, why string) {
	p.change(a, Dead, why)
	a.next = p.now.add(jitter(deadGap, p.rng))
}

// tick judges every path and sends the probes that are due.
func (p *Prober) tick() {
	if p.now < p.graceUntil {
		return
	}
	if d := p.deadline(); d != forever && p.graceFrom == never && p.now.sub(d) > lateTick {
		p.grace()
		return
	}
	p.graceFrom = never
	for _, a := range p.paths {
		p.judge(a)
	}
	for _, a := range p.paths {
		if a.next <= p.now {
			p.ping(a)
		}
	}
}

// judge finds overdue answers.
func (p *Prober) judge(a *path) {
	e := a.oldest()
	if e == nil {
		return
	}
	wait := a.patience(&p.cfg, p.now)
	if p.now.sub(e.at) < wait {
		return
	}
	switch a.state {
	case Up:
		a.suspected = e.at
		a.lossSeq = e.seq
		a.lossSeen(p.now)
		p.change(a, Suspect, fmt.Sprintf("no answer after %d ms, %d ms expected",
			p.now.sub(e.at).Milliseconds(), a.timing.wait.mean.Milliseconds()))
		a.quick, a.burst = 0, 0
		p.hasten(a, a.lastSent.add(p.cfg.quick(a.hurry(p.now))/2))
		p.boost(a)
	case Suspect:
		p.convict(a, true)
	case Dead:
		if a.streak > 0 {
			a.streak = 0
			a.next = max(a.next, p.now.add(jitter(p.deadGap(a), p.rng)))
		}
	case Candidate:
	}
}

// convict declares a suspect path dead if the evidence is complete: at least DeadProbes did not arrive by the peer's
// own word, and then data was sent in vain or nothing arrived for DeadSilence; or, where judging is not put off, no
// word at all.
func (p *Prober) convict(a *path, judging bool) {
	oldest := a.oldest()
	if a.state != Suspect || oldest == nil {
		return
	}
	wait := a.patience(&p.cfg, p.now)
	t := &a.timing
	transit := t.forward.mean + 4*t.forward.dev + arrivalPad
	missing := 0
	var denied []*sentProbe
	for seq := oldest.seq; seq != a.seq+1; seq++ {
		e := a.sent(seq)
		switch {
		case e == nil || e.answered:
		case e.at > p.regained && a.peer.known && t.forward.n > 0 && a.peer.at > e.at.add(transit):
			denied = append(denied, e)
			missing++
		case p.now.sub(e.at) >= wait:
			missing++
		}
	}
	dead := judging && missing >= p.cfg.DeadProbes && p.now.sub(oldest.at) >= wait+p.cfg.Isolated
	if len(denied) >= p.cfg.DeadProbes && p.elsewhere(a, denied) {
		first, last := denied[0], denied[len(denied)-1]
		silence := a.peer.at.sub(first.at.add(transit))
		dead = dead || silence >= p.cfg.DeadSilence || int32(last.tx-first.tx) >= minSilentData
	}
	if dead {
		p.kill(a, fmt.Sprintf("%d probes unanswered", missing))
	}
}

// elsewhere reports whether another path was up while enough of the denied probes were sent, and has delivered what was
// sent after them. If none has, what holds the probes up may well be something that all paths go through, such as a
// long queue; and there would be nowhere to go.
func (p *Prober) elsewhere(a *path, denied []*sentProbe) bool {
	for _, b := range p.paths {
		if b == a || b.state != Up {
			continue
		}
		first := slices.IndexFunc(denied, func(e *sentProbe) bool { return e.at >= b.since })
		if last := first + p.cfg.DeadProbes - 1; first >= 0 && last < len(denied) && b.delivered >= denied[last].at {
			return true
		}
	}
	return false
}

// minSilentData is how many data packets must have been sent in vain to take the peer's word at once.
const minSilentData = 4

// boost probes the standbys of a path in use that is suspect: their answers bring the reports that decide.
func (p *Prober) boost(suspect *path) {
	if suspect.rate != Selected {
		return
	}
	for _, a := range p.paths {
		if a != suspect && a.state == Up && a.rate >= Standby {
			p.hasten(a, a.lastSent.add(boostGap))
		}
	}
}

// ping sends a probe and plans the next one.
func (p *Prober) ping(a *path) {
	e := a.push(p.now, p.nonces.Uint64())
	p.out = append(p.out, SendPing{Path: a.id, Ping: wire.Ping{
		Path: a.id, Seq: e.seq, Nonce: e.nonce, Sent: wire.Stamp(p.now), Active: p.active, Check: a.checks > 0,
		Reports: p.reports(),
	}})
	a.checks = max(a.checks-1, 0)
	if a.state == Suspect {
		p.boost(a)
	}
	gap := p.gap(a)
	a.next = p.now.add(gap)
}

// gap is the time from a probe just sent to the next one.
func (p *Prober) gap(a *path) time.Duration {
	if a.burst > 0 {
		a.burst--
		return p.cfg.Quick
	}
	gap := p.cfg.interval(a.rate)
	switch a.state {
	case Up:
		switch {
		case a.rate == Idle && p.takesTurns(a):
			return gap + gap/turnSlack
		case a.rate == Selected && a.evidence.doubtful(p.now):
			gap = p.cfg.Quick
		}
	case Suspect:
		if a.quick < quickProbes {
			a.quick++
			return p.cfg.quick(a.hurry(p.now))
		}
		gap = min(gap, 4*p.cfg.quick(a.hurry(p.now)))
	case Candidate:
		gap = max(gap, candidateGap)
		if a.seq > eagerAttempts {
			a.backoff = min(max(2*a.backoff, gap), max(p.cfg.Idle, p.cfg.interval(a.rate)))
			gap = max(gap, a.backoff)
		}
	case Dead:
		gap = p.deadGap(a)
	}
	return jitter(gap, p.rng)
}

// takesTurns reports whether the peer has lately probed the path too. One of us is enough to keep NAT mappings
// alive, so each waits a little longer for the other than the other does.
func (p *Prober) takesTurns(a *path) bool {
	h := p.heardOf(a.owner)
	return h != nil && p.now.sub(h.at) < 2*p.cfg.Idle
}

// deadGap is the time between probes of a dead path: short at first if the peer is active, then longer and longer,
// but never very long while nothing else works either.
func (p *Prober) deadGap(a *path) time.Duration {
	if a.streak > 0 { // it answered: the next answers settle it
		return max(a.patience(&p.cfg, p.now), p.cfg.Quick)
	}
	active := p.active || p.peerActive
	gap := max(a.backoff, deadGap)
	if active && p.now.sub(a.since) < deadEager {
		return deadGap
	}
	a.backoff = min(2*gap, max(p.cfg.Idle, p.cfg.interval(a.rate)))
	if active && !p.anyUp() {
		return min(gap, strandedGap)
	}
	return gap
}

func (p *Prober) anyUp() bool {
	for _, a := range p.paths {
		if a.state == Up || a.state == Suspect {
			return true
		}
	}
	return false
}

// deadline is when something is due: a probe, or an answer.
func (p *Prober) deadline() instant {
	d := forever
	for _, a := range p.paths {
		d = min(d, a.next)
		if a.state == Up || a.state == Dead && a.streak > 0 {
			if e := a.oldest(); e != nil {
				d = min(d, e.at.add(a.patience(&p.cfg, p.now)))
			}
		}
	}
	return d
}
