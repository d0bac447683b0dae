package hostile

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"overlayd/internal/node"
	"overlayd/internal/wire"
)

func TestBogusCircuitsGoWithProbes(t *testing.T) {
	self, other := wire.NodeID{1}, wire.NodeID{2}
	everybody := []wire.NodeID{self, other, {3}}
	random := rand.New(rand.NewPCG(1, 1))
	speak := OpensCircuits(self, 3, func() wire.NodeID { return everybody[random.IntN(len(everybody))] }, random)
	if said := speak(other, node.Message{Kind: wire.KindCircuitClose}); len(said) != 0 {
		t.Errorf("a circuit is closed: %v", said)
	}
	if said := speak(other, node.Message{Kind: wire.KindHello}); len(said) != 1 || said[0].Kind != wire.KindHello {
		t.Errorf("in place of a message that is no probe: %v", said)
	}
	named := make(map[wire.NodeID]bool)
	for range 50 {
		said := speak(other, node.Message{Kind: wire.KindPing})
		if len(said) != 4 || said[0].Kind != wire.KindPing {
			t.Fatalf("with a probe: %v", said)
		}
		for _, m := range said[1:] {
			o, err := wire.ParseCircuitOpen(m.Body)
			if m.Kind != wire.KindCircuitOpen || err != nil {
				t.Fatalf("%v: %v", m.Kind, err)
			}
			named[o.Opener] = true
		}
	}
	if len(named) != len(everybody) {
		t.Errorf("circuits are opened in the names of %d", len(named))
	}
}

func TestAMemberSaysThatItIsElsewhere(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	victim := netip.MustParseAddr("198.51.100.7")
	where := Elsewhere([]netip.Addr{victim}, random)
	if len(where) != silentPorts+1 || where[silentPorts].Addr() != victim {
		t.Fatalf("%d addresses, the last %v", len(where), where[len(where)-1])
	}
	speak := Points(where, random)
	lists := 0
	for range 400 {
		said := speak(wire.NodeID{2}, node.Message{Kind: wire.KindPong})
		if said[0].Kind != wire.KindPong {
			t.Fatalf("in place of a probe: %v", said)
		}
		for _, m := range said[1:] {
			e, err := wire.ParseEndpoints(m.Body)
			if err != nil || !e.Punch || len(e.List) != wire.MaxEndpoints {
				t.Fatalf("%+v: %v", e, err)
			}
			for _, addr := range e.List {
				if !slices.Contains(where, addr) {
					t.Errorf("it names %v", addr)
				}
			}
			lists++
		}
	}
	if lists < 60 || lists > 140 {
		t.Errorf("%d lists with 400 probes", lists)
	}
}
