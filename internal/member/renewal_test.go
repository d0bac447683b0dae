package member

import (
	"testing"
	"time"
)

// sleep lets days pass in which nodes exchange what they have once a day, as if they slept in between.
func (l *life) sleep(days int) {
	l.Helper()
	for range days {
		l.now = l.now.Add(day)
		for _, n := range l.nodes {
			if !n.down {
				l.step(n, Tick{})
				l.enact(n, n.registrar.Attend(l.local(n), n.since), nil)
			}
		}
		l.run(1500 * time.Millisecond)
	}
}

// gossips makes a life whose admins only attend when it sleeps, and whose nodes reach their two neighbours alone: what an
// admin signs comes by way of others.
func gossips(t *testing.T, seed uint64, nodes, admins int) *life {
	l := newLife(t, seed, nodes, admins)
	l.resting, l.strict, l.loss = true, false, 0
	l.run(5 * time.Second)
	l.settle(time.Minute)
	for _, a := range l.nodes {
		for _, b := range l.nodes {
			if d := (a.n - b.n + nodes) % nodes; d > 1 && d < nodes-1 {
				l.step(a, Lost{b.id.ID()})
			}
		}
	}
	return l
}

func TestNobodyExpiresInTenYears(t *testing.T) {
	l := gossips(t, 4, 9, 3)
	gone := l.nodes[4]
	most, forgotten, signedFor := 0, time.Duration(0), make(map[string]int)
	for month := range 10 * 12 {
		if month == 6 {
			gone.down = true
		}
		away := l.nodes[6+month%3]
		away.down = month%4 == 1 // for 30 days
		l.sleep(30)
		away.down = false
		l.run(2 * time.Second)
		root := l.nodes[0].set
		for _, n := range l.nodes {
			c := root.certificate(n.id.ID())
			if n == gone && month >= 6 {
				if c == nil && forgotten == 0 {
					forgotten = time.Duration(month-6) * 30 * day
				}
				continue
			}
			if c == nil || !c.ValidAt(l.now) || c.NotAfter.Sub(l.now) < 20*day && n != away {
				t.Fatalf("month %d: node %d expires", month, n.n)
			}
			signedFor[c.Issuer.Short()]++
			if c.Capabilities.Has(Admin) && !c.Issuer.IsZero() {
				t.Fatalf("the certificate of admin %d is not signed by the root", n.n)
			}
		}
		most = max(most, len(root.Stored()))
	}
	for _, n := range l.nodes {
		if _, known := n.set.Get(gone.id.ID()); known && n != gone {
			t.Errorf("node %d has not forgotten who never came back", n.n)
		}
	}
	t.Logf("at most %d items of %d nodes; who never came back was forgotten after %s; certificates a month by signer: %v",
		most, len(l.nodes), forgotten, signedFor)
	if most > 2*len(l.nodes)+1 || forgotten == 0 || forgotten > Validity+Lapse+60*day {
		t.Errorf("at most %d items; forgotten after %s", most, forgotten)
	}
}

func TestNodeThatWasAwayForAMonthIsRenewed(t *testing.T) {
	l := gossips(t, 5, 8, 3)
	l.sleep(25) // its certificate is valid for 65 days more, and nobody renews it yet
	away := l.nodes[5]
	before := away.set.Certificate()
	away.down = true
	l.sleep(31)
	away.down = false
	l.sleep(3)
	if c := away.set.Certificate(); c.NotAfter.Sub(l.now) < Validity-5*day || c.Serial <= before.Serial {
		t.Errorf("valid until %s, at %s", c.NotAfter, l.now)
	}
}

func TestOrdinaryNodesAreRenewedByAdminsWhileTheRootIsAway(t *testing.T) {
	l := gossips(t, 6, 8, 3)
	l.nodes[0].down = true
	l.sleep(100)
	for _, n := range l.nodes[3:] {
		if c := n.set.Certificate(); c.Issuer.IsZero() || c.NotAfter.Sub(l.now) < RenewBefore-2*day {
			t.Errorf("node %d: signed by %s, valid for %s", n.n, c.Issuer.Short(), c.NotAfter.Sub(l.now))
		}
	}
}
