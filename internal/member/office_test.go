package member

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"overlayd/internal/wire"
)

// office is a founder with the root key, two admins and an ordinary node, who know the same.
func office(t *testing.T) (root, a, b, x *party) {
	t.Helper()
	root = newParty(t, 1)
	admin := func(c *Certificate) { c.Capabilities, c.NotAfter = c.Capabilities|Admin, start.Add(AdminValidity) }
	a, b = root.another("a", admin), root.another("b", admin)
	x = root.another("x", nil)
	root.share(a, b, x)
	return root, a, b, x
}

// does has a node learn what it has signed.
func (p *party) does(signed []Item, err error) {
	p.Helper()
	if err != nil {
		p.Fatal(err)
	}
	p.learn(p.set, Learn{signed})
}

func (p *party) sees(other *party) string {
	m, member := p.set.Get(other.id.ID())
	switch {
	case !member:
		return "out"
	case m.Admin:
		return "admin"
	}
	return "member"
}

func TestRightsAreWithdrawnAndGrantedAgain(t *testing.T) {
	root, a, b, x := office(t)
	y := root.actor("y", &actor{id: a.id, cert: a.set.cert}, nil)
	a.learn(a.set, Learn{items(y)})
	root.share(a, b, x)
	steps := []struct {
		what string
		do   func() ([]Item, error)
		want string
	}{
		{"withdraw", func() ([]Item, error) { return root.registrar.Withdraw(start, a.id.ID()) }, "member"},
		{"grant again", func() ([]Item, error) { return root.registrar.Grant(start, a.id.ID()) }, "admin"},
		{"withdraw again", func() ([]Item, error) { return root.registrar.Withdraw(start, a.id.ID()) }, "member"},
		{"revoke", func() ([]Item, error) { return b.registrar.Revoke(start, a.id.ID(), false) }, "out"},
		{"reinstate", func() ([]Item, error) { return root.registrar.Reinstate(start, a.id.ID()) }, "member"},
		{"grant", func() ([]Item, error) { return root.registrar.Grant(start, a.id.ID()) }, "admin"},
		{"revoke an admin", func() ([]Item, error) { return b.registrar.Revoke(start, a.id.ID(), false) }, "out"},
		{"strike it", func() ([]Item, error) { return root.registrar.Revoke(start, a.id.ID(), false) }, "out"},
		{"reinstate an admin", func() ([]Item, error) { return root.registrar.Reinstate(start, a.id.ID()) }, "admin"},
	}
	for _, s := range steps {
		by := root
		if s.what == "revoke" || s.what == "revoke an admin" {
			by = b
		}
		by.does(s.do())
		root.share(a, b, x)
		for _, p := range []*party{root, b, x} {
			if got := p.sees(a); got != s.want {
				t.Fatalf("%s: %s", s.what, got)
			}
			if _, member := p.set.Get(y.node()); !member {
				t.Fatalf("%s: whom it let in is out", s.what)
			}
			root.consistent(p.set)
		}
		if root.set.Digest() != b.set.Digest() || b.set.Digest() != x.set.Digest() {
			t.Fatalf("%s: sets differ", s.what)
		}
		_, err := a.registrar.Revoke(start, x.id.ID(), false)
		if may := err == nil; may != (s.want == "admin") {
			t.Fatalf("%s: it may revoke: %t", s.what, may)
		}
	}
}

func TestWhomAStruckAdminRevokedStaysOutUnlessAnnulled(t *testing.T) {
	for _, annul := range []bool{false, true} {
		root, a, b, x := office(t)
		a.does(a.registrar.Revoke(start, x.id.ID(), false))
		invited := a.invites(Offer{})
		root.share(a, b)
		root.does(root.registrar.Revoke(start, a.id.ID(), annul))
		root.share(b)
		if got := b.sees(x); (got == "out") == annul {
			t.Errorf("annul %t: %s", annul, got)
		}
		if b.set.Invitation(invited.ID) != nil {
			t.Error("its invitation is still known")
		}
	}
}

func TestNodeLeavesAndOnlyTheRootTakesItBack(t *testing.T) {
	root, a, b, x := office(t)
	x.does(x.registrar.Leave(start))
	root.share(a, b, x)
	v, out := a.set.Revoked(x.id.ID())
	if !out || !v.Left() || b.sees(x) != "out" {
		t.Fatal("it has not left")
	}
	if _, err := a.registrar.Reinstate(start, x.id.ID()); !errors.Is(err, ErrNotRoot) {
		t.Error(err)
	}
	root.does(root.registrar.Reinstate(start, x.id.ID()))
	root.share(a, b)
	if a.sees(x) != "member" {
		t.Error("it is not back")
	}
}

func TestReinstatedNodeSpreadsToThoseWhoNeverKnewIt(t *testing.T) {
	s := newSim(t, 31, 12)
	root := s.nodes[0]
	root.registrar.SetRoot(s.root)
	s.converge(10*time.Second, 12, everybody)
	x := s.nodes[7]
	signed, err := root.registrar.Revoke(s.now, x.id.ID(), false)
	s.enact(root, signed, err)
	x.down = true
	s.run(10 * time.Second)
	late := s.add("late", nil)
	s.run(10 * time.Second)
	for _, n := range s.nodes {
		if _, member := n.set.Get(x.id.ID()); member && n != x {
			t.Fatalf("node %d has a node that is out", n.n)
		}
	}
	signed, err = root.registrar.Reinstate(s.now, x.id.ID())
	s.enact(root, signed, err)
	s.run(40 * time.Second)
	if m, member := late.set.Get(x.id.ID()); !member || m.Name != "n7" {
		t.Error("who never knew the node does not know it")
	}
	s.converge(time.Minute, 13, func(n *simNode) bool { return n != x })
}

func TestStateFileOfRecordsOnlyStillLoads(t *testing.T) {
	w := newWorld(t, 1)
	a, b := w.actor("a", nil, asAdmin), w.actor("b", nil, nil)
	s := w.watcher()
	if err := s.Step(start, Load{[][]byte{a.record.Raw(), b.record.Raw()}}); err != nil {
		t.Fatal(err)
	}
	if got := w.view(s); got != "[a* b]" {
		t.Error(got)
	}
}

func TestWhatIsStoredComesBackWithTheExiles(t *testing.T) {
	w := newWorld(t, 1)
	a, b, x := w.actor("a", nil, asAdmin), w.actor("b", nil, asAdmin), w.actor("x", nil, nil)
	y, z := w.actor("y", a, nil), w.actor("z", a, nil)
	later := w.issue(Authority{Network: w.net, Root: w.root}, x.id, "x2", nil)
	i := signInvitation(w.net, b.id.signing, b.cert, Invitation{
		Lock: Lock{ID: TokenID{1}}, Uses: 1, Expiry: start.Add(day), Sequence: 1,
	})
	s := w.watcher()
	all := slices.Concat(items(a, b, x, y, z), w.verdict(b, a, Out, 0, z), w.verdict(a, x, Out, 0), []Item{i})
	for _, list := range [][]Item{items(a, b, x, y, z), {{Kind: KindCertificate, Raw: later.raw}}, all} {
		_ = s.Step(start, Learn{list})
	}
	for _, now := range []time.Time{start, start.Add(-40 * 365 * day), start.Add(100 * 365 * day)} { // or a clock that is wrong
		fresh := NewSet(w.net, s.id, s.cert, seededRand(1))
		if err := fresh.Step(now, Load{s.Stored()}); err != nil {
			t.Fatal(err)
		}
		if !slices.EqualFunc(fresh.Stored(), s.Stored(), slices.Equal) {
			t.Errorf("at %s other items come back", now)
		}
		for _, out := range fresh.Drain(nil) {
			switch out.(type) {
			case Save, Send:
				t.Errorf("at %s: %T", now, out)
			}
		}
		for _, name := range []string{"a", "x2", "y"} {
			if !slices.ContainsFunc([]*actor{a, x, y}, func(a *actor) bool { return fresh.NameOnce(a.node()) == name }) {
				t.Errorf("%s is not remembered", name)
			}
		}
		w.consistent(fresh)
	}
}

func TestLongestVerdictFitsAndListsAllMembers(t *testing.T) {
	w := newWorld(t, 1)
	a := w.actor(fmt.Sprintf("%063d", 1), nil, func(c *Certificate) {
		asAdmin(c)
		c.Token, c.Uses = TokenID{1}, MaxUses
		for i := range MaxSubnets {
			c.Subnets = append(c.Subnets, prefix6(i))
		}
	})
	b := w.actor("b", nil, asAdmin)
	var stay []wire.NodeID
	for i := range MaxMembers {
		stay = append(stay, wire.NodeID{byte(i), byte(i >> 8), 9})
	}
	list, err := signVerdict(w.net, a.id.signing, a.cert, b.node(), Out, micros(start), stay)
	if err != nil {
		t.Fatal(err)
	}
	for _, it := range list {
		if v, err := w.net.VerifyVerdict(it.Raw); err != nil || v.Parts != len(list) {
			t.Fatalf("%d bytes: %v", len(it.Raw), err)
		}
		if m := (message{Type: typeItems, Items: []Item{it}, News: true}).encode(); len(m) > wire.MaxBodyLen {
			t.Fatalf("a body of %d bytes", len(m))
		}
	}
	t.Logf("%d parts of at most %d bytes", len(list), len(list[0].Raw))
}

// An admin that turned hostile has put everybody out, so that this node listens to nobody. Then the root strikes it.
func TestTheRootIsHeardByWhoTakesEverybodyForOut(t *testing.T) {
	p := newParty(t, 1)
	rogue := p.another("rogue", func(c *Certificate) { c.Capabilities |= Admin })
	victim := p.another("victim", nil)
	p.share(rogue, victim)
	for _, id := range []wire.NodeID{p.id.ID(), rogue.id.ID()} {
		signed, err := signVerdict(p.net, rogue.id.signing, rogue.set.cert, id, Out, micros(start)+1, nil)
		if err != nil {
			t.Fatal(err)
		}
		p.learn(victim.set, Learn{signed})
	}
	if !victim.set.out(p.id.ID()) {
		t.Fatal("the founder is not out")
	}
	signed, err := p.registrar.Revoke(start, rogue.id.ID(), true)
	if err != nil {
		t.Fatal(err)
	}
	p.learn(p.set, Learn{signed})
	before := victim.set.Digest()
	other := message{Type: typeItems, Items: []Item{{Kind: KindRecord, Raw: p.set.Record(p.id.ID()).raw}}}.encode()
	for _, body := range [][]byte{other, message{Type: typeSame}.encode(), nil} {
		if err := victim.set.Step(start, Received{From: p.id.ID(), Body: body}); !errors.Is(err, ErrStranger) {
			t.Errorf("%v", err)
		}
	}
	if victim.set.Digest() != before {
		t.Fatal("more than the root's verdicts is taken from who is out")
	}
	for _, body := range p.set.Pleas() {
		_ = victim.set.Step(start, Received{From: p.id.ID(), Body: body})
	}
	if victim.set.out(p.id.ID()) || !victim.set.out(rogue.id.ID()) {
		t.Error("the root was not heard")
	}
}
