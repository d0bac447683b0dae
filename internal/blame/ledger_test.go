package blame

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"overlayd/internal/wire"
)

var (
	epoch                    = time.Unix(1_800_000_000, 0)
	cambridge, salem, lowell = wire.NodeID{1}, wire.NodeID{2}, wire.NodeID{3}
	boston, worcester        = wire.NodeID{11}, wire.NodeID{12}
)

// rig feeds a ledger with evidence every second.
type rig struct {
	t   *testing.T
	l   *Ledger
	now time.Time
}

func newRig(t *testing.T) *rig { return &rig{t, New(), epoch} }

type path struct {
	peer   wire.NodeID
	number wire.PathID
	relays []wire.NodeID
}

func via(peer wire.NodeID, relays ...wire.NodeID) path {
	number := wire.PathID(7)
	for _, r := range relays {
		number = 31*number + wire.PathID(r[0])
	}
	return path{peer, number, relays}
}

// see gives a finding on paths for some seconds.
func (r *rig) see(f Finding, seconds int, paths ...path) {
	r.t.Helper()
	for range seconds {
		r.now = r.now.Add(time.Second)
		for _, p := range paths {
			r.step(f, p)
		}
	}
}

func (r *rig) step(f Finding, p path) {
	r.t.Helper()
	e := Evidence{Peer: p.peer, Path: p.number, Relays: p.relays, Finding: f, At: r.now, Why: "it loses data"}
	if err := r.l.Step(r.now, e); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) want(relay, peer wire.NodeID, quarantined bool) {
	r.t.Helper()
	until, why, got := r.l.Quarantined(r.now, relay, peer)
	if got != quarantined || got != (why != "") || got != until.After(r.now) {
		r.t.Errorf("after %v: relay %d is quarantined: %v until %v (%q), want %v", r.now.Sub(epoch), relay[0], got,
			until.Sub(epoch), why, quarantined)
	}
}

func (r *rig) blame(relay, peer wire.NodeID) float64 {
	for _, a := range r.l.Accounts(r.now) {
		if a.Relay == relay && a.Peer == peer {
			return a.Blame
		}
	}
	return 0
}

func TestWhoIsQuarantined(t *testing.T) {
	one, both := via(boston, cambridge), via(boston, cambridge, salem)
	for _, c := range []struct {
		name      string
		run       func(r *rig)
		cambridge bool
		salem     bool
	}{
		{"nobody for nothing", func(r *rig) { r.see(Nothing, 100, one) }, false, false},
		{"nobody for clean data", func(r *rig) { r.see(Clean, 100, one) }, false, false},
		{"nobody for a direct path", func(r *rig) { r.see(Dropped, 100, via(boston)) }, false, false},
		{"the only relay, at once", func(r *rig) { r.see(Dropped, 1, one) }, true, false},
		{"for delay as well", func(r *rig) { r.see(Delayed, 1, one) }, true, false},
		{"neither of two", func(r *rig) { r.see(Dropped, 100, both) }, false, false},
		{"the one that does not deliver elsewhere", func(r *rig) {
			r.see(Clean, 5, via(worcester, salem))
			r.see(Dropped, 2, both)
		}, true, false},
		{"neither, if both deliver elsewhere", func(r *rig) {
			r.see(Clean, 5, via(worcester, salem), via(worcester, cambridge))
			r.see(Dropped, 50, both)
		}, false, false},
		{"nobody is cleared by what was long ago", func(r *rig) {
			r.see(Clean, 5, via(worcester, salem))
			r.now = r.now.Add(clearedFor)
			r.see(Dropped, 50, both)
		}, false, false},
		{"the one that two bad paths have in common", func(r *rig) {
			r.see(Dropped, 10, both)
			r.see(Dropped, 10, via(boston, cambridge, lowell))
		}, true, false},
		{"the one that is left when the other delivers", func(r *rig) {
			r.see(Dropped, 10, both)
			r.see(Clean, 10, via(boston, salem))
			r.see(Dropped, 3, both)
		}, true, false},
		{"the guilty one of a path and of its own", func(r *rig) {
			r.see(Dropped, 3, both)
			r.see(Dropped, 1, one)
		}, true, false},
		{"a relay that is named twice is one", func(r *rig) { r.see(Dropped, 1, via(boston, cambridge, cambridge)) }, true, false},
		{"one that drops for one peer only", func(r *rig) {
			for range 5 {
				r.see(Clean, 1, via(worcester, cambridge))
				r.step(Dropped, one)
			}
		}, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			c.run(r)
			r.want(cambridge, boston, c.cambridge)
			r.want(salem, boston, c.salem)
			r.want(cambridge, worcester, false)
		})
	}
}

func TestOnePeersWordCountsForItselfAndThatOfTwoAsksForProof(t *testing.T) {
	r := newRig(t)
	reported := func(peer wire.NodeID, want bool) {
		t.Helper()
		since, why, got := r.l.Reported(r.now, cambridge, peer)
		if got != want || want && (why == "" || !since.Equal(r.now)) {
			t.Errorf("on the way to %d: reported %v since %v (%q), want %v", peer[0], got, since, why, want)
		}
	}
	r.see(Dropped, 1, via(boston, cambridge))
	r.want(cambridge, boston, true)
	r.want(cambridge, lowell, false)
	reported(lowell, false)
	r.now = r.now.Add(time.Minute)
	r.see(Dropped, 1, via(worcester, cambridge))
	r.want(cambridge, lowell, false)
	reported(lowell, true)
	reported(boston, false) // one other
	r.now = r.now.Add(firstQuarantine - time.Minute)
	reported(lowell, false)
	r.want(cambridge, worcester, true)
}

func TestQuarantinesGrowToAnHourAndAreForgiven(t *testing.T) {
	r := newRig(t)
	bad := via(boston, cambridge)
	begin := func() time.Duration {
		r.see(Dropped, 1, bad)
		until, _, _ := r.l.Quarantined(r.now, cambridge, boston)
		r.l.Drain(nil)
		length := until.Sub(r.now)
		r.now = until
		return length
	}
	for i, want := range []time.Duration{2, 4, 8, 16, 32, 60, 60} {
		if got := begin(); got != want*time.Minute {
			t.Errorf("quarantine %d lasts %v, want %v min", i, got, int(want))
		}
		r.want(cambridge, boston, false)
	}
	r.now = r.now.Add(2*time.Hour - time.Minute)
	if got := begin(); got != time.Hour {
		t.Errorf("an hour after its probation it lasts %v", got)
	}
	r.now = r.now.Add(2*time.Hour + time.Minute)
	if got := begin(); got != firstQuarantine {
		t.Errorf("long after its probation it lasts %v", got)
	}
}

func TestProbationIsStricter(t *testing.T) {
	r := newRig(t)
	both := via(boston, cambridge, salem)
	r.see(Clean, 3, via(worcester, salem))
	r.see(Dropped, 1, both) // 0.9 s of blame
	r.want(cambridge, boston, false)
	r.see(Dropped, 1, both)
	r.want(cambridge, boston, true)
	r.now = r.now.Add(firstQuarantine)
	r.see(Clean, 3, via(worcester, salem))
	r.see(Dropped, 1, both)
	r.want(cambridge, boston, true)
}

func TestBlameDecaysAndCleanDataLowersIt(t *testing.T) {
	r := newRig(t)
	both := via(boston, cambridge, salem)
	r.see(Dropped, 8, both)
	start := r.blame(cambridge, boston)
	if math.Abs(start-4) > .1 {
		t.Fatalf("8 s of two give %v", start)
	}
	r.now = r.now.Add(halfLife)
	if got := r.blame(cambridge, boston); math.Abs(got-start/2) > .01 {
		t.Errorf("after a half-life %v of %v are left", got, start)
	}
	r.step(Clean, via(boston, salem))
	r.see(Clean, 20, via(boston, salem))
	if got := r.blame(salem, boston); got > start/2/2.5 || got < start/2/3.5 {
		t.Errorf("after 20 s of clean data %v of %v are left", got, start/2)
	}
	r.see(Dropped, 1000, both)
	if got := r.blame(cambridge, boston); got > ceiling {
		t.Errorf("%v is above the ceiling", got)
	}
}

func TestOnlyNewDataCounts(t *testing.T) {
	r := newRig(t)
	both := via(boston, cambridge, salem)
	r.see(Dropped, 1, both)
	first := r.blame(cambridge, boston)
	e := Evidence{Peer: both.peer, Path: both.number, Relays: both.relays, Finding: Dropped, At: r.now}
	for range 50 {
		r.now = r.now.Add(time.Millisecond)
		if err := r.l.Step(r.now, e); err != nil {
			t.Fatal(err)
		}
	}
	if got := r.blame(cambridge, boston); got > first {
		t.Errorf("the same evidence over again makes %v of %v", got, first)
	}
	r.now = r.now.Add(time.Minute)
	r.see(Dropped, 1, both)
	if got := r.blame(cambridge, boston); got > first+longestStep.Seconds()/2 {
		t.Errorf("a minute between two pieces of evidence makes %v of %v", got, first)
	}
}

func TestChangesAreTold(t *testing.T) {
	r := newRig(t)
	if _, some := r.l.NextDeadline(); some {
		t.Error("a deadline of nothing")
	}
	r.see(Dropped, 3, via(boston, cambridge))
	got := r.l.Drain(nil)
	end := epoch.Add(time.Second + firstQuarantine)
	if len(got) != 1 || got[0].Relay != cambridge || got[0].Peer != boston || !got[0].Until.Equal(end) ||
		got[0].Offence != 1 || got[0].Why == "" {
		t.Fatalf("%+v", got)
	}
	if at, some := r.l.NextDeadline(); !some || !at.Equal(end) {
		t.Errorf("deadline %v, %v", at, some)
	}
	r.l.Tick(end.Add(-1))
	if got := r.l.Drain(nil); len(got) != 0 {
		t.Errorf("too early: %+v", got)
	}
	r.l.Tick(end)
	if got := r.l.Drain(nil); len(got) != 1 || !got[0].Until.IsZero() {
		t.Errorf("%+v", got)
	}
	if _, some := r.l.NextDeadline(); some {
		t.Error("a deadline after the end")
	}
}

func TestInputThatMakesNoSense(t *testing.T) {
	l := New()
	for _, e := range []Evidence{
		{Peer: boston, Relays: []wire.NodeID{salem}, Finding: Dropped},
		{Peer: boston, Relays: []wire.NodeID{salem}, Finding: findings, At: epoch},
	} {
		if err := l.Step(epoch, e); !errors.Is(err, ErrInput) {
			t.Errorf("%+v: %v", e, err)
		}
	}
}

func TestLedgerIsBoundedAndKeepsTheWorst(t *testing.T) {
	r := newRig(t)
	r.see(Dropped, 1, via(boston, cambridge))
	for i := range 3000 {
		r.now = r.now.Add(time.Millisecond)
		other := wire.NodeID{9, byte(i), byte(i >> 8)}
		p := via(wire.NodeID{8, byte(i), byte(i >> 8)}, other, salem)
		p.number = wire.PathID(i)
		r.step([]Finding{Dropped, Clean}[i%2], p)
	}
	if len(r.l.accounts) > maxAccounts || len(r.l.paths) > maxPaths || len(r.l.clean) > maxRelays {
		t.Errorf("%d accounts, %d paths, %d relays", len(r.l.accounts), len(r.l.paths), len(r.l.clean))
	}
	r.want(cambridge, boston, true)
}

func ExampleLedger() {
	l, now := New(), time.Unix(1_800_000_000, 0)
	_ = l.Step(now, Evidence{
		Peer: wire.NodeID{11}, Path: 1, Relays: []wire.NodeID{{1}}, Finding: Dropped, At: now,
		Why: "data is dropped while probes pass",
	})
	until, why, quarantined := l.Quarantined(now, wire.NodeID{1}, wire.NodeID{11})
	fmt.Println(quarantined, until.Sub(now), why)
	// Output: true 2m0s data is dropped while probes pass
}
