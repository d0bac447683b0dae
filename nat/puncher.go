package nat

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"overlayd/internal/wire"
)

// PuncherConfig is the schedule and the bounds of a Puncher. DefaultPuncherConfig is a good start.
type PuncherConfig struct {
	Burst      []time.Duration // when each candidate is probed, from the start of a round
	Rounds     []time.Duration // from one round to the next, while there is no direct path; the last one repeats
	Answer     time.Duration   // between two answers to a peer that tells us, at least
	Peers      int             // peers known at once
	Candidates int             // candidate endpoints of a peer
}

// What bounds the probes to addresses that others name: a second and at once, for each peer and for all together. So
// nobody gets many packets sent to somebody else on its word.
const (
	peerProbes, peerProbesAtOnce   = 8, 64
	totalProbes, totalProbesAtOnce = 128, 1024

	// heedSlack is how much sooner than a round a peer's next Tell is heeded; a pause of heedAnew begins its rounds anew.
	heedSlack = 10
	heedAnew  = 5 * time.Minute
)

// DefaultPuncherConfig is what a node uses.
func DefaultPuncherConfig() PuncherConfig {
	const ms = time.Millisecond
	return PuncherConfig{
		Burst:  []time.Duration{0, 50 * ms, 100 * ms, 200 * ms, 400 * ms, 800 * ms},
		Rounds: []time.Duration{2 * time.Second, 5 * time.Second, 15 * time.Second, 60 * time.Second},
		Answer: 1900 * ms,
		Peers:  1024, Candidates: 24,
	}
}

// PuncherInput is what a Puncher is told.
type PuncherInput interface{ puncherInput() }

// Want asks for a direct path to a peer, and names what is known of its endpoints. To repeat it does no harm; a new
// endpoint is probed at once.
type Want struct {
	Peer   wire.NodeID
	Remote []netip.AddrPort
}

// Forget ends the search for a direct path to a peer: it left, or there is nothing to say to it.
type Forget struct{ Peer wire.NodeID }

// Told is a wire.Endpoints message with Punch from a peer: it probes us now, so we have to probe it.
type Told struct {
	Peer      wire.NodeID
	Endpoints []netip.AddrPort
}

// Seen tells that a genuine frame of a peer came from an address, on which no path has been validated yet. A NAT that
// maps by destination shows itself only so. The address is probed at once if it is new.
type Seen struct {
	Peer wire.NodeID
	Addr netip.AddrPort
}

// Direct tells that a direct path to a peer has been validated, or that the last one was lost.
type Direct struct {
	Peer wire.NodeID
	Up   bool
}

func (Want) puncherInput()   {}
func (Forget) puncherInput() {}
func (Told) puncherInput()   {}
func (Seen) puncherInput()   {}
func (Direct) puncherInput() {}

// Probe asks for a probe to a candidate endpoint of a peer, now.
type Probe struct {
	Peer     wire.NodeID
	Endpoint netip.AddrPort
}

// Tell asks for a wire.Endpoints message with Punch and this node's own endpoints, over whatever path there is.
type Tell struct{ Peer wire.NodeID }

func (Probe) output() {}
func (Tell) output()  {}

// Puncher gets direct paths through NATs. For each peer:
//
//	        Want, Told                     last of the burst
//	quiet ──────────────▶ burst: probes ────────────────────▶ wait for the next round, if wanted
//	  ▲                     │                                   │
//	  └──── Direct up ──────┴───────────────────────────────────┘
//
// A round of our own begins with a Tell; so does the burst that a peer's Tell causes, but for one of them in a while:
// two nodes that tell each other do not go on for ever. A peer's Tells are heeded as often as an honest peer's rounds come,
// less and less often, and each Tell of ours allows one more burst for its answer. It is a value of one goroutine.
type Puncher struct {
	cfg   PuncherConfig
	peers map[wire.NodeID]*punch
	next  time.Time // the earliest deadline of any peer; zero if there is none
	total credit    // of probes
	out   []Output
}

// punch is the state of one peer.
type punch struct {
	wanted bool
	direct bool
	remote []netip.AddrPort // from Want
	told   []netip.AddrPort // from Told
	seen   []netip.AddrPort // from Seen, newest first

	burst    time.Time // when the present burst began
	shot     int       // index in Burst of the next probe; past its end: no burst is under way
	round    int       // rounds begun
	nextTurn time.Time // of the next round; zero if there is none
	answered time.Time // the last Tell
	expects  bool      // an answer to it, which may start one more burst
	heeded   int       // Tells of the peer that started a burst, since the last long pause
	heedNext time.Time // none is heeded before this
	heedLast time.Time
	credit   credit    // of probes
	touched  time.Time // the last input
}

// maxSeen bounds the addresses that a peer's frames came from without becoming a path.
const maxSeen = 4

// NewPuncher makes a Puncher that knows of nobody.
func NewPuncher(cfg PuncherConfig) *Puncher {
	return &Puncher{cfg: cfg, peers: make(map[wire.NodeID]*punch)}
}

// Step takes one input at the time now.
func (p *Puncher) Step(now time.Time, in PuncherInput) error {
	switch in := in.(type) {
	case Want:
		p.want(now, in)
	case Forget:
		p.forget(in.Peer)
	case Told:
		p.toldBy(now, in)
	case Seen:
		p.sawAt(now, in)
	case Direct:
		p.setDirect(now, in)
	case Tick:
		p.tick(now)
	default:
		return fmt.Errorf("%w: %T", ErrInput, in)
	}
	p.plan()
	return nil
}

// NextDeadline is when Tick is due, if ever.
func (p *Puncher) NextDeadline() (time.Time, bool) { return p.next, !p.next.IsZero() }

// Drain appends what is to be done to dst, in order, and forgets it.
func (p *Puncher) Drain(dst []Output) []Output {
	dst = append(dst, p.out...)
	clear(p.out)
	p.out = p.out[:0]
	return dst
}

func (p *Puncher) want(now time.Time, in Want) {
	s := p.peer(now, in.Peer)
	before := p.candidates(s)
	s.remote = firstUsable(in.Remote, wire.MaxEndpoints)
	switch {
	case s.direct:
		s.wanted = true
	case !s.wanted:
		s.wanted = true
		p.beginRounds(now, in.Peer, s)
	default:
		p.probeNew(now, in.Peer, s, before)
	}
}

// beginRounds starts the first round. If the peer's Tell was faster than our own wish and has been answered, that was
// our first round.
func (p *Puncher) beginRounds(now time.Time, id wire.NodeID, s *punch) {
	s.round = 0
	if p.bursting(s) {
		s.round, s.nextTurn = 1, s.burst.Add(p.cfg.Rounds[0])
		return
	}
	p.beginRound(now, id, s)
}

func (p *Puncher) beginRound(now time.Time, id wire.NodeID, s *punch) {
	s.nextTurn = now.Add(p.cfg.Rounds[min(s.round, len(p.cfg.Rounds)-1)])
	s.round++
	p.tell(now, id, s)
	p.startBurst(now, id, s)
}

// forget leaves a peer alone. What bounds it stays: who is wanted again and again has no more.
func (p *Puncher) forget(id wire.NodeID) {
	if s := p.peers[id]; s != nil {
		*s = punch{
			shot: len(p.cfg.Burst), credit: s.credit, heeded: s.heeded, heedNext: s.heedNext, heedLast: s.heedLast,
			touched: s.touched,
		}
	}
}

func (p *Puncher) toldBy(now time.Time, in Told) {
	s := p.peer(now, in.Peer)
	before := p.candidates(s)
	s.told = firstUsable(in.Endpoints, wire.MaxEndpoints)
	if s.answered.IsZero() || !now.Before(s.answered.Add(p.cfg.Answer)) {
		if p.heeds(now, s) {
			p.tell(now, in.Peer, s)
			p.startBurst(now, in.Peer, s)
		}
		return
	}
	if p.bursting(s) {
		p.probeNew(now, in.Peer, s, before)
		return
	}
	// It answers our own Tell, from far away: what we sent has opened our side, one more burst meets it.
	if s.expects && !now.Before(s.burst.Add(p.lastShot())) {
		s.expects = false
		p.startBurst(now, in.Peer, s)
	}
}

// heeds reports whether a peer's Tell starts a burst now, and notes that it does.
func (p *Puncher) heeds(now time.Time, s *punch) bool {
	if now.Before(s.heedNext) {
		return false
	}
	if now.Sub(s.heedLast) >= heedAnew {
		s.heeded = 0
	}
	gap := p.cfg.Rounds[min(s.heeded, len(p.cfg.Rounds)-1)]
	s.heedLast, s.heedNext = now, now.Add(gap-gap/heedSlack)
	s.heeded++
	return true
}

func (p *Puncher) sawAt(now time.Time, in Seen) {
	addr := plain(in.Addr)
	if !usable(addr) {
		return
	}
	s := p.peer(now, in.Peer)
	if s.direct {
		return
	}
	before := p.candidates(s)
	s.seen = slices.DeleteFunc(s.seen, func(ap netip.AddrPort) bool { return ap == addr })
	s.seen = slices.Insert(s.seen, 0, addr)
	s.seen = s.seen[:min(len(s.seen), maxSeen)]
	p.probeNew(now, in.Peer, s, before)
}

func (p *Puncher) setDirect(now time.Time, in Direct) {
	s := p.peers[in.Peer]
	if s == nil && !in.Up {
		return
	}
	s = p.peer(now, in.Peer)
	switch {
	case in.Up == s.direct:
	case in.Up:
		s.direct, s.shot, s.nextTurn = true, len(p.cfg.Burst), time.Time{}
		s.heeded, s.heedNext = 0, time.Time{}
	default:
		s.direct = false
		if s.wanted {
			p.beginRounds(now, in.Peer, s)
		}
	}
}

func (p *Puncher) tick(now time.Time) {
	for _, id := range p.due(now) {
		s := p.peers[id]
		if p.bursting(s) && !now.Before(s.burst.Add(p.cfg.Burst[s.shot])) {
			p.shoot(now, id, s)
		}
		if !s.nextTurn.IsZero() && !now.Before(s.nextTurn) {
			p.beginRound(now, id, s)
		}
	}
}

func (p *Puncher) tell(now time.Time, id wire.NodeID, s *punch) {
	s.answered, s.expects = now, true
	p.out = append(p.out, Tell{Peer: id})
}

func (p *Puncher) bursting(s *punch) bool  { return s.shot < len(p.cfg.Burst) }
func (p *Puncher) lastShot() time.Duration { return p.cfg.Burst[len(p.cfg.Burst)-1] }

func (p *Puncher) startBurst(now time.Time, id wire.NodeID, s *punch) {
	s.burst, s.shot = now, 0
	p.shoot(now, id, s)
}

// shoot probes every candidate once, however many shots are due by now.
func (p *Puncher) shoot(now time.Time, id wire.NodeID, s *punch) {
	for p.bursting(s) && !now.Before(s.burst.Add(p.cfg.Burst[s.shot])) {
		s.shot++
	}
	for _, ap := range p.candidates(s) {
		p.probe(now, id, s, ap)
	}
}

// probeNew probes what was not a candidate before.
func (p *Puncher) probeNew(now time.Time, id wire.NodeID, s *punch, before []netip.AddrPort) {
	for _, ap := range p.candidates(s) {
		if !slices.Contains(before, ap) {
			p.probe(now, id, s, ap)
		}
	}
}

// probe asks for one probe, unless there were too many.
func (p *Puncher) probe(now time.Time, id wire.NodeID, s *punch, to netip.AddrPort) {
	if s.credit.take(now, peerProbes, peerProbesAtOnce) && p.total.take(now, totalProbes, totalProbesAtOnce) {
		p.out = append(p.out, Probe{Peer: id, Endpoint: to})
	}
}

// candidates lists where a peer may be: what its frames came from, what it says now, what its record says.
func (p *Puncher) candidates(s *punch) []netip.AddrPort {
	return firstUsable(slices.Concat(s.seen, s.told, s.remote), p.cfg.Candidates)
}

// peer is the state of a peer, made if need be at the cost of the one that was of no use for longest.
func (p *Puncher) peer(now time.Time, id wire.NodeID) *punch {
	s := p.peers[id]
	if s == nil {
		if len(p.peers) >= p.cfg.Peers {
			p.dropLeastUseful()
		}
		s = &punch{shot: len(p.cfg.Burst)}
		p.peers[id] = s
	}
	s.touched = now
	return s
}

func (p *Puncher) dropLeastUseful() {
	rank := func(s *punch) int {
		switch {
		case s.wanted && !s.direct:
			return 2
		case s.wanted:
			return 1
		default:
			return 0
		}
	}
	var victim wire.NodeID
	var worst *punch
	for id, s := range p.peers {
		if worst == nil || cmp.Or(rank(s)-rank(worst), s.touched.Compare(worst.touched), id.Compare(victim)) < 0 {
			victim, worst = id, s
		}
	}
	delete(p.peers, victim)
}

// plan finds the earliest deadline.
func (p *Puncher) plan() {
	p.next = time.Time{}
	earlier := func(t time.Time) {
		if p.next.IsZero() || t.Before(p.next) {
			p.next = t
		}
	}
	for _, s := range p.peers {
		if p.bursting(s) {
			earlier(s.burst.Add(p.cfg.Burst[s.shot]))
		}
		if !s.nextTurn.IsZero() {
			earlier(s.nextTurn)
		}
	}
}

// due lists the peers for whom something is due.
func (p *Puncher) due(now time.Time) (ids []wire.NodeID) {
	if p.next.IsZero() || now.Before(p.next) {
		return nil
	}
	for id, s := range p.peers {
		if p.bursting(s) && !now.Before(s.burst.Add(p.cfg.Burst[s.shot])) || !s.nextTurn.IsZero() && !now.Before(s.nextTurn) {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, wire.NodeID.Compare)
	return ids
}
