package blame

import (
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"overlayd/internal/wire"
)

// play turns bytes into evidence, checks the bounds all along, and returns what came out.
func play(t *testing.T, script []byte) (all []Change) {
	l, now := New(), epoch
	for len(script) >= 6 {
		b := script[:6]
		script = script[6:]
		now = now.Add(time.Duration(b[0]) * time.Second / 8)
		e := Evidence{
			Peer: wire.NodeID{b[1] % 4}, Path: wire.PathID(b[1] / 64), Finding: Finding(b[2] % 5),
			At: now.Add(-time.Duration(b[3]) * time.Second / 16), Why: "why",
		}
		for i := range b[2] / 64 {
			e.Relays = append(e.Relays, wire.NodeID{9, (b[4] >> (2 * i)) % 4})
		}
		if b[5] == 0 {
			now = now.Add(time.Hour)
		}
		_ = l.Step(now, e)
		all = l.Drain(all)
		check(t, l, now)
	}
	return all
}

func check(t *testing.T, l *Ledger, now time.Time) {
	for _, a := range l.Accounts(now) {
		if a.Blame < 0 || a.Blame > ceiling || a.Offences < 0 || a.Until.Sub(now) > longestQuarantine {
			t.Fatalf("%+v", a)
		}
		until, _, ok := l.Quarantined(now, a.Relay, a.Peer)
		if now.Before(a.Until) && (!ok || until.Before(a.Until)) || ok && !until.After(now) {
			t.Fatalf("%+v: quarantined %v until %v", a, ok, until)
		}
	}
	if at, some := l.NextDeadline(); some && !at.After(now) {
		t.Fatalf("a deadline that has passed: %v", at.Sub(now))
	}
}

func FuzzStep(f *testing.F) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		b := make([]byte, 600)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if x, y := play(t, b), play(t, b); !reflect.DeepEqual(x, y) {
			t.Fatal("two runs of the same evidence differ")
		}
	})
}
