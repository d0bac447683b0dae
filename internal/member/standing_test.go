package member

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"overlayd/internal/wire"
)

// actor is a node in the tests of standing, which sign what they like.
type actor struct {
	id     Identity
	cert   *Certificate
	record *Record
}

func (a *actor) node() wire.NodeID { return a.id.ID() }

func (a *actor) item() Item { return Item{Kind: KindRecord, Raw: a.record.Raw()} }

// day is a moment of the tests: the verdicts are passed at different days after start.
const day = 24 * time.Hour

func (w *world) actor(name string, by *actor, adjust func(*Certificate)) *actor {
	w.Helper()
	a := &actor{id: w.identity()}
	authority := Authority{Network: w.net, Root: w.root}
	if by != nil {
		authority = Authority{Network: w.net, Admin: by.id, Own: by.cert}
	}
	a.cert = w.issue(authority, a.id, name, adjust)
	a.record = w.sign(a.id, a.cert, micros(start), Statement{})
	return a
}

func asAdmin(c *Certificate) {
	c.Capabilities |= Admin
	c.NotAfter = start.Add(AdminValidity)
}

// verdict is signed by a node, or by the root if by is nil, so long after start.
func (w *world) verdict(by, on *actor, rank Rank, at time.Duration, stay ...*actor) []Item {
	w.Helper()
	var ids []wire.NodeID
	for _, a := range stay {
		ids = append(ids, a.node())
	}
	key, cert := w.root, (*Certificate)(nil)
	if by != nil {
		key, cert = by.id.signing, by.cert
	}
	return ok(w, func() ([]Item, error) {
		return signVerdict(w.net, key, cert, on.node(), rank, micros(start.Add(at)), ids)
	})
}

// watcher is a set of a node that takes no part.
func (w *world) watcher() *Set {
	id := w.identity()
	return NewSet(w.net, id, w.enrol(id, fmt.Sprintf("watcher%d", w.count), nil), rand.New(seeded(1)))
}

func items(actors ...*actor) []Item {
	var list []Item
	for _, a := range actors {
		list = append(list, a.item())
	}
	return list
}

// view is what a set says of who is who, in words.
func (w *world) view(s *Set) string {
	text := ""
	for _, m := range s.Members() {
		text += " " + m.Name
		if m.Admin {
			text += "*"
		}
	}
	return fmt.Sprintf("%v", slices.Sorted(slices.Values(strings.Fields(text))))
}

// whatever feeds the items to fresh sets in many orders, again and again as gossip does, one by one or all at once, with a
// restart in between, and fails unless all of them say what is wanted.
func (w *world) whatever(now time.Time, list []Item, want string) {
	w.Helper()
	r := rand.New(rand.NewPCG(7, 7))
	var digest uint64
	for try := range 30 {
		s := w.watcher()
		for round := range 3 {
			list = slices.Clone(list)
			r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
			step := []int{1, 3, len(list)}[r.IntN(3)]
			for part := range slices.Chunk(list, step) {
				_ = s.Step(now, Learn{part})
				w.consistent(s)
			}
			if round == 1 {
				before := s.Digest()
				s = w.again(now, s)
				if s.Digest() != before {
					w.Fatalf("try %d: another set after a restart", try)
				}
			}
		}
		if got := w.view(s); got != want {
			w.Fatalf("try %d: %s, want %s", try, got, want)
		}
		if try > 0 && s.Digest() != digest {
			w.Fatalf("try %d: the order of arrival decides", try)
		}
		digest = s.Digest()
	}
}

// again is the set after a restart.
func (w *world) again(now time.Time, s *Set) *Set {
	w.Helper()
	fresh := NewSet(s.network, s.id, s.cert, rand.New(seeded(1)))
	if err := fresh.Step(now, Load{s.Stored()}); err != nil {
		w.Fatal(err)
	}
	return fresh
}

func TestStandingFollowsFromTheVerdictsInAnyOrder(t *testing.T) {
	w := newWorld(t, 1)
	a := w.actor("a", nil, asAdmin)
	b := w.actor("b", nil, asAdmin)
	c := w.actor("c", nil, asAdmin)
	x := w.actor("x", nil, nil)
	ax := w.actor("ax", a, nil)
	ay := w.actor("ay", a, nil)
	bx := w.actor("bx", b, nil)
	everybody := items(a, b, c, x, ax, ay, bx)
	now := start.Add(20 * day)
	for _, c := range []struct {
		name     string
		verdicts [][]Item
		want     string
	}{
		{"nothing", nil, "[a* ax ay b* bx c* x]"},
		{"the root revokes", [][]Item{w.verdict(nil, x, Out, day)}, "[a* ax ay b* bx c*]"},
		{"an admin revokes", [][]Item{w.verdict(a, x, Out, day)}, "[a* ax ay b* bx c*]"},
		{"a node leaves", [][]Item{w.verdict(x, x, Out, day)}, "[a* ax ay b* bx c*]"},
		{"the root takes a node back", [][]Item{
			w.verdict(a, x, Out, day), w.verdict(x, x, Out, 2*day), w.verdict(nil, x, Ordinary, 3*day),
		}, "[a* ax ay b* bx c* x]"},
		{"an admin revokes again whom the root took back", [][]Item{
			w.verdict(a, x, Out, day), w.verdict(nil, x, Ordinary, 2*day), w.verdict(b, x, Out, 3*day),
		}, "[a* ax ay b* bx c*]"},
		{"two admins revoke each other", [][]Item{
			w.verdict(a, b, Out, 2*day, bx), w.verdict(b, a, Out, day, ax, ay),
		}, "[ax ay bx c* x]"},
		{"the root takes one of them back", [][]Item{
			w.verdict(a, b, Out, 2*day, bx), w.verdict(b, a, Out, day, ax, ay), w.verdict(nil, a, AsAdmin, 3*day),
		}, "[a* ax ay bx c* x]"},
		{"in a ring", [][]Item{
			w.verdict(a, b, Out, day, bx), w.verdict(b, c, Out, day), w.verdict(c, a, Out, day, ax, ay),
		}, "[ax ay bx x]"},
		{"whom a struck admin revoked comes back", [][]Item{
			w.verdict(a, b, Out, day, bx), w.verdict(a, x, Out, day), w.verdict(nil, a, Out, 2*day, ax, ay),
		}, "[ax ay b* bx c* x]"},
		{"unless the root says the same", [][]Item{
			w.verdict(a, x, Out, day), w.verdict(nil, x, Out, 2*day), w.verdict(nil, a, Out, 2*day, ax, ay),
		}, "[ax ay b* bx c*]"},
		{"an admin that is no admin any more revokes nobody", [][]Item{
			w.verdict(nil, a, Ordinary, day, ax, ay), w.verdict(a, x, Out, 2*day),
		}, "[a ax ay b* bx c* x]"},
		{"it lists whom it let in", [][]Item{w.verdict(nil, a, Ordinary, day, ax)}, "[a ax b* bx c* x]"},
		{"two lists: who is on both stays", [][]Item{
			w.verdict(b, a, Out, day, ax), w.verdict(c, a, Out, 2*day, ax, ay),
		}, "[ax b* bx c* x]"},
		{"no list matters once the root has made it an admin again", [][]Item{
			w.verdict(b, a, Out, day, ax), w.verdict(nil, a, AsAdmin, 2*day),
		}, "[a* ax ay b* bx c* x]"},
		{"but those of later do", [][]Item{
			w.verdict(nil, a, AsAdmin, day), w.verdict(b, a, Out, 2*day, ax),
		}, "[ax b* bx c* x]"},
		{"a struck admin leaves and expels nobody", [][]Item{
			w.verdict(nil, a, Out, day, ax, ay), w.verdict(a, a, Out, 2*day),
		}, "[ax ay b* bx c* x]"},
		{"a node that an expelled admin let in leaves", [][]Item{
			w.verdict(nil, a, Out, day, ax), w.verdict(ay, ay, Out, 2*day),
		}, "[ax b* bx c* x]"},
		{"one sequence: who is out stays out", [][]Item{
			w.verdict(nil, x, Ordinary, day), w.verdict(a, x, Out, day),
		}, "[a* ax ay b* bx c*]"},
		{"older versions change nothing", [][]Item{
			w.verdict(a, b, Out, day), w.verdict(a, b, Out, 2*day, bx), w.verdict(nil, x, Out, day), w.verdict(nil, x, Ordinary, 2*day),
		}, "[a* ax ay bx c* x]"},
		{"certificates before their nodes", [][]Item{
			{{Kind: KindCertificate, Raw: ax.cert.raw}, {Kind: KindCertificate, Raw: x.cert.raw}}, w.verdict(nil, a, Out, day, ay),
		}, "[ay b* bx c* x]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := &world{TB: t, random: w.random, root: w.root, net: w.net, count: w.count}
			w.whatever(now, append(slices.Clone(everybody), slices.Concat(c.verdicts...)...), c.want)
		})
	}
}

func TestCertificateDatedBackIsNotBelieved(t *testing.T) {
	w := newWorld(t, 1)
	a := w.actor("a", nil, asAdmin)
	b := w.actor("b", nil, asAdmin)
	var stay []*actor
	for i := range 2*keepsAPart + 5 {
		stay = append(stay, w.actor(fmt.Sprintf("s%d", i), a, nil))
	}
	thief := w.actor("thief", a, func(c *Certificate) { c.NotBefore, c.Serial = start.Add(-day), 1 })
	parts := w.verdict(b, a, Out, day, stay...)
	if len(parts) != 3 {
		t.Fatalf("%d parts", len(parts))
	}
	now := start.Add(2 * day)
	s := w.watcher()
	_ = s.Step(now, Learn{append(items(stay...), b.item())})
	for missing := range parts {
		s := w.again(now, s)
		some := slices.Delete(slices.Clone(parts), missing, missing+1)
		_ = s.Step(now, Learn{some})
		if got := len(s.Members()); got != len(stay)+1 {
			t.Errorf("without part %d: %d members", missing, got)
		}
	}
	if err := s.Step(now, Learn{parts}); err != nil {
		t.Fatal(err)
	}
	certificate := Item{Kind: KindCertificate, Raw: thief.cert.raw}
	for name, in := range map[string]Item{"record": thief.item(), "certificate": certificate} {
		if err := s.Step(now, Learn{[]Item{in}}); !errors.Is(err, ErrIssuer) {
			t.Errorf("%s: %v", name, err)
		}
		fresh := w.again(now, s) // which has stored it, by whatever way
		_ = fresh.Step(now, Load{append(s.Stored(), in.Stored())})
		if fresh.Digest() != s.Digest() || len(fresh.Members()) != len(stay)+1 {
			t.Errorf("%s: believed when loaded", name)
		}
		body := message{Type: typeItems, Items: []Item{in}, News: true}.encode()
		if err := s.Step(now, Received{From: b.node(), Body: body}); !errors.Is(err, ErrIssuer) {
			t.Errorf("%s: received: %v", name, err)
		}
	}
	if got := len(s.Members()); got != len(stay)+1 {
		t.Errorf("%d members", got)
	}
	w.consistent(s)
}

func TestAdminStaysOutForAsLongAsItsCertificateIsValid(t *testing.T) {
	w := newWorld(t, 1)
	a := w.actor("a", nil, asAdmin)
	left := w.actor("left", nil, asAdmin)
	id := w.identity()
	s := NewSet(w.net, id, w.enrol(id, "own", asAdmin), rand.New(seeded(1)))
	other := w.actor("other", nil, asAdmin)
	for _, in := range []Input{
		Learn{items(a, left, other)}, Met{Peer: other.node()}, Learn{w.verdict(nil, a, Out, 0)}, Learn{w.verdict(left, left, Out, 0)},
	} {
		if err := s.Step(start, in); err != nil {
			t.Fatal(err)
		}
	}
	for now := start; now.Before(start.Add(AdminValidity)); now = now.Add(30 * day) {
		_ = s.Step(now, Tick{})
		for _, gone := range []*actor{a, left} {
			if err := s.Step(now, Learn{items(gone)}); !errors.Is(err, ErrRevoked) {
				t.Fatalf("%s is back after %s: %v", gone.cert.Name, now.Sub(start), err)
			}
		}
	}
	if len(s.Outs()) != 2 {
		t.Errorf("%d verdicts", len(s.Outs()))
	}
}

// Who puts an admin out may not know whose certificates it has renewed since.
func TestNodeWhoseRenewalIsVoidFallsBackOnItsEarlierCertificate(t *testing.T) {
	for _, restarts := range []bool{false, true} {
		w := newWorld(t, 1)
		a, b, x := w.actor("a", nil, asAdmin), w.actor("b", nil, asAdmin), w.actor("x", nil, nil)
		at := x.cert.IPv4
		renewed := w.issue(Authority{Network: w.net, Admin: a.id, Own: a.cert}, x.id, "x", func(c *Certificate) { c.IPv4 = at })
		s := NewSet(w.net, x.id, x.cert, rand.New(seeded(1)))
		now := start.Add(day)
		for _, in := range []Input{
			Publish{}, Learn{items(a, b)}, Tick{}, Learn{[]Item{{Kind: KindCertificate, Raw: renewed.raw}}}, Publish{},
		} {
			now = now.Add(time.Second)
			_ = s.Step(now, in)
		}
		if !s.Certificate().sameRaw(renewed.raw) || s.Record(x.node()).Certificate.Issuer != a.node() {
			t.Fatal("not renewed")
		}
		if restarts {
			s = w.again(now, s)
			_ = s.Step(now, Publish{})
		}
		void := s.Record(x.node())
		_ = s.Step(now, Learn{w.verdict(b, a, Out, day)})
		_ = s.Step(now.Add(time.Second), Tick{})
		r := s.Record(x.node())
		if !s.Certificate().sameRaw(x.cert.raw) || !r.Certificate.sameRaw(x.cert.raw) || r.Sequence <= void.Sequence {
			t.Errorf("restarts %t: its certificate is signed by %s, that of its record by %s", restarts,
				s.Certificate().Issuer, r.Certificate.Issuer)
		}
		w.consistent(s)
	}
}

func TestVerdictDatedIntoTheFutureWaits(t *testing.T) {
	w := newWorld(t, 1)
	x := w.actor("x", nil, nil)
	s := w.watcher()
	_ = s.Step(start, Learn{items(x)})
	if err := s.Step(start, Learn{w.verdict(nil, x, Out, 2*time.Hour)}); !errors.Is(err, ErrExpired) || len(s.Members()) != 1 {
		t.Errorf("two hours ahead: %v", err)
	}
	if err := s.Step(start, Learn{w.verdict(nil, x, Out, time.Hour-time.Second)}); err != nil || len(s.Members()) != 0 {
		t.Errorf("an hour ahead: %v", err)
	}
}

func TestRevokedNodeDoesNotComeBackUnderAnotherName(t *testing.T) {
	p := newParty(t, 1)
	admin := p.another("admin", asAdmin)
	x := p.actor("x", nil, nil)
	p.learn(p.set, Learn{items(x)})
	p.learn(p.set, Learn{ok(t, func() ([]Item, error) { return p.registrar.Revoke(start, x.node(), false) })})
	p.share(admin)
	if _, err := p.admits(p.invites(Offer{}), x.id, "y"); !errors.Is(err, ErrComeAnew) {
		t.Errorf("by a token: %v", err)
	}
	renamed := p.issue(Authority{Network: p.net, Admin: admin.id, Own: admin.set.cert}, x.id, "y", nil)
	err := p.set.Step(start, Learn{[]Item{{Kind: KindCertificate, Raw: renamed.raw}}})
	if !errors.Is(err, ErrRevoked) {
		t.Errorf("with a certificate of an admin: %v", err)
	}
	err = p.set.Step(start, learnRecord(p.sign(x.id, renamed, micros(start)+9, Statement{}).Raw()))
	if !errors.Is(err, ErrRevoked) {
		t.Errorf("with a record: %v", err)
	}
	if _, known := p.set.ByName("y"); known || p.set.NameOnce(x.node()) != "x" {
		t.Error("it has a name")
	}
}

func TestRootCanAlwaysPutOutAdminsThatFillTheSet(t *testing.T) {
	w := newWorld(t, 1)
	now := start.Add(day)
	s := w.watcher()
	var rogues []*actor
	for i := range 3 {
		rogues = append(rogues, w.actor(fmt.Sprintf("rogue%d", i), nil, asAdmin))
	}
	honest := w.actor("x", nil, nil)
	_ = s.Step(now, Learn{append(items(rogues...), honest.item())})
	for i := range 3 * maxAdminsVerdicts { // as they would be if they had come one by one
		by, target := rogues[i%3], wire.NodeID{byte(i), byte(i >> 8), 1}
		v := &Verdict{Target: target, Rank: Out, Sequence: micros(now), Signer: by.node(), Parts: 1, signedBy: by.cert}
		h := header{KindVerdict, v.id(), v.Sequence, nil}
		if it := (&item{header: h, mark: h.mark(), verdict: v}); s.share(start, it, nil) == nil {
			s.put(it)
		}
	}
	if got := len(s.shelves[KindVerdict].items); got != maxVerdicts {
		t.Fatalf("%d verdicts", got)
	}
	for _, rogue := range rogues {
		if err := s.Step(now, Learn{w.verdict(nil, rogue, Out, day)}); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(s.shelves[KindVerdict].items); got != 3 || len(s.shares) != 1 {
		t.Errorf("%d verdicts are left, %d shares", got, len(s.shares))
	}
	if len(s.Members()) != 1 {
		t.Errorf("%s", w.view(s))
	}
}
