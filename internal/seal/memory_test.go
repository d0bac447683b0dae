package seal

import (
	"testing"

	"overlayd/internal/wire"
)

func TestBoxesThatShareAMemoryDeriveWhatOthersDo(t *testing.T) {
	a, b, c := newParty(t, 1), newParty(t, 2), newParty(t, 3)
	m := NewMemory()
	boxA, boxB, boxC := a.start(t, 10, b, c), b.start(t, 20, a, c), c.start(t, 30, a, b)
	boxA.Share(m)
	boxB.Share(m)
	for _, pair := range []struct{ from, to *Box }{{boxA, boxB}, {boxB, boxA}, {boxA, boxC}, {boxC, boxB}} {
		raw, err := pair.from.Seal(nil, pair.to.self, wire.KindPing, []byte("ping"))
		if err != nil {
			t.Fatal(err)
		}
		if frame, err := pair.to.Open(raw); err != nil || string(frame.Body) != "ping" || frame.From != pair.from.self {
			t.Errorf("%v, %v", frame, err)
		}
	}
	if len(m.keys) != 6 {
		t.Errorf("%d keys are remembered, want two for each of three pairs", len(m.keys))
	}
}
