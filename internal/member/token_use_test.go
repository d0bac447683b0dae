package member

import (
	"errors"
	"testing"
	"time"
)

// A use of a token stays used, whatever becomes of the node that came by it, at every admin.
func TestAUseStaysUsed(t *testing.T) {
	for name, end := range map[string]func(p, node *party) []Item{
		"revoked": func(p, node *party) []Item {
			return ok(p, func() ([]Item, error) { return p.registrar.Revoke(start, node.id.ID(), false) })
		},
		"left": func(p, node *party) []Item {
			return ok(p, func() ([]Item, error) { return node.registrar.Leave(start) })
		},
		"reinstated": func(p, node *party) []Item {
			p.learn(p.set, Learn{ok(p, func() ([]Item, error) { return p.registrar.Revoke(start, node.id.ID(), false) })})
			return ok(p, func() ([]Item, error) { return p.registrar.Reinstate(start.Add(time.Second), node.id.ID()) })
		},
	} {
		p := newParty(t, 1)
		other := p.another("admin", func(c *Certificate) { c.Capabilities |= Admin })
		i := p.invites(Offer{})
		id := p.identity()
		c, err := p.admits(i, id, "walden")
		if err != nil {
			t.Fatal(err)
		}
		node := &party{world: p.world, id: id, set: NewSet(p.net, id, c, seededRand(3))}
		node.learn(node.set, Load{p.set.Stored()})
		node.learn(node.set, Publish{})
		node.registrar = NewRegistrar(node.set, id, nil)
		p.share(node, other)
		p.learn(p.set, Learn{end(p, node)})
		p.share(other)
		for _, admin := range []*party{p, other} {
			if used := admin.set.Used(i.ID); used != 1 {
				t.Errorf("%s: %d uses, want 1", name, used)
			}
			if _, err := admin.admits(i, p.identity(), "walden-2"); !errors.Is(err, ErrTokenUsed) {
				t.Errorf("%s: the token is good again: %v", name, err)
			}
		}
		again := NewSet(p.net, other.id, other.set.cert, seededRand(4))
		p.learn(again, Load{other.set.Stored()})
		if used := again.Used(i.ID); used != 1 {
			t.Errorf("%s: after a restart %d uses, want 1", name, used)
		}
	}
}

// A node that comes with another token leaves the first one used.
func TestATokenStaysUsedWhenItsNodeComesByAnother(t *testing.T) {
	p := newParty(t, 2)
	first, second, id := p.invites(Offer{Uses: 2}), p.invites(Offer{}), p.identity()
	for _, i := range []*Invitation{first, second} {
		if _, err := p.admits(i, id, "walden"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.admits(p.set.Invitation(first.ID), p.identity(), "boston"); err != nil {
		t.Fatalf("the second use of the first token: %v", err)
	}
	if _, err := p.admits(p.set.Invitation(first.ID), p.identity(), "cambridge"); !errors.Is(err, ErrTokenUsed) {
		t.Errorf("the third use of a token for two: %v", err)
	}
	if _, err := p.admits(p.set.Invitation(second.ID), p.identity(), "concord"); !errors.Is(err, ErrTokenUsed) {
		t.Errorf("the second use of a token for one: %v", err)
	}
}

// Who leaves and joins under the same name, by whatever admin, has its address back, unless somebody else has it now.
func TestAnAddressIsKeptByItsName(t *testing.T) {
	p := newParty(t, 3)
	other := p.another("admin", func(c *Certificate) { c.Capabilities |= Admin })
	c, err := p.admits(p.invites(Offer{}), p.identity(), "walden")
	if err != nil {
		t.Fatal(err)
	}
	p.share(other)
	p.learn(p.set, Learn{ok(t, func() ([]Item, error) { return p.registrar.Revoke(start, c.Node, false) })})
	p.share(other)
	back, err := other.admits(other.invites(Offer{}), p.identity(), "walden")
	if err != nil || back.IPv4 != c.IPv4 {
		t.Fatalf("address %v, want %v (%v)", back.IPv4, c.IPv4, err)
	}
	elsewhere, err := other.admits(other.invites(Offer{}), p.identity(), "boston")
	if err != nil || elsewhere.IPv4 == c.IPv4 {
		t.Errorf("another name has the same address: %v, %v", elsewhere.IPv4, err)
	}
}
