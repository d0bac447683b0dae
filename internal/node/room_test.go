package node

import (
	"testing"
	"time"

	"overlayd/internal/circuit"
	"overlayd/internal/wire"
)

// by counts the circuits to a peer by their first hop.
func (p *peer) by(hop *other) (n int) {
	for _, q := range p.paths {
		if !q.direct() && q.firstHop == hop.id.ID() {
			n++
		}
	}
	return n
}

// through lets a member send a ping on its circuit by a neighbour.
func (k *crowd) through(opener, neighbour *other) {
	k.Helper()
	for _, q := range k.core.peers[opener.id.ID()].sorted() {
		if q.direct() || q.firstHop != neighbour.id.ID() {
			continue
		}
		frame, err := opener.box.Seal(nil, k.core.self, wire.KindPing, (&wire.Ping{Path: 7, Seq: 1}).Append(nil))
		check(k, err)
		check(k, k.core.Step(k.now, Datagram{
			Class: wire.ClassControl, Data: frame, From: neighbour.address, Path: q.fwd, At: k.now,
		}))
		k.core.Drain(nil)
	}
}

// squatted is a core with a victim, to which liars say ten times a second that circuits were opened over them.
func squatted(t *testing.T, liars int) (k *crowd, victim, honest *other, squat func()) {
	k = newCrowd(t, 8, CoreConfig{}, nil)
	for _, o := range k.others {
		k.visits(o)
	}
	victim, honest = k.others[6], k.others[7]
	id := uint64(1)
	return k, victim, honest, func() {
		for _, liar := range k.others[:liars] {
			k.opens(liar, victim, id)
			id++
		}
		k.run(100 * time.Millisecond)
	}
}

func TestRelaysThatMakeOpenersUpKeepNobodyOut(t *testing.T) {
	for _, liars := range []int{1, 3, 6} {
		k, victim, honest, squat := squatted(t, liars)
		p := k.core.peers[victim.id.ID()]
		refused, id := 0, uint64(1_000_000)
		for range 120 {
			for range 10 {
				squat()
			}
			k.opens(honest, victim, id)
			id++
			if p.by(honest) == 0 {
				refused++
				continue
			}
			k.through(victim, honest)
			squat()
			if p.by(honest) == 0 {
				t.Fatal("a circuit that its opener uses makes room for one that nobody does")
			}
			for _, q := range p.sorted() { // the opener closes it again
				if !q.direct() && q.firstHop == honest.id.ID() {
					k.core.closeCircuit(k.now, p, q)
				}
			}
		}
		if refused > 0 {
			t.Errorf("%d liars: %d of 120 circuits by an honest relay are refused", liars, refused)
		}
		for _, liar := range k.others[:liars] {
			if n := p.by(liar); n > unprovenEach {
				t.Errorf("%d liars: %d circuits by one of them", liars, n)
			}
		}
		k.run(unprovenFor + 2*sweepEvery)
		if _, n := p.count(); n != 0 {
			t.Errorf("%d liars: %d circuits are left though nobody uses them", liars, n)
		}
	}
}

func TestCircuitsThatNobodyUsesMakeRoomForOurOwn(t *testing.T) {
	k, victim, honest, squat := squatted(t, 6)
	p := k.core.peers[victim.id.ID()]
	for range 10 {
		squat()
	}
	if _, n := p.count(); n != maxCircuits {
		t.Fatalf("%d circuits", n)
	}
	const own = wantedCircuits + 1
	for i := range own {
		k.core.circuitOpened(k.now, circuit.Opened{
			ID: wire.CircuitID(5_000_000 + i), Peer: p.id, Via: []wire.NodeID{honest.id.ID()}, FirstHop: honest.id.ID(),
			SendLabel: 1, ReceiveLabel: wire.Label(9000 + i), Initiator: true,
		})
		squat()
	}
	if n := p.by(honest); n != own {
		t.Errorf("%d circuits of this node, want %d", n, own)
	}
}
