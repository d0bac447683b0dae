package probe

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"overlayd/internal/wire"
)

// Prober measures all paths to one peer. It is a pure state machine: the caller Steps it with inputs, and with Tick
// when NextDeadline has passed, and carries out what Drain gives.
type Prober struct {
	cfg    Config
	clock  func(time.Time) wire.Stamp
	rng    *rand.Rand
	nonces rand.Source

	paths      []*path  // by id
	heard      []*heard // by the peer's number
	out        []Output
	active     bool
	peerActive bool

	wall time.Time // of the latest Step
	now  instant   // the same on our clock

	lastFrame instant // from the peer, on any path
	regained  instant // when the peer was last heard after a silence on all paths

	graceFrom  instant // since when judging is put off; never if it is not
	graceUntil instant
}

// New is a Prober without paths. The clock maps times to this node's stamps and must advance as they do; rng is the
// source of all choices of times, and nonces that of what a peer must not be able to guess.
func New(cfg Config, clock func(time.Time) wire.Stamp, rng *rand.Rand, nonces rand.Source) *Prober {
	return &Prober{
		cfg: cfg.withDefaults(), clock: clock, rng: rng, nonces: nonces, graceFrom: never, graceUntil: never,
		lastFrame: never, regained: never,
	}
}

// Step takes one input at a time that must not run backwards. It fails only for an input that makes no sense, which
// then changes nothing.
func (p *Prober) Step(now time.Time, in Input) error {
	if p.wall.IsZero() || now.After(p.wall) {
		p.wall = now
		p.now = max(p.now, instant(p.clock(now)))
	}
	switch in := in.(type) {
	case Tick:
		p.tick()
		return nil
	case AddPath:
		return p.addPath(in)
	case RemovePath:
		return p.removePath(in.ID)
	case SetRate:
		return p.setRate(in)
	case SetActive:
		p.setActive(in.Active)
		return nil
	case ProbeNow:
		return p.probeNow(in)
	case PingReceived:
		return p.pingReceived(in)
	case PongReceived:
		p.pongReceived(in)
		return nil
	case PeerRestarted:
		p.peerRestarted()
		return nil
	case Bye:
		p.bye()
		return nil
	default:
		return fmt.Errorf("%w: %T", ErrInput, in)
	}
}

// Drain appends the outputs since the last call to dst.
func (p *Prober) Drain(dst []Output) []Output {
	dst = append(dst, p.out...)
	clear(p.out)
	p.out = p.out[:0]
	return dst
}

// NextDeadline is when Tick is due, if ever.
func (p *Prober) NextDeadline() (time.Time, bool) {
	d := p.deadline()
	if d == forever {
		return time.Time{}, false
	}
	return p.wall.Add(max(d, p.graceUntil).sub(p.now)), true
}

// at is the time of a reception on our clock, and notes if the frame waited for us.
func (p *Prober) at(t time.Time) instant {
	at := min(instant(p.clock(t)), p.now)
	if at.sub(p.lastFrame) > totalSilence {
		p.regained = at
	}
	p.lastFrame = max(p.lastFrame, at)
	if p.now.sub(at) > lateTick {
		p.grace()
	}
	return at
}

// grace puts off judging and probing for a moment, but not for long in a row.
func (p *Prober) grace() {
	if p.graceFrom == never {
		p.graceFrom = p.now
	}
	if p.now.sub(p.graceFrom) < maxGrace {
		p.graceUntil = p.now.add(lateGrace)
	}
}

func (p *Prober) find(id wire.PathID) *path {
	i, found := p.index(id)
	if !found {
		return nil
	}
	return p.paths[i]
}

func (p *Prober) index(id wire.PathID) (int, bool) {
	return slices.BinarySearchFunc(p.paths, id, func(a *path, id wire.PathID) int { return cmp.Compare(a.id, id) })
}

func (p *Prober) addPath(in AddPath) error {
	i, found := p.index(in.ID)
	switch {
	case in.ID == 0 || in.Rate >= rates:
		return ErrInput
	case found:
		return fmt.Errorf("path %d: %w", in.ID, ErrPathExists)
	case len(p.paths) >= maxPaths:
		return ErrTooManyPaths
	}
	p.paths = slices.Insert(p.paths, i, &path{
		id: in.ID, counts: in.Counts, rate: in.Rate, since: p.now, why: "never answered", open: 1,
		delivered: never, proved: never, suspected: never, next: p.now, lastSent: never, heard: never,
		lastLoss: never, urgent: never,
	})
	return nil
}

func (p *Prober) removePath(id wire.PathID) error {
	i, found := p.index(id)
	if !found {
		return fmt.Errorf("path %d: %w", id, ErrUnknownPath)
	}
	p.disown(p.paths[i])
	p.paths = slices.Delete(p.paths, i, i+1)
	return nil
}

func (p *Prober) setRate(in SetRate) error {
	a := p.find(in.ID)
	if a == nil {
		return fmt.Errorf("path %d: %w", in.ID, ErrUnknownPath)
	}
	if in.Rate >= rates {
		return ErrInput
	}
	faster := in.Rate > a.rate
	a.rate = in.Rate
	if faster && (a.state == Up || a.state == Suspect) {
		p.hasten(a, a.lastSent.add(jitter(p.cfg.interval(a.rate), p.rng)))
	}
	return nil
}

func (p *Prober) setActive(active bool) {
	if active && !p.active {
		for _, a := range p.paths {
			if a.state == Dead {
				a.backoff = deadGap
				p.hasten(a, a.lastSent.add(deadGap))
			}
		}
	}
	p.active = active
}

func (p *Prober) probeNow(in ProbeNow) error {
	a := p.find(in.ID)
	switch {
	case a == nil:
		return fmt.Errorf("path %d: %w", in.ID, ErrUnknownPath)
	case in.Once:
		p.hasten(a, a.lastSent.add(p.cfg.Quick))
	default:
		if in.Urgent {
			a.urgent = p.now.add(urgentFor)
		}
		if in.Check {
			a.checks = burstProbes
		}
		p.startBurst(a)
	}
	return nil
}

func (p *Prober) startBurst(a *path) {
	a.burst = burstProbes - 1
	p.hasten(a, a.lastSent.add(p.cfg.Quick))
}

// hasten brings the next probe of a path forward, if t is earlier than what is planned.
func (p *Prober) hasten(a *path, t instant) {
	a.next = min(a.next, max(t, p.now))
}

// peerRestarted forgets what the peer's former life reported; the round-trip times still hold. Answers to the probes
// that are out will not come.
func (p *Prober) peerRestarted() {
	p.heard = nil
	p.peerActive = false
	for _, a := range p.paths {
		a.owner, a.ownBase, a.ownBytes = 0, 0, 0
		a.void()
		a.peer = lastReport{}
		a.timing.forward = estimator{}
		a.timing.slack = 0
		a.forgetLoss()
		a.passage.known = false
		a.suspected = p.now
		a.streak = 0
		a.backoff = 0
		p.startBurst(a)
	}
}

// bye takes the peer at its word that it shuts down.
func (p *Prober) bye() {
	p.heard = nil
	p.peerActive = false
	for _, a := range p.paths {
		a.owner, a.ownBase, a.ownBytes, a.burst = 0, 0, 0, 0
		if a.state == Up || a.state == Suspect {
			p.kill(a, "the peer shut down")
		}
	}
}

// pingReceived notes a probe of the peer and answers it.
func (p *Prober) pingReceived(in PingReceived) error {
	on := p.find(in.On)
	if on == nil {
		return fmt.Errorf("path %d: %w", in.On, ErrUnknownPath)
	}
	at := p.at(in.At)
	ping := &in.Ping
	p.peerActive = ping.Active
	if ping.Path != 0 {
		p.hear(ping, on, at)
	}
	p.digest(ping.Reports, instant(ping.Sent), instant(ping.Sent), at)
	p.hint(on, at)
	reports := p.reports()
	for i := range reports {
		if r := &reports[i]; r.Path == ping.Path && r.Echo == ping.Nonce {
			r.Echo = 0 // the answer itself says it
		}
	}
	p.out = append(p.out, SendPong{Paths: p.answerOn(on), Pong: wire.Pong{
		Path: ping.Path, Seq: ping.Seq, Nonce: ping.Nonce, Sent: ping.Sent, Received: wire.Stamp(at), Replied: wire.Stamp(p.now),
		Active: p.active, Observed: in.Observed, Reports: reports,
	}})
	return nil
}

// hint draws conclusions for our own probes on a path that the peer has just probed.
func (p *Prober) hint(on *path, at instant) {
	switch on.state {
	case Candidate, Dead: // the peer gets through, perhaps we do too
		p.hasten(on, max(p.now, on.lastSent.add(hintGap)))
	case Up: // the peer has just kept NAT mappings alive: take turns
		if on.rate == Idle && on.burst == 0 && on.lastSent != never {
			on.next = max(p.now, min(at.add(jitter(p.cfg.Idle, p.rng)), on.lastSent.add(2*p.cfg.Idle)))
		}
	case Suspect:
	}
}

// answerOn says which paths an answer goes out on: the one that the probe came by and, unless our own direction of
// it is up, our best other one.
func (p *Prober) answerOn(on *path) []wire.PathID {
	if on.state == Up {
		return []wire.PathID{on.id}
	}
	var best *path
	for _, a := range p.paths {
		if a == on || a.state != Up && a.state != Suspect {
			continue
		}
		if best == nil || better(a, best) {
			best = a
		}
	}
	if best == nil {
		return []wire.PathID{on.id}
	}
	return []wire.PathID{on.id, best.id}
}

// better orders paths to answer on: up before suspect, then the faster rate, then the shorter.
func better(a, b *path) bool {
	return cmp.Or(
		cmp.Compare(a.state, b.state),
		cmp.Compare(b.rate, a.rate),
		cmp.Compare(a.timing.rtt.mean, b.timing.rtt.mean),
	) < 0
}
