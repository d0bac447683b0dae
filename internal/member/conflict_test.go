package member

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"overlayd/internal/wire"
)

func TestConflictsOfTwoSidesEndTheSameEverywhereAndAreMended(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			l := newLife(t, seed, 16, 6)
			l.run(5 * time.Second)
			l.cut(func(n *simNode) int { return n.n % 2 })
			l.run(5 * time.Second)
			addr := netip.MustParseAddr("10.71.200.9")
			for side := range 2 { // everything on both sides, whose numbers tell where they come
				admin := l.nodes[2+side]
				for i := range 4 {
					if len(l.nodes)%2 != side {
						l.bring(l.nodes[3-side], func(*Certificate) {})
					}
					l.bring(admin, func(c *Certificate) {
						if i == 3 {
							c.Token, c.Uses = TokenID{7}, 1
							return
						}
						c.Name, c.IPv4 = "boston", addr
					})
				}
			}
			l.run(20 * time.Second)
			l.conflicts = 0
			l.resting = true
			l.settle(5 * time.Minute)
			l.everybodySays()
			root := l.nodes[0].set
			var names, addrs, tokens int
			for _, c := range root.Conflicts() {
				switch {
				case c.Name != "":
					names++
				case c.IPv4.IsValid():
					addrs++
				case !c.Token.IsZero():
					tokens++
				}
			}
			if names != 5 || addrs != 5 || tokens != 1 || l.conflicts < names+addrs+tokens {
				t.Errorf("%d names, %d addresses, %d tokens, %d reported", names, addrs, tokens, l.conflicts)
			}
			l.resting = false
			l.run(30 * time.Minute) // as many as the admins need if all but one wait
			l.settle(5 * time.Minute)
			l.everybodySays()
			for _, c := range root.Conflicts() {
				if c.Name != "" || c.IPv4.IsValid() {
					t.Errorf("not mended: %+v", c)
				}
			}
			barred := 0
			for _, m := range root.Members() {
				if m.Barred {
					barred++
				}
				if m.Name == "" || !m.IPv4.IsValid() {
					t.Errorf("%s has no name or address", m.ID)
				}
			}
			if barred != 1 {
				t.Errorf("%d are barred", barred)
			}
			before := root.Digest()
			l.run(time.Hour)
			if root.Digest() != before {
				t.Error("the admins go on signing")
			}
		})
	}
}

// Two nodes run with copies of one WireGuard key, and signing keys of their own.
func TestCopyOfAKeyIsBarredEverywhere(t *testing.T) {
	w := newWorld(t, 1)
	original := w.actor("original", nil, nil)
	private, _ := original.id.PrivateKeys()
	_, seed := w.identity().PrivateKeys()
	id := IdentityFromKeys(private, seed)
	c := w.enrol(id, "copy", func(c *Certificate) { c.NotBefore = start.Add(time.Minute) })
	copied := &actor{id: id, cert: c, record: w.sign(id, c, 1, Statement{})}
	for _, list := range [][]*actor{{original, copied}, {copied, original}} {
		s := w.watcher()
		for _, a := range list {
			if err := s.Step(start, Learn{items(a)}); err != nil {
				t.Fatal(err)
			}
		}
		m, _ := s.Get(copied.node())
		o, _ := s.Get(original.node())
		if owner, _ := s.ByKey(original.cert.WireGuard); !m.Barred || o.Barred || owner != original.node() {
			t.Errorf("the copy is barred: %t, the original: %t", m.Barred, o.Barred)
		}
		if got := s.Conflicts(); len(got) != 1 || !got[0].Key || got[0].Loser != copied.node() {
			t.Errorf("%+v", got)
		}
		w.consistent(s)
	}
}

func TestOneRoundOfAttendingMendsAllThatLostOneAddress(t *testing.T) {
	p := newParty(t, 1)
	for i := range 4 {
		a := p.actor("boston", nil, func(c *Certificate) {
			c.IPv4, c.NotBefore = netip.MustParseAddr("10.71.9.9"), start.Add(time.Duration(i)*time.Second)
		})
		p.learn(p.set, Learn{items(a)})
	}
	p.learn(p.set, Learn{p.registrar.Attend(start.Add(time.Minute), make(map[wire.NodeID]time.Time))})
	if left := p.set.Conflicts(); len(left) != 0 {
		t.Errorf("%d conflicts are left: %+v", len(left), left)
	}
}
