package member

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"overlayd/internal/wire"
)

// party is an inviter with its set.
type party struct {
	*world
	id      Identity
	set     *Set
	inviter *Inviter
}

func newParty(t testing.TB, seed uint64) *party {
	w := newWorld(t, seed)
	p := &party{world: w, id: w.identity()}
	cert := ok(t, func() (*Certificate, error) { return Found(w.root, w.net, p.id, "founder", start) })
	p.set = NewSet(w.net, p.id, cert, rand.New(seeded(seed)))
	if err := p.set.Step(start, Publish{Statement{Endpoints: endpoints("192.0.2.1:51871")}}); err != nil {
		t.Fatal(err)
	}
	p.inviter = NewInviter(Authority{Network: w.net, Root: w.root}, p.id, p.set, nil, w.random)
	return p
}

func (p *party) token(name string) Token {
	p.Helper()
	text := ok(p, func() (string, error) { return p.inviter.Create(start, name, time.Hour, []string{"192.0.2.1:51871"}) })
	return ok(p, func() (Token, error) { return ParseToken(text) })
}

// join runs a whole join over a network that loses the frames that lose tells it to, and returns how it ends.
func (p *party) join(now time.Time, tok Token, id Identity, name string, lose func() bool) (Joined, error) {
	p.Helper()
	from := netip.MustParseAddrPort("198.51.100.1:4000")
	j, err := NewJoiner(now, tok, endpoints("192.0.2.1:51871", "192.0.2.2:51871"), id, name, p.random)
	if err != nil {
		return Joined{}, err
	}
	for {
		for _, out := range j.Drain(nil) {
			switch out := out.(type) {
			case Joined:
				return out, nil
			case JoinFailed:
				return Joined{}, out.Err
			case Transmit:
				if wire.Classify(out.Frame) != wire.ClassJoin {
					p.Fatal("a join frame is not of class join")
				}
				if lose() {
					continue
				}
				answer, err := p.inviter.Receive(now, from, out.Frame)
				if len(answer.Frame) > len(out.Frame) {
					p.Fatalf("reply of %d bytes to a request of %d", len(answer.Frame), len(out.Frame))
				}
				if answer.Record != nil {
					if err := p.set.Step(now, Learn{answer.Record}); err != nil {
						p.Fatal(err)
					}
				}
				if err == nil && !lose() {
					_ = j.Step(now, Heard{From: out.To, Frame: answer.Frame}) // the second copy is of an old part
				}
			}
		}
		if at, ok := j.NextDeadline(); ok {
			now = at
			if err := j.Step(now, Tick{}); err != nil {
				p.Fatal(err)
			}
		}
	}
}

func never() bool { return false }

func TestNewcomerJoinsAndBothKnowEachOther(t *testing.T) {
	p := newParty(t, 1)
	id := p.identity()
	joined, err := p.join(start, p.token(""), id, "boston", never)
	if err != nil {
		t.Fatal(err)
	}
	got := joined.Certificate
	if got.Name != "boston" || got.IPv4 != netip.MustParseAddr("10.71.0.2") || got.Node != id.ID() {
		t.Errorf("certificate of %s, %s", got.Name, got.IPv4)
	}
	if m, ok := p.set.ByName("boston"); !ok || m.ID != id.ID() {
		t.Error("the inviter does not know the newcomer")
	}
	s := NewSet(joined.Network, id, joined.Certificate, rand.New(seeded(2)))
	if err := s.Step(start, Load{joined.Records}); err != nil {
		t.Fatal(err)
	}
	m, ok := s.ByName("founder")
	if !ok || len(m.Record.Endpoints) != 1 {
		t.Error("the newcomer does not know the inviter's endpoints")
	}
}

func TestJoinSurvivesLoss(t *testing.T) {
	for seed := range uint64(20) {
		p := newParty(t, seed)
		r := rand.New(seeded(seed))
		if _, err := p.join(start, p.token(""), p.identity(), "boston", func() bool { return r.IntN(3) == 0 }); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

func TestBrokenOffJoinCanBeRepeatedBySameKeysOnly(t *testing.T) {
	p := newParty(t, 1)
	tok, id := p.token(""), p.identity()
	n := 0
	firstReply := func() bool { n++; return n != 1 } // it is lost, and all after it
	_, err := p.join(start, tok, id, "boston", firstReply)
	if !errors.Is(err, ErrNobodyAnswered) || !strings.Contains(err.Error(), "192.0.2.1:51871") {
		t.Fatalf("broken off: %v", err)
	}
	stored := p.inviter.Invitations()
	if len(stored) != 1 || !stored[0].Used() {
		t.Fatal("the token is not used")
	}
	p.inviter = NewInviter(p.inviter.authority, p.id, p.set, stored, p.random) // restarted
	if _, err := p.join(start, tok, p.identity(), "boston", never); !errors.Is(err, ErrTokenUsed) {
		t.Errorf("another newcomer: %v", err)
	}
	joined, err := p.join(start.Add(2*time.Hour), tok, id, "boston", never)
	if err != nil {
		t.Fatalf("repeated: %v", err)
	}
	if string(joined.Certificate.Raw()) != string(stored[0].Certificate) {
		t.Error("the repeated join got another certificate")
	}
}

func TestJoinIsRefusedWithTheReason(t *testing.T) {
	p := newParty(t, 1)
	bound, free := p.token("boston"), p.token("")
	altered := free
	altered.Secret[3] ^= 1
	unknown := free
	unknown.ID[0] ^= 1
	otherInviter := free
	otherInviter.WireGuard = p.identity().WireGuard()
	for name, c := range map[string]struct {
		at   time.Time
		tok  Token
		name string
		want error
	}{
		"expired":                      {start.Add(time.Hour + time.Second), free, "boston", ErrTokenExpired},
		"expired, nobody answers":      {start.Add(2 * time.Hour), unknown, "boston", ErrTokenExpired},
		"expired days ago":             {start.Add(72 * time.Hour), unknown, "boston", ErrTokenExpired},
		"name taken":                   {start, free, "founder", ErrNameTaken},
		"name malformed":               {start, free, "Boston!", ErrName},
		"token for another name":       {start, bound, "cambridge", ErrOtherName},
		"wrong secret gets no answer":  {start, altered, "boston", ErrNobodyAnswered},
		"unknown token gets no answer": {start, unknown, "boston", ErrNobodyAnswered},
		"wrong key gets no answer":     {start, otherInviter, "boston", ErrNobodyAnswered},
	} {
		if _, err := p.join(c.at, c.tok, p.identity(), c.name, never); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if _, err := p.join(start, free, p.identity(), "boston", never); err != nil {
		t.Errorf("a refusal used the token up: %v", err)
	}
}

func TestAdminWithoutRootKeyInvites(t *testing.T) {
	p := newParty(t, 1)
	id := p.identity()
	cert := p.enrol(id, strings.Repeat("a", 63), func(c *Certificate) { c.Capabilities |= Admin })
	p.set = NewSet(p.net, id, cert, rand.New(seeded(1)))
	all := Statement{}
	for i := range 16 {
		all.Endpoints = append(all.Endpoints, netip.AddrPortFrom(Addr6(p.net.ID, wire.NodeID{byte(i)}), 51871))
	}
	if err := p.set.Step(start, Publish{all}); err != nil {
		t.Fatal(err)
	}
	p.id = id
	p.inviter = NewInviter(Authority{Network: p.net, Admin: id, Own: cert}, id, p.set, nil, p.random)
	joined, err := p.join(start, p.token(""), p.identity(), strings.Repeat("b", 63), never)
	if err != nil {
		t.Fatal(err)
	}
	if joined.Certificate.Issuer != id.ID() || joined.Certificate.NotAfter.After(cert.NotAfter) {
		t.Errorf("issued by %s until %s", joined.Certificate.Issuer, joined.Certificate.NotAfter)
	}
}

func TestOrdinaryMemberCannotInvite(t *testing.T) {
	p := newParty(t, 1)
	id := p.identity()
	cert := p.enrol(id, "boston", nil)
	v := NewInviter(Authority{Network: p.net, Admin: id, Own: cert}, id, p.set, nil, p.random)
	if _, err := v.Create(start, "", time.Hour, []string{"192.0.2.1:1"}); !errors.Is(err, ErrNotAdmin) {
		t.Error(err)
	}
}

func TestAlteredRequestChangesNothing(t *testing.T) {
	p := newParty(t, 1)
	tok := p.token("")
	j, err := NewJoiner(start, tok, endpoints("192.0.2.1:51871"), p.identity(), "boston", p.random)
	if err != nil {
		t.Fatal(err)
	}
	frame := j.Drain(nil)[0].(Transmit).Frame
	for i := range frame {
		bad := append([]byte{}, frame...)
		bad[i] ^= 1
		if a, err := p.inviter.Receive(start, netip.AddrPort{}, bad); err == nil || a.Frame != nil {
			t.Fatalf("byte %d altered: answered", i)
		}
		if a, err := p.inviter.Receive(start, netip.AddrPort{}, frame[:i]); err == nil || a.Frame != nil {
			t.Fatalf("cut after %d bytes: answered", i)
		}
	}
	if p.inviter.Invitations()[0].Used() {
		t.Error("the token is used")
	}
	for range 1000 {
		if _, err := p.inviter.Receive(start, netip.AddrPort{}, frame); err != nil {
			if !errors.Is(err, ErrTooManyJoins) {
				t.Fatal(err)
			}
			return
		}
	}
	t.Error("a replayed request is answered without a limit")
}

// Whoever recorded the requests of a newcomer sends them again and again.
func TestReplayedRequestsStoreNothingAndKeepNobodyOut(t *testing.T) {
	p := newParty(t, 1)
	id, tok := p.identity(), p.token("")
	from := netip.MustParseAddrPort("198.51.100.1:4000")
	var recorded [][]byte
	j := ok(t, func() (*Joiner, error) {
		return NewJoiner(start, tok, endpoints("192.0.2.1:51871"), id, "boston", p.random)
	})
	for len(recorded) < 2 {
		for _, out := range j.Drain(nil) {
			if out, is := out.(Transmit); is {
				recorded = append(recorded, out.Frame)
				answer := ok(t, func() (Answer, error) { return p.inviter.Receive(start, from, out.Frame) })
				if answer.Record != nil {
					if err := p.set.Step(start, Learn{answer.Record}); err != nil {
						t.Fatal(err)
					}
				}
				_ = j.Step(start, Heard{From: out.To, Frame: answer.Frame})
			}
		}
	}
	before, looked := len(p.set.Records()), 0
	for i := range 10000 {
		now := start.Add(time.Duration(i) * time.Millisecond)
		answer, err := p.inviter.Receive(now, from, recorded[i%2])
		if err == nil {
			looked++
		}
		if answer.Save || answer.Record != nil {
			t.Fatalf("replay %d has something stored", i)
		}
	}
	if looked > joinsBurst+10*joinsASecond {
		t.Errorf("%d replays were looked into", looked)
	}
	if n := len(p.set.Records()); n != before {
		t.Errorf("replays made %d records of %d", n, before)
	}
	if _, err := p.join(start.Add(10*time.Second), p.token(""), p.identity(), "cambridge", never); err != nil {
		t.Errorf("meanwhile a newcomer is refused: %v", err)
	}
}

func TestLowestFreeAddressIsGiven(t *testing.T) {
	p := newParty(t, 1)
	for i, name := range []string{"a", "b", "c"} {
		joined, err := p.join(start, p.token(""), p.identity(), name, never)
		if err != nil {
			t.Fatal(err)
		}
		if want := netip.AddrFrom4([4]byte{10, 71, 0, byte(i + 2)}); joined.Certificate.IPv4 != want {
			t.Errorf("%s has %s, want %s", name, joined.Certificate.IPv4, want)
		}
	}
}
