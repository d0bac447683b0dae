package seal

import (
	"bytes"
	"testing"

	"overlayd/internal/wire"
)

func TestTheScreenTellsWhoSealedAFrame(t *testing.T) {
	pa, pb, pc := newParty(t, 1), newParty(t, 2), newParty(t, 3)
	a, b, c := pa.start(t, 10, pb, pc), pb.start(t, 20, pa, pc), pc.start(t, 30, pa, pb)
	screen := b.Screen()
	scratch := make([]byte, wire.MaxControlLen)
	frame := mustSeal(t, a, pb, "ping")
	if _, ok := screen.Sender(frame, scratch); ok {
		t.Error("known before the key was derived")
	}
	if _, err := b.Open(frame); err != nil {
		t.Fatal(err)
	}
	copied := bytes.Clone(frame)
	if id, ok := screen.Sender(frame, scratch); !ok || id != pa.id || !bytes.Equal(frame, copied) {
		t.Errorf("sealed by %v, %t", id, ok)
	}
	for i := range frame {
		forged := bytes.Clone(frame)
		forged[i] ^= 1
		if id, ok := screen.Sender(forged, scratch); ok {
			t.Fatalf("with another byte %d it is by %v", i, id)
		}
	}
	if _, ok := screen.Sender(mustSeal(t, a, pc, "ping"), scratch); ok {
		t.Error("a frame for another node")
	}
	if _, ok := screen.Sender(mustSeal(t, c, pb, "ping"), scratch); ok {
		t.Error("known before the key was derived")
	}
	later := mustSeal(t, b, pc, "ping") // derives it
	if id, ok := screen.Sender(mustSeal(t, c, pb, "ping"), scratch); !ok || id != pc.id || len(later) == 0 {
		t.Errorf("sealed by %v, %t", id, ok)
	}
	if n := testing.AllocsPerRun(100, func() { screen.Sender(frame, scratch) }); n > 2 {
		t.Errorf("%v allocations", n)
	}
	b.RemovePeer(pa.id)
	if _, ok := screen.Sender(frame, scratch); ok {
		t.Error("a node that was removed")
	}
	for n := range frame {
		if _, ok := screen.Sender(frame[:n], scratch); ok {
			t.Fatalf("%d bytes of a frame", n)
		}
	}
}
