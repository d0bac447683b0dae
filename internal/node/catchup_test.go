package node

import (
	"testing"
	"time"

	"overlayd/internal/wire"
)

func TestNobodyIsTrustedOnItsOwnWordAtFirst(t *testing.T) {
	a, b := wire.NodeID{1}, wire.NodeID{2}
	k := &catchup{}
	if !k.holds(a) || !k.holds(b) {
		t.Fatal("a session is taken before anything was compared")
	}
	k.meets(epoch0)
	k.compared(a, 5)
	if !k.holds(a) || k.holds(b) {
		t.Error("after comparing with a, b may have a session and a may not")
	}
	k.compared(a, 5)
	if !k.holds(a) {
		t.Error("a vouches for itself")
	}
	k.compared(b, 5)
	if k.holds(a) || k.holds(b) {
		t.Error("two have been compared with, and one is held back")
	}
}

func TestWhereThereIsNoSecondWordNobodyWaitsForIt(t *testing.T) {
	a := wire.NodeID{1}
	k := &catchup{}
	k.meets(epoch0)
	k.compared(a, 1)
	if k.holds(a) {
		t.Error("the only other member is held back")
	}
	k = &catchup{}
	k.meets(epoch0)
	k.compared(a, 2)
	if k.tick(epoch0.Add(catchupFor - 1)); !k.holds(a) {
		t.Error("not held back until the time is over")
	}
	if k.tick(epoch0.Add(catchupFor)); k.holds(a) {
		t.Error("held back for ever, since nobody else is to be reached")
	}
}

func TestANodeThatWasAloneCatchesUpAnew(t *testing.T) {
	a, b := wire.NodeID{1}, wire.NodeID{2}
	k := &catchup{}
	k.meets(epoch0)
	k.compared(a, 5)
	k.compared(b, 5)
	k.loses(epoch0.Add(time.Minute))
	if k.meets(epoch0.Add(time.Minute + aloneFor - 1)); k.holds(a) {
		t.Error("held back after a short silence")
	}
	k.loses(epoch0.Add(2 * time.Minute))
	if k.meets(epoch0.Add(2*time.Minute + aloneFor)); !k.holds(a) || !k.holds(b) {
		t.Error("a node that was alone believes what it knew before")
	}
}

func TestPicksGrowWithTheRootOfTheNetwork(t *testing.T) {
	for others, want := range map[int]int{0: 0, 1: 1, 16: 16, 17: 16, 49: 16, 99: 16, 299: 26, 999: 48, 4095: 96} {
		if got := picksOf(others); got != want {
			t.Errorf("of %d others %d are picked, want %d", others, got, want)
		}
	}
}
