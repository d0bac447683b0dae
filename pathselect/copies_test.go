package pathselect

import (
	"math/rand/v2"
	"testing"
	"time"

	"overlayd/internal/wire"
)

func (r *rig) wantCopies(usual, bulk, interactive, critical wire.PathID) {
	r.t.Helper()
	want := [wire.TrafficClasses]wire.PathID{usual, bulk, interactive, critical}
	if got := r.s.Current().Copies; got != want {
		r.t.Errorf("at %v copies go to %v, want %v", r.now, got, want)
	}
}

func TestCopiesOfEachClass(t *testing.T) {
	direct, near, far := path(1, 40*ms), path(2, 50*ms, cambridge), path(3, 90*ms, francisco)
	r := newRig(t, direct, near, far)
	r.run(time.Second)
	r.wantCopies(0, 0, 0, 2)
	r.set(direct, Suspect, "no answer")
	r.wantCopies(2, 0, 2, 2)
	r.set(direct, Up, "answered")
	r.wantCopies(0, 0, 0, 2)
	r.step(Update{Paths: []Path{*direct, *near, *far}, Trouble: true})
	r.wantCopies(0, 0, 2, 2)
	r.run(12 * time.Second)
	r.wantCopies(0, 0, 0, 2)
}

// Where what is sent on the standby has not arrived either, copies go over a path of which nothing is known yet.
func TestCopiesLeaveAStandbyOnWhichDataIsMissing(t *testing.T) {
	selected, standby, other := path(1, 40*ms), path(2, 42*ms), path(3, 90*ms, cambridge)
	r := newRig(t, selected, standby)
	r.run(time.Second)
	selected.Doubtful = true
	r.update()
	r.wantCopies(2, 0, 2, 2)
	r.paths = append(r.paths, other)
	standby.Doubtful, other.Unproven = true, "no data has been seen to arrive on it yet"
	r.update()
	r.want(1)
	if to := r.s.Current().Copies[wire.DefaultTraffic]; to != 3 {
		t.Errorf("copies go to path %d, want 3", to)
	}
	other.Doubtful = true
	r.update()
	if to := r.s.Current().Copies[wire.DefaultTraffic]; to == 0 {
		t.Error("where all paths are doubtful there are no copies")
	}
}

func TestTwoDisjointPathsInTroubleMeanTroubleNearAnEnd(t *testing.T) {
	direct, a, b := path(1, 40*ms), path(2, 50*ms, cambridge), path(3, 90*ms, francisco)
	r := newRig(t, direct, a, b)
	r.run(time.Second)
	r.set(a, Suspect, "no answer")
	r.wantCopies(0, 0, 0, 3)
	r.set(b, Suspect, "no answer")
	r.set(a, Up, "answered")
	r.wantCopies(0, 0, 2, 2)
}

func TestCriticalTakesWhatSharesLeast(t *testing.T) {
	direct, both, other := path(1, 90*ms, cambridge), path(2, 95*ms, cambridge, francisco), path(3, 200*ms, francisco)
	r := newRig(t, direct, both, other)
	r.run(time.Second)
	r.want(1)
	r.wantCopies(0, 0, 0, 3)
	first, wire1, wire2 := path(1, 40*ms), path(2, 41*ms, cambridge), path(3, 60*ms, francisco)
	first.Uplink, wire1.Uplink, wire2.Uplink = "dsl", "dsl", "lte"
	r = newRig(t, first, wire1, wire2)
	r.run(time.Second)
	r.wantCopies(0, 0, 0, 3)
}

func TestPathsThatLoseTogetherAreNotDisjoint(t *testing.T) {
	direct, a, b := path(1, 40*ms), path(2, 50*ms, cambridge), path(3, 90*ms, francisco)
	r := newRig(t, direct, a, b)
	r.run(time.Second)
	r.wantCopies(0, 0, 0, 2)
	rng := rand.New(rand.NewPCG(1, 1))
	for at := 2 * time.Second; at < time.Minute; at += 5 * time.Second { // b loses as often, but by itself
		r.run(at)
		direct.LastLoss = epoch.Add(r.now)
		a.LastLoss = direct.LastLoss.Add(time.Duration(rng.Int64N(int64(200*ms))) - 100*ms)
		r.update()
		r.run(at + 2*time.Second)
		b.LastLoss = epoch.Add(r.now)
		r.update()
	}
	r.wantCopies(0, 0, 0, 3)
	r.run(20 * time.Minute) // forgotten
	direct.LastLoss = epoch.Add(r.now)
	r.update()
	if n := r.s.find(1).joint[2].now(r.s.now); n > .1 {
		t.Errorf("still %.2f", n)
	}
}

func TestSmallGainsAreTakenWhenTheyLast(t *testing.T) {
	for gain, moves := range map[time.Duration]bool{ms: false, 6 * ms: true} { // of 100 ms; 10 are needed at once
		old, other := path(1, 100*ms, cambridge), path(2, 100*ms-gain, francisco)
		other.State = Unknown
		r := newRig(t, old, other)
		r.run(time.Second)
		other.State = Up
		r.run(20 * time.Second)
		r.want(1)
		r.run(2 * time.Minute)
		if got := r.s.Current().Selected == 2; got != moves {
			t.Errorf("gain %v: moved is %v", gain, got)
		}
		if n := len(r.moves); n > 2 {
			t.Errorf("%d moves", n)
		}
	}
}

func TestNoiseMovesNothingThoughTheMeansAreClose(t *testing.T) {
	a, b := path(1, 100*ms, cambridge), path(2, 99*ms, francisco)
	r := newRig(t, a, b)
	rng := rand.New(rand.NewPCG(5, 5))
	for range 36000 { // an hour
		for _, p := range []*Path{a, b} {
			base := 100 * ms
			if p == b {
				base = 99 * ms
			}
			p.RecentRTT = base + time.Duration((rng.Float64()*2-1)*float64(base)/20)
			p.RTT += (p.RecentRTT - p.RTT) / 8
		}
		r.run(r.now + 100*ms)
	}
	if n := len(r.moves) - 1; n > 1 {
		t.Errorf("%d moves in an hour", n)
	}
}

func TestManyThatLoseTheirPathsSpread(t *testing.T) {
	const nodes, relays = 500, 5
	var used [relays]int
	for i := range nodes {
		direct := path(1, 40*ms)
		paths := []*Path{direct}
		for j := range relays {
			p := path(wire.PathID(2+j), 60*ms+time.Duration(j)*ms, wire.NodeID{byte(10 + j)})
			if j == 0 {
				p.Load = .8
			}
			paths = append(paths, p)
		}
		r := newRig(t, paths...)
		r.s.rng = rand.New(rand.NewPCG(uint64(i), 9))
		r.run(time.Second)
		r.set(direct, Dead, "cut")
		used[r.s.Current().Selected-2]++
	}
	t.Logf("used %v", used)
	for j, n := range used {
		if want := nodes / relays; j > 0 && (n < want/2 || n > want*2) {
			t.Errorf("relay %d has %d of %d", j, n, nodes)
		}
	}
	if used[0] > used[1] {
		t.Errorf("the loaded relay has %d, the other ones %v", used[0], used[1:])
	}
}

func TestOnAccountOfLoadAloneNodesMoveAtDifferentTimes(t *testing.T) {
	var waits []time.Duration
	for i := range uint64(40) {
		a, b := path(1, 60*ms, cambridge), path(2, 62*ms, francisco)
		r := newRig(t, a, b)
		r.s.rng = rand.New(rand.NewPCG(i, 9))
		r.run(time.Second)
		if r.s.Current().Selected != 1 {
			continue
		}
		a.Load = .95
		for r.s.Current().Selected == 1 && r.now < 2*time.Minute {
			r.run(r.now + 100*ms)
		}
		waits = append(waits, r.now-time.Second)
		if r.s.Current().Reason.Code != Lighter {
			t.Fatalf("%v", r.s.Current().Reason)
		}
	}
	least, most := waits[0], waits[0]
	for _, w := range waits {
		least, most = min(least, w), max(most, w)
	}
	if len(waits) < 10 || most > time.Minute || most-least < 5*time.Second {
		t.Errorf("%d waits from %v to %v", len(waits), least, most)
	}
}

func TestShadowTellsWhatItWouldHaveSaved(t *testing.T) {
	direct, relayed := path(1, 80*ms), path(2, 20*ms, cambridge)
	s := New(Config{}, Direct(), wire.DefaultTraffic, rand.New(rand.NewPCG(1, 2)))
	shadow := NewShadow(Config{}, Balanced(), wire.DefaultTraffic, rand.New(rand.NewPCG(1, 2)))
	for i := range 6000 {
		direct.Samples++
		relayed.Samples++
		now := epoch.Add(time.Duration(i) * 100 * ms)
		if i == 3000 {
			direct.State = Dead
		}
		in := Update{Paths: []Path{*direct, *relayed}}
		if err := s.Step(now, in); err != nil {
			t.Fatal(err)
		}
		if err := shadow.Step(now, in, 1); err != nil { // as if the one in use stayed
			t.Fatal(err)
		}
	}
	got := shadow.Tally()
	if got.Algorithm != "balanced" || got.Would != 2 || got.Switches > 1 {
		t.Errorf("%+v", got)
	}
	if got.RTTSaved < 58*ms || got.RTTSaved > 60*ms || got.Compared < 299*time.Second || got.Compared > 301*time.Second {
		t.Errorf("%+v", got)
	}
	if got.UpSaved < 299*time.Second || got.UpSaved > 301*time.Second {
		t.Errorf("%+v", got)
	}
}
