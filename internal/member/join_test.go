package member

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"overlayd/internal/wire"
)

// party is a founder, and perhaps other members, at whose doors newcomers knock.
type party struct {
	*world
	id        Identity
	set       *Set
	registrar *Registrar
	door      *Door
}

func newParty(t testing.TB, seed uint64) *party {
	w := newWorld(t, seed)
	p := &party{world: w, id: w.identity()}
	cert := ok(t, func() (*Certificate, error) { return Found(w.root, w.net, p.id, "founder", start) })
	p.set = NewSet(w.net, p.id, cert, rand.New(seeded(seed)))
	p.learn(p.set, Publish{Statement{Endpoints: endpoints("192.0.2.1:51871")}})
	p.registrar = NewRegistrar(p.set, p.id, w.root, w.random)
	p.door = NewDoor(p.set, p.registrar, w.random)
	return p
}

// another is one more member of the same network, which knows all that the first one does.
func (p *party) another(name string, adjust func(*Certificate)) *party {
	p.Helper()
	q := &party{world: p.world, id: p.identity()}
	q.set = NewSet(p.net, q.id, p.enrol(q.id, name, adjust), rand.New(seeded(77)))
	q.learn(q.set, Load{p.set.Stored()})
	q.learn(q.set, Publish{})
	q.registrar = NewRegistrar(q.set, q.id, nil, p.random)
	q.door = NewDoor(q.set, q.registrar, p.random)
	p.share(q)
	return q
}

// share lets every member know all that the others do.
func (p *party) share(others ...*party) {
	all := append([]*party{p}, others...)
	for range 2 {
		for _, a := range all {
			var items []Item
			for _, raw := range a.set.Stored() {
				items = append(items, ok(p, func() (Item, error) { return ParseStored(raw) }))
			}
			for _, b := range all {
				_ = b.set.Step(start, Learn{items})
			}
		}
	}
}

func (p *party) learn(s *Set, in Input) {
	p.Helper()
	if err := s.Step(start, in); err != nil {
		p.Fatal(err)
	}
}

func (p *party) token(o Offer) Token {
	p.Helper()
	if o.TTL == 0 {
		o.TTL = time.Hour
	}
	o.Endpoints = []string{"192.0.2.1:51871"}
	text, signed, err := p.registrar.Invite(start, o)
	if err != nil {
		p.Fatal(err)
	}
	p.learn(p.set, Learn{signed})
	return ok(p, func() (Token, error) { return ParseToken(text) })
}

// knock carries one request to the door and its answer back, by way of the admin if the door passes it on.
func (p *party) knock(now time.Time, admin *party, frame []byte) ([]byte, error) {
	from := netip.MustParseAddrPort("198.51.100.1:4000")
	var admins []wire.NodeID
	if admin != nil {
		admins = append(admins, admin.id.ID())
	}
	a, err := p.door.Receive(now, from, "back", frame, admins)
	for err == nil && !a.To.IsZero() {
		at := admin
		if a.To == p.id.ID() {
			at = p
		}
		if len(a.Body) > wire.MaxBodyLen {
			p.Fatalf("a body of %d bytes", len(a.Body))
		}
		p.learn(at.set, Learn{a.Learn})
		from := p
		if at == p {
			from = admin
		}
		a, err = at.door.Passed(now, from.id.ID(), a.Body)
		if a.Learn != nil {
			p.learn(at.set, Learn{a.Learn})
			a.Learn = nil
		}
	}
	if err != nil {
		return nil, err
	}
	if a.Back != "back" {
		p.Fatalf("the answer goes to %v", a.Back)
	}
	if err := p.set.Step(now, Learn{a.Learn}); err != nil {
		p.Fatal(err)
	}
	return a.Frame, nil
}

// join runs a whole join at this door over a network that loses the frames that lose tells it to.
func (p *party) join(now time.Time, admin *party, tok Token, id Identity, name string, lose func() bool) (Joined, error) {
	p.Helper()
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
				reply, err := p.knock(now, admin, out.Frame)
				if len(reply) > len(out.Frame) {
					p.Fatalf("reply of %d bytes to a request of %d", len(reply), len(out.Frame))
				}
				if err == nil && !lose() {
					_ = j.Step(now, Heard{From: out.To, Frame: reply}) // the second copy is of an old part
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
	joined, err := p.join(start, nil, p.token(Offer{}), id, "boston", never)
	if err != nil {
		t.Fatal(err)
	}
	got := joined.Certificate
	if got.Name != "boston" || got.IPv4 != netip.MustParseAddr("10.71.0.2") || got.Node != id.ID() {
		t.Errorf("certificate of %s, %s", got.Name, got.IPv4)
	}
	if m, ok := p.set.ByName("boston"); !ok || m != id.ID() {
		t.Error("the founder does not know the newcomer")
	}
	s := NewSet(joined.Network, id, joined.Certificate, rand.New(seeded(2)))
	p.learn(s, Load{joined.Items})
	founder, ok := s.ByName("founder")
	m, _ := s.Get(founder)
	if !ok || len(m.Record.Endpoints) != 1 {
		t.Error("the newcomer does not know the founder's endpoints")
	}
}

func TestJoinSurvivesLoss(t *testing.T) {
	for seed := range uint64(20) {
		p := newParty(t, seed)
		r := rand.New(seeded(seed))
		lose := func() bool { return r.IntN(3) == 0 }
		if _, err := p.join(start, nil, p.token(Offer{}), p.identity(), "boston", lose); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

func TestBrokenOffJoinCanBeRepeatedBySameKeysOnly(t *testing.T) {
	p := newParty(t, 1)
	tok, id := p.token(Offer{}), p.identity()
	n := 0
	firstReply := func() bool { n++; return n != 1 } // it is lost, and all after it
	_, err := p.join(start, nil, tok, id, "boston", firstReply)
	if !errors.Is(err, ErrNobodyAnswered) || !strings.Contains(err.Error(), "192.0.2.1:51871") {
		t.Fatalf("broken off: %v", err)
	}
	issued := p.set.certificate(id.ID())
	if issued == nil || p.set.Used(tok.ID) != 1 {
		t.Fatal("the token is not used")
	}
	restarted := NewSet(p.net, p.id, p.set.cert, rand.New(seeded(1)))
	p.learn(restarted, Load{p.set.Stored()})
	p.set, p.registrar = restarted, NewRegistrar(restarted, p.id, p.root, p.random)
	p.door = NewDoor(p.set, p.registrar, p.random)
	p.learn(p.set, Publish{})
	if _, err := p.join(start, nil, tok, p.identity(), "cambridge", never); !errors.Is(err, ErrTokenUsed) {
		t.Errorf("another newcomer: %v", err)
	}
	joined, err := p.join(start.Add(2*time.Hour), nil, tok, id, "boston", never)
	if err != nil {
		t.Fatalf("repeated: %v", err)
	}
	if string(joined.Certificate.Raw()) != string(issued.Raw()) {
		t.Error("the repeated join got another certificate")
	}
}

func TestJoinIsRefusedWithTheReason(t *testing.T) {
	p := newParty(t, 1)
	bound, free, cancelled := p.token(Offer{Name: "boston"}), p.token(Offer{}), p.token(Offer{})
	_, signed, err := p.registrar.Cancel(start, cancelled.ID.String()[:8])
	if err != nil {
		t.Fatal(err)
	}
	p.learn(p.set, Learn{signed})
	altered := free
	altered.Secret[3] ^= 1
	unknown := free
	unknown.ID[0] ^= 1
	for name, c := range map[string]struct {
		at   time.Time
		tok  Token
		name string
		want error
	}{
		"expired":                      {start.Add(time.Hour + time.Second), free, "boston", ErrTokenExpired},
		"expired, nobody answers":      {start.Add(2 * time.Hour), unknown, "boston", ErrTokenExpired},
		"expired days ago":             {start.Add(72 * time.Hour), unknown, "boston", ErrTokenExpired},
		"cancelled":                    {start, cancelled, "boston", ErrTokenCancelled},
		"name taken":                   {start, free, "founder", ErrNameTaken},
		"name malformed":               {start, free, "Boston!", ErrName},
		"token for another name":       {start, bound, "cambridge", ErrOtherName},
		"wrong secret gets no answer":  {start, altered, "boston", ErrNobodyAnswered},
		"unknown token gets no answer": {start, unknown, "boston", ErrNobodyAnswered},
	} {
		if _, err := p.join(c.at, nil, c.tok, p.identity(), c.name, never); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if _, err := p.join(start, nil, free, p.identity(), "boston", never); err != nil {
		t.Errorf("a refusal used the token up: %v", err)
	}
}

func TestAnyMemberLetsNewcomersInThroughAnAdmin(t *testing.T) {
	p := newParty(t, 1)
	admin := p.another(strings.Repeat("a", 63), func(c *Certificate) { c.Capabilities |= Admin })
	gate := p.another("gate", nil)
	all := Statement{}
	for i := range 16 {
		all.Endpoints = append(all.Endpoints, netip.AddrPortFrom(Addr6(p.net.ID, wire.NodeID{byte(i)}), 51871))
	}
	p.learn(gate.set, Publish{all})
	p.share(admin, gate)
	tok := admin.token(Offer{Uses: 3, Subnets: []netip.Prefix{netip.MustParsePrefix("192.168.7.0/24")}})
	p.share(admin, gate)
	var joined []Joined
	for _, name := range []string{strings.Repeat("b", 63), "c", "d"} {
		j, err := gate.join(start, admin, tok, p.identity(), name, never)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		p.share(admin, gate)
		joined = append(joined, j)
	}
	if _, err := gate.join(start, admin, tok, p.identity(), "e", never); !errors.Is(err, ErrTokenUsed) {
		t.Errorf("a fourth with a token for three: %v", err)
	}
	c := joined[0].Certificate
	if c.Issuer != admin.id.ID() || c.NotAfter.After(admin.set.cert.NotAfter) || len(c.Subnets) != 1 {
		t.Errorf("issued by %s until %s for %s", c.Issuer, c.NotAfter, c.Subnets)
	}
	if p.set.Len() != 6 || p.set.Digest() != gate.set.Digest() {
		t.Errorf("the founder knows %d members", p.set.Len())
	}
	if joined[0].Sponsor != gate.id.ID() || joined[0].Reached != netip.MustParseAddrPort("192.0.2.1:51871") {
		t.Errorf("brought in by %s at %s", joined[0].Sponsor, joined[0].Reached)
	}
}

func TestOrdinaryMemberCannotInvite(t *testing.T) {
	p := newParty(t, 1)
	q := p.another("boston", nil)
	if _, _, err := q.registrar.Invite(start, Offer{TTL: time.Hour, Endpoints: []string{"192.0.2.1:1"}}); !errors.Is(err, ErrNotAdmin) {
		t.Error(err)
	}
	if _, err := q.registrar.Revoke(start, p.id.ID(), false); !errors.Is(err, ErrNotAdmin) {
		t.Error(err)
	}
}

func TestMemberThatKnowsTheInvitationCannotUseIt(t *testing.T) {
	p := newParty(t, 1)
	tok := p.token(Offer{})
	i := p.set.Invitation(tok.ID)
	id := p.identity()
	public := id.WireGuard()
	body := requestBody{WireGuard: public[:], Signing: id.Signing(), Name: "sybil"}
	body.Proof = make([]byte, 64)
	body.Ticket = make([]byte, 64) // the token's key is not known to members
	frame := ok(t, func() ([]byte, error) {
		return i.Key.aeads(p.net.ID).sealRequest(partCertificate, i.ID, [24]byte{}, body)
	})
	if _, err := p.knock(start, nil, frame); !errors.Is(err, ErrSignature) {
		t.Errorf("let in: %v", err)
	}
}

func TestAlteredRequestChangesNothing(t *testing.T) {
	p := newParty(t, 1)
	tok := p.token(Offer{})
	j, err := NewJoiner(start, tok, endpoints("192.0.2.1:51871"), p.identity(), "boston", p.random)
	if err != nil {
		t.Fatal(err)
	}
	frame := j.Drain(nil)[0].(Transmit).Frame
	for i := range frame {
		now := start.Add(time.Duration(i) * time.Second) // the share of the token is not what stops it
		bad := slices.Clone(frame)
		bad[i] ^= 1
		if a, err := p.door.Receive(now, netip.AddrPort{}, nil, bad, nil); err == nil || a.Frame != nil {
			t.Fatalf("byte %d altered: answered", i)
		}
		if a, err := p.door.Receive(now, netip.AddrPort{}, nil, frame[:i], nil); err == nil || a.Frame != nil {
			t.Fatalf("cut after %d bytes: answered", i)
		}
	}
	if p.set.Used(tok.ID) != 0 {
		t.Error("the token is used")
	}
	for range 1000 {
		if _, err := p.door.Receive(start.Add(time.Hour-time.Second), netip.AddrPort{}, nil, frame, nil); err != nil {
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
	id, tok := p.identity(), p.token(Offer{})
	var recorded [][]byte
	j := ok(t, func() (*Joiner, error) {
		return NewJoiner(start, tok, endpoints("192.0.2.1:51871"), id, "boston", p.random)
	})
	for len(recorded) < 2 {
		for _, out := range j.Drain(nil) {
			if out, is := out.(Transmit); is {
				recorded = append(recorded, out.Frame)
				reply := ok(t, func() ([]byte, error) { return p.knock(start, nil, out.Frame) })
				_ = j.Step(start, Heard{From: out.To, Frame: reply})
			}
		}
	}
	before, looked := p.set.Digest(), 0
	for i := range 10000 {
		now := start.Add(time.Duration(i) * time.Millisecond)
		a, err := p.door.Receive(now, netip.AddrPort{}, nil, recorded[i%2], nil)
		if err == nil {
			looked++
		}
		if a.Learn != nil {
			t.Fatalf("replay %d has something stored", i)
		}
	}
	if looked > joinsBurst+10*joinsASecond {
		t.Errorf("%d replays were looked into", looked)
	}
	if p.set.Digest() != before {
		t.Error("replays changed the set")
	}
	if _, err := p.join(start.Add(10*time.Second), nil, p.token(Offer{}), p.identity(), "cambridge", never); err != nil {
		t.Errorf("meanwhile a newcomer is refused: %v", err)
	}
}

func TestLowestFreeAddressIsGiven(t *testing.T) {
	p := newParty(t, 1)
	for i, name := range []string{"a", "b", "c"} {
		joined, err := p.join(start, nil, p.token(Offer{}), p.identity(), name, never)
		if err != nil {
			t.Fatal(err)
		}
		if want := netip.AddrFrom4([4]byte{10, 71, 0, byte(i + 2)}); joined.Certificate.IPv4 != want {
			t.Errorf("%s has %s, want %s", name, joined.Certificate.IPv4, want)
		}
	}
}

func TestAdminsHandOutAddressesOfTheirOwnBlocks(t *testing.T) {
	p := newParty(t, 1)
	blocks := make(map[netip.Prefix]bool)
	for _, name := range []string{"a", "b", "c", "d"} {
		admin := p.another(name, func(c *Certificate) { c.Capabilities |= Admin })
		joined, err := admin.join(start, nil, admin.token(Offer{}), p.identity(), name+name, never)
		if err != nil {
			t.Fatal(err)
		}
		block := netip.PrefixFrom(joined.Certificate.IPv4, 24).Masked()
		if blocks[block] || block == netip.MustParsePrefix("10.71.0.0/24") {
			t.Errorf("two admins hand out addresses of %s", block)
		}
		blocks[block] = true
	}
}

// Two admins that were asked at once would both sign.
func TestANewcomerAsksOneAfterTheOther(t *testing.T) {
	p := newParty(t, 31)
	list := endpoints("192.0.2.1:51871", "192.0.2.2:51871", "192.0.2.3:51871")
	j := ok(t, func() (*Joiner, error) {
		return NewJoiner(start, p.token(Offer{}), list, p.identity(), "boston", p.random)
	})
	var asked [][]netip.AddrPort
	for range 5 {
		var to []netip.AddrPort
		for _, out := range j.Drain(nil) {
			to = append(to, out.(Transmit).To)
		}
		asked = append(asked, to)
		at, _ := j.NextDeadline()
		if err := j.Step(at, Tick{}); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range [][]netip.AddrPort{list[:1], list[1:2], list[2:], list, list} {
		if !slices.Equal(asked[i], want) {
			t.Errorf("request %d went to %v, not %v", i, asked[i], want)
		}
	}
}
