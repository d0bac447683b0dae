package member

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// pair is two sets that talk with each other and nobody else, 10 ms apart.
type pair struct {
	a, b          *Set
	now           time.Time
	frames, bytes int
}

// run lets both meet, and talk until they have the same and both are told so; it fails after an hour.
func (p *pair) run(t testing.TB) time.Duration {
	t.Helper()
	begin := p.now
	_ = p.a.Step(p.now, Met{Peer: p.b.self})
	_ = p.b.Step(p.now, Met{Peer: p.a.self})
	for p.a.Digest() != p.b.Digest() || len(p.a.sync.sessions)+len(p.b.sync.sessions) > 0 {
		if p.now.Sub(begin) > time.Hour {
			t.Fatalf("not equal after an hour: %x, %x", p.a.Digest(), p.b.Digest())
		}
		p.round()
	}
	return p.now.Sub(begin)
}

// round is 10 ms.
func (p *pair) round() {
	p.now = p.now.Add(10 * time.Millisecond)
	for _, way := range [][2]*Set{{p.a, p.b}, {p.b, p.a}} {
		_ = way[0].Step(p.now, Tick{})
		for _, out := range way[0].Drain(nil) {
			if send, is := out.(Send); is && send.To == way[1].self {
				p.frames++
				p.bytes += len(send.Body)
				_ = way[1].Step(p.now, Received{From: way[0].self, Body: send.Body})
			}
		}
	}
}

// mixture is n items of all kinds of the network; the first are the records of two admins.
func (w *world) mixture(n int) (a, b *actor, list []Item) {
	w.Helper()
	a, b = w.actor("a", nil, asAdmin), w.actor("b", nil, asAdmin)
	list = items(a, b)
	for i := 0; len(list) < n; i++ {
		by := []*actor{nil, a, b}[i%3]
		x := w.actor(fmt.Sprintf("x%d", i), by, nil)
		switch i % 10 {
		case 0, 1:
			list = append(list, Item{Kind: KindCertificate, Raw: x.cert.raw})
		case 2:
			list = append(list, w.verdict(a, x, Out, time.Second)...)
		case 3:
			if i < 10*MaxInvitations/2 {
				list = append(list, signInvitation(w.net, b.id.signing, b.cert, Invitation{
					Lock: Lock{ID: TokenID{byte(i), byte(i >> 8), 1}}, Uses: 1, Expiry: start.Add(day),
					Sequence: micros(start),
				}))
			}
		default:
			list = append(list, x.item())
		}
	}
	return a, b, list
}

func TestSetsThatDifferInAFewItemsAreSoonEqual(t *testing.T) {
	w := newWorld(t, 3)
	const n = 1000
	a, b, list := w.mixture(n)
	w.net.Remember()
	r := rand.New(rand.NewPCG(3, 3))
	for _, differ := range []int{0, 1, 10, 100, n - 2} {
		p := &pair{now: start.Add(time.Minute)}
		p.a = NewSet(w.net, a.id, a.cert, rand.New(seeded(1)))
		p.b = NewSet(w.net, b.id, b.cert, rand.New(seeded(2)))
		missing := make(map[int]bool)
		for len(missing) < differ {
			missing[2+r.IntN(n-2)] = true
		}
		for i, it := range list {
			raw := Load{[][]byte{it.Stored()}}
			if !missing[i] || i%2 == 0 {
				_ = p.a.Step(p.now, raw)
			}
			if !missing[i] || i%2 == 1 {
				_ = p.b.Step(p.now, raw)
			}
		}
		took := p.run(t)
		w.consistent(p.a)
		w.consistent(p.b)
		t.Logf("%d of %d items differ: %d frames, %d bytes, %s", differ, n, p.frames, p.bytes, took)
		if p.frames > 60+6*differ || p.bytes > 30000+4000*differ {
			t.Errorf("too much for %d items", differ)
		}
		for range 100 {
			p.round() // it tells of what it got
		}
		p.frames, p.bytes = 0, 0
		for range 100 * 60 * 5 {
			p.round()
		}
		if p.frames > 2*2*5*60/30 || p.bytes > p.frames*64 {
			t.Errorf("%d frames, %d bytes in five idle minutes", p.frames, p.bytes)
		}
	}
}

func TestNewsIsSoonEverywhere(t *testing.T) {
	s := newSim(t, 21, 0)
	s.world.net.Remember()
	s.grow(200)
	all := s.nodes[0].set.Stored()
	for _, n := range s.nodes {
		s.step(n, Load{all})
	}
	s.converge(time.Minute, 200, everybody)
	s.run(5 * time.Second)
	s.loss = 0.2
	for _, origin := range []int{0, 77, 150} {
		s.publish(s.nodes[origin], 1000+origin)
		want, begin := s.nodes[origin].own().Sequence, s.now
		for have := 0; have < 198; {
			s.run(50 * time.Millisecond)
			have = 0
			for _, n := range s.nodes {
				if r := n.set.Record(s.nodes[origin].id.ID()); r.Sequence >= want {
					have++
				}
			}
			if s.now.Sub(begin) > 5*time.Second {
				t.Fatalf("after five seconds %d of 200 know", have)
			}
		}
		t.Logf("99 of 100 know after %s", s.now.Sub(begin))
		s.run(time.Second)
	}
}
