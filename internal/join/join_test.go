package join

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"overlayd/internal/member"
	"overlayd/internal/wire"
)

func TestNewcomerJoinsAndBothKnowEachOther(t *testing.T) {
	p := newParty(t, 1)
	id := p.identity()
	joined, err := p.join(start, nil, p.token(member.Offer{}), id, "boston", never)
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
	s := member.NewSet(joined.Network, id, joined.Certificate, rand.New(seeded(2)))
	p.learn(s, member.Load{Items: joined.Items})
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
		if _, err := p.join(start, nil, p.token(member.Offer{}), p.identity(), "boston", lose); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

func TestBrokenOffJoinCanBeRepeatedBySameKeysOnly(t *testing.T) {
	p := newParty(t, 1)
	tok, id := p.token(member.Offer{}), p.identity()
	n := 0
	firstReply := func() bool { n++; return n != 1 } // it is lost, and all after it
	_, err := p.join(start, nil, tok, id, "boston", firstReply)
	if !errors.Is(err, ErrNobodyAnswered) || !strings.Contains(err.Error(), "192.0.2.1:51871") {
		t.Fatalf("broken off: %v", err)
	}
	issued := p.issued(id)
	if issued == nil || p.set.Used(tok.ID) != 1 {
		t.Fatal("the token is not used")
	}
	restarted := member.NewSet(p.net, p.id, p.set.Certificate(), rand.New(seeded(1)))
	p.learn(restarted, member.Load{Items: p.set.Stored()})
	p.set, p.registrar = restarted, member.NewRegistrar(restarted, p.id, p.root)
	p.door = NewDoor(p.set, p.registrar, p.random, "v1.0")
	p.learn(p.set, member.Publish{})
	if _, err := p.join(start, nil, tok, p.identity(), "cambridge", never); !errors.Is(err, member.ErrTokenUsed) {
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
	bound, free, cancelled := p.token(member.Offer{Name: "boston"}), p.token(member.Offer{}), p.token(member.Offer{})
	_, signed, err := p.registrar.Cancel(start, cancelled.ID.String()[:8])
	if err != nil {
		t.Fatal(err)
	}
	p.learn(p.set, member.Learn{Items: signed})
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
		"expired":                      {start.Add(time.Hour + time.Second), free, "boston", member.ErrTokenExpired},
		"expired, nobody answers":      {start.Add(2 * time.Hour), unknown, "boston", member.ErrTokenExpired},
		"expired days ago":             {start.Add(72 * time.Hour), unknown, "boston", member.ErrTokenExpired},
		"cancelled":                    {start, cancelled, "boston", member.ErrTokenCancelled},
		"name taken":                   {start, free, "founder", member.ErrNameTaken},
		"name malformed":               {start, free, "Boston!", member.ErrName},
		"token for another name":       {start, bound, "cambridge", member.OtherNameError{Name: "boston"}},
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
	admin := p.another(strings.Repeat("a", 63), member.Admin)
	gate := p.another("gate", 0)
	all := member.Statement{}
	for i := range 16 {
		all.Endpoints = append(all.Endpoints, netip.AddrPortFrom(member.Addr6(p.net.ID, wire.NodeID{byte(i)}), 51871))
	}
	p.learn(gate.set, member.Publish{Statement: all})
	p.share(admin, gate)
	tok := admin.token(member.Offer{Uses: 3, Subnets: []netip.Prefix{netip.MustParsePrefix("192.168.7.0/24")}})
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
	if _, err := gate.join(start, admin, tok, p.identity(), "e", never); !errors.Is(err, member.ErrTokenUsed) {
		t.Errorf("a fourth with a token for three: %v", err)
	}
	c := joined[0].Certificate
	if c.Issuer != admin.id.ID() || c.NotAfter.After(admin.set.Certificate().NotAfter) || len(c.Subnets) != 1 {
		t.Errorf("issued by %s until %s for %s", c.Issuer, c.NotAfter, c.Subnets)
	}
	if p.set.Len() != 6 || p.set.Digest() != gate.set.Digest() {
		t.Errorf("the founder knows %d members", p.set.Len())
	}
	if joined[0].Sponsor != gate.id.ID() || joined[0].Reached != netip.MustParseAddrPort("192.0.2.1:51871") {
		t.Errorf("brought in by %s at %s", joined[0].Sponsor, joined[0].Reached)
	}
}

func TestTokenOfAStruckAdminGetsNoAnswer(t *testing.T) {
	p := newParty(t, 1)
	a, b := p.another("a", member.Admin), p.another("b", member.Admin)
	tok := a.token(member.Offer{})
	p.share(a, b)
	p.learn(p.set, member.Learn{Items: ok(t, func() ([]member.Item, error) {
		return p.registrar.Revoke(start, a.id.ID(), false)
	})})
	p.share(b)
	if _, err := b.join(start, nil, tok, p.identity(), "boston", never); !errors.Is(err, ErrNobodyAnswered) {
		t.Error(err)
	}
}

// Two admins that were asked at once would both sign.
func TestANewcomerAsksOneAfterTheOther(t *testing.T) {
	p := newParty(t, 31)
	list := endpoints("192.0.2.1:51871", "192.0.2.2:51871", "192.0.2.3:51871")
	j := ok(t, func() (*Joiner, error) {
		return NewJoiner(start, p.token(member.Offer{}), list, p.identity(), "boston", p.random)
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
