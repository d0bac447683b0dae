package node

import (
	"testing"
	"time"

	"overlayd/internal/circuit"
	"overlayd/internal/wire"
)

// claimed lists the contacts that rest on a neighbour's word.
func (k *crowd) claimed() (n int) {
	for _, p := range k.core.peers {
		if !p.claims.IsZero() {
			n++
		}
	}
	return n
}

// opens lets a neighbour say that a member has opened a circuit over it to us.
func (k *crowd) opens(neighbour, opener *other, id uint64) {
	k.Helper()
	self := k.core.self
	check(k, k.core.circuits.Step(k.now, circuit.Reachable{ID: neighbour.id.ID(), Direct: true}))
	check(k, k.core.circuits.Step(k.now, circuit.Received{From: neighbour.id.ID(), Message: wire.CircuitOpen{
		ID: wire.CircuitID(id), Opener: opener.id.ID(), Route: []wire.NodeID{neighbour.id.ID(), self}, Hop: 1,
		Label: wire.Label(1000 + id),
	}}))
	check(k, k.core.Step(k.now, Tick{}))
}

// strangers are members that are no contacts.
func (k *crowd) strangers() (list []*other) {
	for _, o := range k.others {
		if k.core.peers[o.id.ID()] == nil {
			list = append(list, o)
		}
	}
	return list
}

// neighbours are members that are contacts.
func (k *crowd) neighbours() (list []*other) {
	for _, o := range k.others {
		if k.core.peers[o.id.ID()] != nil {
			list = append(list, o)
		}
	}
	return list
}

func TestAStrangerThatOpensACircuitBecomesAContact(t *testing.T) {
	k := newCrowd(t, 200, CoreConfig{}, nil)
	neighbour, stranger := k.neighbours()[0], k.strangers()[0]
	k.opens(neighbour, stranger, 1)
	p := k.core.peers[stranger.id.ID()]
	if p == nil || p.claims != neighbour.id.ID() {
		t.Fatalf("%+v", p)
	}
	if _, circuits := p.count(); circuits != 1 {
		t.Errorf("%d circuits", circuits)
	}
}

func TestANeighbourThatMakesOpenersUpUsesUpItsOwnShare(t *testing.T) {
	k := newCrowd(t, 400, CoreConfig{}, nil)
	liar, honest := k.neighbours()[0], k.neighbours()[1]
	before := len(k.core.peers)
	strangers := k.strangers()
	for i, o := range strangers[:100] {
		k.opens(liar, o, uint64(i+1))
	}
	if n := k.claimed(); n != claimsEach {
		t.Errorf("%d contacts on the word of one neighbour, want %d", n, claimsEach)
	}
	k.opens(honest, strangers[150], 1000)
	if k.core.peers[strangers[150].id.ID()] == nil {
		t.Error("an honest neighbour is not heard")
	}
	k.run(2 * claimFor)
	k.opens(liar, strangers[200], 2000) // a claim that nobody has proven makes room
	if k.core.peers[strangers[200].id.ID()] == nil || k.claimed() > claimsEach+1 {
		t.Errorf("%d claims", k.claimed())
	}
	k.run(2*guestSilence + time.Minute)
	if n := k.claimed(); n != 0 {
		t.Errorf("%d claims of %d contacts are left, there were %d before", n, len(k.core.peers), before)
	}
}
