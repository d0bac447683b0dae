package nat

import (
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
// two nodes that tell each other do not go on for ever. It is a value of one goroutine.
type Puncher struct {
	cfg   PuncherConfig
	peers map[wire.NodeID]*punch
	next  time.Time // the earliest deadline of any peer; zero if there is none
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
		delete(p.peers, in.Peer)
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
		p.probeNew(in.Peer, s, before)
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

func (p *Puncher) toldBy(now time.Time, in Told) {
	s := p.peer(now, in.Peer)
	before := p.candidates(s)
	s.told = firstUsable(in.Endpoints, wire.MaxEndpoints)
	if s.answered.IsZero() || !now.Before(s.answered.Add(p.cfg.Answer)) {
		p.tell(now, in.Peer, s)
		p.startBurst(now, in.Peer, s)
		return
	}
	if p.bursting(s) {
		p.probeNew(in.Peer, s, before)
		return
	}
	// It answers our own Tell, from far away: what we sent has opened our side, one more burst meets it.
	if !now.Before(s.burst.Add(p.lastShot())) {
		p.startBurst(now, in.Peer, s)
	}
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
	p.probeNew(in.Peer, s, before)
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
	default:
		s.direct = false
		if s.wanted {
			p.beginRounds(now, in.Peer, s)
		}
	}
}

func (p *Puncher) tick(now time.Time) {
	for _, id := range p.sorted() {
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
	s.answered = now
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
		p.out = append(p.out, Probe{Peer: id, Endpoint: ap})
	}
}

// probeNew probes what was not a candidate before.
func (p *Puncher) probeNew(id wire.NodeID, s *punch, before []netip.AddrPort) {
	for _, ap := range p.candidates(s) {
		if !slices.Contains(before, ap) {
			p.out = append(p.out, Probe{Peer: id, Endpoint: ap})
		}
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
	for _, id := range p.sorted() {
		s := p.peers[id]
		if worst == nil || rank(s) < rank(worst) || rank(s) == rank(worst) && s.touched.Before(worst.touched) {
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

func (p *Puncher) sorted() []wire.NodeID {
	ids := make([]wire.NodeID, 0, len(p.peers))
	for id := range p.peers {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, wire.NodeID.Compare)
	return ids
}
