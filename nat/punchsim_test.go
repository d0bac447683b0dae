package nat

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// pair is two nodes behind a NAT each (or none), which have a relayed path for their Tells, and a member in the open who
// tells them what it sees.
type pair struct {
	t     testing.TB
	rng   *rand.Rand
	now   time.Time
	sides [2]*puncherHost
	relay time.Duration // one way through the relay
	wan   time.Duration // one way directly
	loss  float64
	queue []simEvent
	count int
	trace string
}

type puncherHost struct {
	index     int
	p         *Puncher
	nat       *box // nil: in the open
	local     netip.AddrPort
	reflexive netip.AddrPort
	up        bool
	upAt      time.Time
	tells     int
	probes    int
}

type simEvent struct {
	at  time.Time
	seq int
	do  func()
}

var observer = netip.MustParseAddrPort("203.0.113.1:51871")

func newPair(t testing.TB, seed uint64, a, b *box) *pair {
	s := &pair{
		t: t, rng: rand.New(rand.NewPCG(seed, 3)), now: start, relay: 45 * time.Millisecond, wan: 20 * time.Millisecond,
	}
	for i, n := range []*box{a, b} {
		h := &puncherHost{index: i, p: NewPuncher(DefaultPuncherConfig()), nat: n}
		h.local = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i), 0, 1}), 51871)
		if n == nil {
			h.local = netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)}), 51871)
		}
		s.sides[i] = h
		s.observe(h)
	}
	return s
}

// observe is a probe to the member in the open, which keeps the mapping alive as every node's idle probes do.
func (s *pair) observe(h *puncherHost) {
	h.reflexive = h.local
	if h.nat != nil {
		h.reflexive = h.nat.outbound(s.now, h.local, observer)
	}
	s.after(10*time.Second, func() { s.observe(h) })
}

func (s *pair) after(d time.Duration, do func()) {
	s.count++
	s.queue = append(s.queue, simEvent{s.now.Add(d), s.count, do})
}

func (s *pair) other(h *puncherHost) *puncherHost { return s.sides[1-h.index] }

// step hands a puncher an input and carries out what it wants.
func (s *pair) step(h *puncherHost, in PuncherInput) {
	if err := h.p.Step(s.now, in); err != nil {
		s.t.Fatal(err)
	}
	for _, out := range h.p.Drain(nil) {
		s.trace += fmt.Sprintln(s.now.Sub(start), h.index, out)
		switch out := out.(type) {
		case Tell:
			h.tells++
			told := Told{Peer: id(byte(h.index + 1)), Endpoints: []netip.AddrPort{h.local, h.reflexive}}
			if s.rng.Float64() >= s.loss {
				s.after(s.jittered(s.relay), func() { s.step(s.other(h), told) })
			}
		case Probe:
			h.probes++
			s.send(h, out.Endpoint, true)
		}
	}
}

func (s *pair) jittered(d time.Duration) time.Duration {
	return d + time.Duration(s.rng.Int64N(int64(d)/2+1))
}

// send sends a ping or a pong through the NATs.
func (s *pair) send(h *puncherHost, to netip.AddrPort, ping bool) {
	from, far := h.local, s.other(h)
	if h.nat != nil {
		from = h.nat.outbound(s.now, h.local, to)
	}
	if s.rng.Float64() < s.loss {
		return
	}
	s.after(s.jittered(s.wan), func() {
		if far.nat == nil {
			if to == far.local {
				s.arrive(far, from, ping)
			}
			return
		}
		if inside, ok := far.nat.inbound(s.now, from, to); ok && inside == far.local {
			s.arrive(far, from, ping)
		}
	})
}

// arrive is what a node does with a ping or a pong: it answers, probes back where it does not know the source, and
// knows after a pong that the path works.
func (s *pair) arrive(h *puncherHost, from netip.AddrPort, ping bool) {
	peer := id(byte(2 - h.index))
	if ping {
		s.send(h, from, false)
		s.step(h, Seen{Peer: peer, Addr: from})
		return
	}
	if !h.up {
		h.up, h.upAt = true, s.now
		s.step(h, Direct{Peer: peer, Up: true})
	}
}

// want asks for a direct path with what the peer's record says.
func (s *pair) want(h *puncherHost) {
	far := s.other(h)
	s.step(h, Want{Peer: id(byte(2 - h.index)), Remote: []netip.AddrPort{far.local, far.reflexive}})
}

// run lets time pass.
func (s *pair) run(d time.Duration) {
	end := s.now.Add(d)
	for {
		next, do := end, func() {}
		earliest := -1
		for i, e := range s.queue {
			if e.at.Before(next) || earliest >= 0 && e.at.Equal(next) && e.seq < s.queue[earliest].seq {
				next, earliest = e.at, i
			}
		}
		if earliest >= 0 {
			do = s.queue[earliest].do
		}
		for _, h := range s.sides {
			if deadline, ok := h.p.NextDeadline(); ok && deadline.Before(next) {
				next, earliest, do = deadline, -1, func() { s.step(h, Tick{}) }
			}
		}
		if next.Before(s.now) {
			s.t.Fatalf("a deadline lies %v in the past", s.now.Sub(next))
		}
		s.now = next
		if !next.Before(end) {
			return
		}
		if earliest >= 0 {
			s.queue = slices.Delete(s.queue, earliest, earliest+1)
		}
		do()
	}
}

func (s *pair) bothUp() bool { return s.sides[0].up && s.sides[1].up }

func TestWhichNATsArePunchedInTheFirstRound(t *testing.T) {
	kinds := []behaviour{independent, addressDependent, portDependent}
	for _, ma := range kinds {
		for _, fa := range kinds {
			for _, mb := range kinds {
				for _, fb := range kinds {
					name := fmt.Sprintf("mapping %v, filtering %v against mapping %v, filtering %v", ma, fa, mb, fb)
					a, b := newBox("198.51.100.1", ma, fa), newBox("198.51.100.2", mb, fb)
					s := newPair(t, 1, a, b)
					s.want(s.sides[0])
					s.run(1500 * time.Millisecond)
					easy := ma == independent && mb == independent
					half := ma == independent && fa != portDependent || mb == independent && fb != portDependent
					hopeless := ma != independent && fb == portDependent && mb != independent && fa == portDependent
					if (easy || half) && !s.bothUp() {
						t.Errorf("%s: not punched", name)
					}
					if hopeless && s.bothUp() {
						t.Errorf("%s: punched, which no NAT like this allows", name)
					}
				}
			}
		}
	}
}

func TestNATsArePunchedWhoeverBegins(t *testing.T) {
	for name, tc := range map[string]struct{ a, b *box }{
		"both behind NATs": {
			newBox("198.51.100.1", independent, portDependent), newBox("198.51.100.2", independent, portDependent),
		},
		"opener in the open":   {nil, newBox("198.51.100.2", portDependent, portDependent)},
		"opener behind NAT":    {newBox("198.51.100.1", portDependent, portDependent), nil},
		"both are in the open": {nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			for _, relay := range []time.Duration{5, 45, 300, 700} {
				for _, wan := range []time.Duration{1, 20, 150} {
					s := newPair(t, 1, tc.a, tc.b)
					s.relay, s.wan = relay*time.Millisecond, wan*time.Millisecond
					s.want(s.sides[0])
					s.run(1900 * time.Millisecond)
					if !s.bothUp() {
						t.Errorf("relay %d ms, direct %d ms: no path in the first round", relay, wan)
					}
				}
			}
		})
	}
}

func TestBothBeginningAtOnceIsNoHarm(t *testing.T) {
	s := newPair(t, 1,
		newBox("198.51.100.1", independent, portDependent), newBox("198.51.100.2", independent, portDependent))
	s.want(s.sides[0])
	s.want(s.sides[1])
	s.run(1500 * time.Millisecond)
	if !s.bothUp() || s.sides[0].tells != 1 || s.sides[1].tells != 1 {
		t.Errorf("up: %v, tells: %d and %d", s.bothUp(), s.sides[0].tells, s.sides[1].tells)
	}
}

func TestPunchedPathEndsAllProbing(t *testing.T) {
	s := newPair(t, 1,
		newBox("198.51.100.1", independent, portDependent), newBox("198.51.100.2", independent, portDependent))
	s.want(s.sides[0])
	s.want(s.sides[1])
	s.run(1500 * time.Millisecond)
	for _, h := range s.sides {
		if deadline, ok := h.p.NextDeadline(); ok {
			t.Errorf("node %d is to do something at %v", h.index, deadline.Sub(start))
		}
	}
}

func TestLostPathIsPunchedAgain(t *testing.T) {
	s := newPair(t, 1,
		newBox("198.51.100.1", independent, portDependent), newBox("198.51.100.2", independent, portDependent))
	s.want(s.sides[0])
	s.run(100 * time.Second) // nobody sends: filters lapse
	for _, h := range s.sides {
		h.up = false
		s.step(h, Direct{Peer: id(byte(2 - h.index)), Up: false})
	}
	s.run(1500 * time.Millisecond)
	if !s.bothUp() {
		t.Error("not punched again")
	}
}

func TestHopelessPairGivesUpToOneRoundAMinute(t *testing.T) {
	s := newPair(t, 1,
		newBox("198.51.100.1", portDependent, portDependent), newBox("198.51.100.2", portDependent, portDependent))
	s.want(s.sides[0])
	s.want(s.sides[1])
	s.run(10 * time.Minute)
	if s.bothUp() {
		t.Fatal("punched the impossible")
	}
	for _, h := range s.sides {
		if h.tells > 30 || h.probes > 30*6*3 {
			t.Errorf("node %d: %d tells and %d probes in ten minutes", h.index, h.tells, h.probes)
		}
	}
}

// TestPunchingSurvivesLoss runs pairs with random delays and losses.
func TestPunchingSurvivesLoss(t *testing.T) {
	for seed := range uint64(100) {
		run := func() *pair {
			s := newPair(t, seed,
				newBox("198.51.100.1", independent, portDependent), newBox("198.51.100.2", independent, portDependent))
			s.loss = 0.2
			s.relay = time.Duration(5+s.rng.IntN(200)) * time.Millisecond
			s.wan = time.Duration(1+s.rng.IntN(100)) * time.Millisecond
			s.want(s.sides[0])
			s.want(s.sides[1])
			s.run(30 * time.Second)
			return s
		}
		s := run()
		if !s.bothUp() {
			t.Errorf("seed %d: no path after three rounds", seed)
		}
		if again := run(); again.trace != s.trace {
			t.Errorf("seed %d: two runs differ", seed)
		}
	}
}
