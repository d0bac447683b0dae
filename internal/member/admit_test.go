package member

import (
	"errors"
	"net/netip"
	"testing"
	"time"
)

func TestInvitationsAreBounded(t *testing.T) {
	p := newParty(t, 1)
	invite := func(o Offer) error {
		signed, err := p.registrar.Invite(start, p.lock(), o)
		if err == nil {
			p.learn(p.set, Learn{signed})
		}
		return err
	}
	for name, c := range map[string]struct {
		offer Offer
		want  error
	}{
		"no time":      {Offer{}, ErrTTL},
		"a second":     {Offer{TTL: time.Second}, ErrTTL},
		"negative":     {Offer{TTL: -time.Hour}, ErrTTL},
		"a month":      {Offer{TTL: 31 * 24 * time.Hour}, ErrTTL},
		"taken name":   {Offer{TTL: time.Hour, Name: "founder"}, ErrNameTaken},
		"no such name": {Offer{TTL: time.Hour, Name: "No!"}, ErrName},
		"many uses":    {Offer{TTL: time.Hour, Uses: MaxUses + 1}, ErrUses},
	} {
		if err := invite(c.offer); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	for range MaxInvitations {
		if err := invite(Offer{TTL: time.Hour}); err != nil {
			t.Fatal(err)
		}
	}
	if err := invite(Offer{TTL: time.Hour}); !errors.Is(err, ErrManyTokens) {
		t.Errorf("one too many: %v", err)
	}
	for _, in := range []Input{Met{Peer: p.another("boston", nil).id.ID()}, Tick{}} {
		_ = p.set.Step(start.Add(26*time.Hour), in)
	}
	lock, later := p.lock(), start.Add(27*time.Hour)
	one, err := p.registrar.Invite(later, lock, Offer{TTL: time.Hour})
	if err != nil {
		t.Fatalf("no room for another token, though all have expired: %v", err)
	}
	if err := p.set.Step(later, Learn{one}); err != nil || len(p.set.Invitations()) != 1 {
		t.Errorf("%d invitations are kept, of which one is good (%v)", len(p.set.Invitations()), err)
	}
}

func TestOrdinaryMemberSignsNobodyInOrOut(t *testing.T) {
	p := newParty(t, 1)
	q := p.another("boston", nil)
	if _, err := q.registrar.Invite(start, p.lock(), Offer{TTL: time.Hour}); !errors.Is(err, ErrNotAdmin) {
		t.Error(err)
	}
	if _, err := q.registrar.Revoke(start, p.id.ID(), false); !errors.Is(err, ErrNotAdmin) {
		t.Error(err)
	}
	i := p.invites(Offer{})
	p.share(q)
	if c, err := q.admits(i, p.identity(), "cambridge"); !errors.Is(err, ErrInviter) {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestInvitationIsForOneKeyOneNameAndOneNode(t *testing.T) {
	p := newParty(t, 1)
	bound, free := p.invites(Offer{Name: "boston"}), p.invites(Offer{Uses: 3})
	boston := p.identity()
	if _, err := p.admits(bound, boston, "cambridge"); !errors.Is(err, OtherNameError{"boston"}) {
		t.Errorf("another name: %v", err)
	}
	if _, err := p.admits(free, boston, "founder"); !errors.Is(err, ErrNameTaken) {
		t.Errorf("a name that is taken: %v", err)
	}
	first, err := p.admits(bound, boston, "boston")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := p.admits(bound, boston, "boston"); err != nil || !first.sameRaw(again.raw) {
		t.Errorf("a request that is repeated: %v", err)
	}
	if _, err := p.admits(bound, boston, "newton"); !errors.Is(err, OtherNameError{"boston"}) {
		t.Errorf("repeated under another name: %v", err)
	}
	if _, err := p.admits(bound, p.identity(), "boston"); !errors.Is(err, ErrTokenUsed) {
		t.Errorf("another node: %v", err)
	}
	private, _ := boston.PrivateKeys()
	_, seed := p.identity().PrivateKeys()
	if _, err := p.admits(free, IdentityFromKeys(private, seed), "copy"); !errors.Is(err, ErrKeyTaken) {
		t.Errorf("with the WireGuard key of another: %v", err)
	}
}

func TestLowestFreeAddressIsGiven(t *testing.T) {
	p := newParty(t, 1)
	for i, name := range []string{"a", "b", "c"} {
		c, err := p.admits(p.invites(Offer{}), p.identity(), name)
		if err != nil {
			t.Fatal(err)
		}
		if want := netip.AddrFrom4([4]byte{10, 71, 0, byte(i + 2)}); c.IPv4 != want {
			t.Errorf("%s has %s, want %s", name, c.IPv4, want)
		}
	}
}

func TestAdminsHandOutAddressesOfTheirOwnBlocks(t *testing.T) {
	p := newParty(t, 1)
	blocks := make(map[netip.Prefix]bool)
	for _, name := range []string{"a", "b", "c", "d"} {
		admin := p.another(name, asAdmin)
		c, err := admin.admits(admin.invites(Offer{}), p.identity(), name+name)
		if err != nil {
			t.Fatal(err)
		}
		block := netip.PrefixFrom(c.IPv4, 24).Masked()
		if blocks[block] || block == netip.MustParsePrefix("10.71.0.0/24") {
			t.Errorf("two admins hand out addresses of %s", block)
		}
		blocks[block] = true
	}
}

// A key of small order is nobody's: a certificate for it would only use the token up.
func TestNobodyIsLetInWithAKeyThatNobodyCanHave(t *testing.T) {
	p := newParty(t, 1)
	l := p.lock()
	signed, err := p.registrar.Invite(start, l, Offer{TTL: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	p.learn(p.set, Learn{signed})
	i := p.set.Invitation(l.ID)
	if _, items, err := p.registrar.Admit(start, i, Applicant{Signing: p.identity().Signing(), Name: "nobody"}); err == nil || items != nil {
		t.Errorf("let in: %v", err)
	}
}
