package pathselect

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"overlayd/internal/wire"
)

func TestNothingIsSelectedBeforeAPathAnswers(t *testing.T) {
	p := path(1, 0)
	p.State = Unknown
	r := newRig(t, p)
	r.run(time.Second)
	r.want(0)
	r.wantReason("no path has answered yet")
	r.set(p, Up, "")
	r.want(1)
	r.wantReason("direct path answered first")
	if s := r.s.Current(); s.Switches != 0 {
		t.Errorf("%d switches", s.Switches)
	}
}

func TestSuspectIsDuplicatedAndDeadIsLeftInTheSameStep(t *testing.T) {
	direct, relayed := path(1, 40*ms), path(2, 60*ms, cambridge)
	r := newRig(t, direct, relayed)
	r.run(time.Second)
	r.want(1)
	if s := r.s.Current(); s.Copies[wire.DefaultTraffic] != 0 || !slices.Equal(s.Standbys, []wire.PathID{2}) {
		t.Errorf("%+v", s)
	}
	r.set(direct, Suspect, "no answer")
	r.want(1)
	if s := r.s.Current(); s.Copies[wire.DefaultTraffic] != 2 {
		t.Errorf("%+v", s)
	}
	r.set(direct, Up, "answered")
	if s := r.s.Current(); s.Copies[wire.DefaultTraffic] != 0 {
		t.Errorf("%+v", s)
	}
	r.set(direct, Dead, "4 probes unanswered")
	r.want(2)
	r.wantReason("direct path dead: 4 probes unanswered")
	s := r.s.Current()
	if s.Copies[wire.DefaultTraffic] != 0 || len(s.Standbys) != 0 || s.Switches != 1 || !s.Since.Equal(epoch.Add(r.now)) {
		t.Errorf("%+v", s)
	}
}

func TestFailOverPrefersTrustThenDisjointThenCheap(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(shared, disjoint, dear *Path)
		want wire.PathID
	}{
		"disjoint":                   {func(_, _, _ *Path) {}, 3},
		"cheap among disjoint":       {func(_, b, d *Path) { b.setRTT(90 * ms) }, 4},
		"up before suspect":          {func(_, b, d *Path) { b.State, d.State = Suspect, Suspect }, 2},
		"clean before lossy":         {func(_, b, d *Path) { b.setLoss(.3, .2); d.setLoss(.3, .2) }, 2},
		"suspect if nothing else":    {func(a, b, d *Path) { a.State, b.State, d.State = Dead, Suspect, Dead }, 3},
		"measured before unmeasured": {func(_, b, d *Path) { b.Samples, d.Samples = 1, 1 }, 2},
	} {
		first := path(1, 20*ms, cambridge)
		a, b, d := path(2, 30*ms, cambridge, francisco), path(3, 60*ms, francisco), path(4, 80*ms)
		r := newRig(t, first, a, b, d)
		r.update()
		r.want(1)
		c.edit(a, b, d)
		r.set(first, Dead, "gone")
		if got := r.s.Current().Selected; got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

func TestIfNothingWorksTheSelectionStaysAndTheFirstToReturnIsUsedAtOnce(t *testing.T) {
	direct, relayed := path(1, 40*ms), path(2, 60*ms, cambridge)
	r := newRig(t, direct, relayed)
	r.run(time.Second)
	r.set(relayed, Dead, "cut")
	r.set(direct, Dead, "4 probes unanswered")
	r.want(1)
	r.wantReason("no path works: direct path dead: 4 probes unanswered")
	r.run(3 * time.Second)
	r.set(relayed, Up, "answered")
	r.want(2)
	r.wantReason("via cambridge works again, after 2.0 s without a path")
}

func TestReasonAndSinceAreThoseOfNow(t *testing.T) {
	direct, other := path(1, 40*ms), path(2, 60*ms)
	r := newRig(t, direct, other)
	since := func(want time.Duration, switches int) {
		t.Helper()
		got := r.s.Current()
		if got.Since.Sub(epoch) != want || got.Switches != switches {
			t.Errorf("since %v with %d switches, want %v and %d", got.Since.Sub(epoch), got.Switches, want, switches)
		}
	}
	r.run(time.Second)
	r.set(other, Dead, "the peer shut down")
	r.set(direct, Dead, "the peer shut down")
	r.wantReason("no path works: direct path dead: the peer shut down")
	since(time.Second, 0)
	r.run(5 * time.Second)
	direct.Why = "4 probes unanswered"
	r.update()
	r.wantReason("no path works: direct path dead: 4 probes unanswered")
	since(time.Second, 0)
	r.set(direct, Up, "2 probes in a row answered")
	r.want(1)
	r.wantReason("direct path works again, after 4.0 s without a path")
	since(5*time.Second, 0)
	r.run(9 * time.Second)
	r.set(direct, Dead, "4 probes unanswered")
	r.wantReason("no path works: direct path dead: 4 probes unanswered")
	since(9*time.Second, 0)
	r.set(other, Up, "2 probes in a row answered")
	r.want(2)
	r.wantReason("direct path works again, after 0.0 s without a path")
	since(9*time.Second, 1)
	r.set(direct, Up, "2 probes in a row answered")
	r.wantReason("direct path works again, after 0.0 s without a path")
}

func TestRemovedSelection(t *testing.T) {
	direct, relayed := path(1, 40*ms), path(2, 60*ms, cambridge)
	r := newRig(t, direct, relayed)
	r.run(time.Second)
	r.paths = r.paths[1:]
	r.update()
	r.want(2)
	r.wantReason("direct path was removed")
	r.paths = nil
	r.update()
	r.want(0)
	r.wantReason("no path works: via cambridge was removed")
	relayed.State, relayed.Why = Dead, "the peer shut down"
	r.paths = []*Path{relayed}
	r.update()
	r.wantReason("no path works: via cambridge dead: the peer shut down")
	r.run(4 * time.Second)
	r.paths = []*Path{direct}
	r.update()
	r.want(1)
	r.wantReason("direct path works again, after 3.0 s without a path")
}

func TestBetterMustBeBetterBothWaysByMarginAndRatioAndLast(t *testing.T) {
	for name, c := range map[string]struct {
		smoothed, recent time.Duration
		via              []wire.NodeID
		moves            bool
	}{
		"much better":            {20 * ms, 20 * ms, []wire.NodeID{francisco}, true},
		"not in smoothed":        {49 * ms, 20 * ms, []wire.NodeID{francisco}, false},
		"not lately":             {20 * ms, 49 * ms, []wire.NodeID{francisco}, false},
		"less than a tenth":      {46 * ms, 46 * ms, []wire.NodeID{francisco}, false},
		"direct, a little worse": {53 * ms, 53 * ms, nil, false},
		"direct, as good":        {51 * ms, 51 * ms, nil, true},
	} {
		old, better := path(1, 50*ms, cambridge), path(2, 50*ms, c.via...)
		better.State = Unknown
		r := newRig(t, old, better)
		r.run(time.Second)
		better.RTT, better.RecentRTT, better.State, better.Samples = c.smoothed, c.recent, Up, 20
		r.run(1900 * ms)
		r.want(1)
		r.run(3 * time.Second)
		if got := r.s.Current().Selected == 2; got != c.moves {
			t.Errorf("%s: moved is %v", name, got)
		}
	}
}

func TestOnFastPathsAFewMillisecondsAreNothing(t *testing.T) {
	old, better := path(1, 6*ms, cambridge), path(2, 4*ms, francisco)
	better.State = Unknown
	r := newRig(t, old, better)
	r.run(time.Second)
	better.State = Up
	r.run(10 * time.Second)
	r.want(1)
}

func TestAShortSpellOfBetterFiguresMovesNothing(t *testing.T) {
	old, other := path(1, 50*ms), path(2, 60*ms, cambridge)
	r := newRig(t, old, other)
	for next := time.Second; next < time.Minute; next += 2 * time.Second {
		other.setRTT(20 * ms)
		r.run(next)
		other.setRTT(60 * ms)
		r.run(next + time.Second)
	}
	if len(r.moves) != 1 {
		t.Errorf("%d moves", len(r.moves)-1)
	}
}

func TestReasonsOfImprovements(t *testing.T) {
	direct, relayed := path(1, 80100*time.Microsecond), path(2, 21400*time.Microsecond, cambridge)
	relayed.State = Unknown
	r := newRig(t, direct, relayed)
	r.run(time.Second)
	relayed.State = Up
	r.run(4 * time.Second)
	r.wantReason("via cambridge 21.4 ms instead of 80.1 ms")
	relayed.setLoss(.3, .18)
	r.run(5 * time.Second)
	r.want(1)
	r.wantReason("via cambridge loses 30%, direct path 0%")
	direct.setRTT(10 * ms)
	relayed.setLoss(0, 0)
	relayed.setRTT(9 * ms)
	r.run(time.Minute)
	r.want(1)
}

// Two direct paths have no relays that could be loaded.
func TestAChangeOfTheDirectPathIsNotPutDownToRelays(t *testing.T) {
	for _, rtt := range []time.Duration{19 * ms, 20 * ms, 21 * ms} {
		r := newRig(t, path(1, 20*ms), path(2, rtt))
		r.run(time.Second)
		four, six := r.s.list[0], r.s.list[1]
		four.tier, six.tier = free, free
		for _, gain := range []float64{0, .5, 5} {
			four.cost, six.cost = 20, 20-gain
			if why := r.s.improvement(four, six); why.Code != Faster && why.Code != Cheaper {
				t.Errorf("%v, cheaper by %v ms: %s", rtt, gain, why)
			}
		}
	}
}

func TestTrialIsNamedWhileAClaimLasts(t *testing.T) {
	direct, relayed := path(1, 80*ms), path(2, 20*ms, cambridge)
	relayed.State = Unknown
	r := newRig(t, direct, relayed)
	r.run(time.Second)
	relayed.State = Up
	r.run(1500 * ms)
	if s := r.s.Current(); s.Trial != 2 || s.Selected != 1 {
		t.Errorf("%+v", s)
	}
	r.run(3 * time.Second)
	if s := r.s.Current(); s.Trial != 0 || s.Selected != 2 {
		t.Errorf("%+v", s)
	}
}

func TestOldSamplesMoveNothing(t *testing.T) {
	direct, relayed := path(1, 40*ms), path(2, 60*ms, cambridge)
	r := newRig(t, direct, relayed)
	r.run(time.Second)
	direct.setRTT(240 * ms) // a queue; the relayed path shares it, but has no sample yet
	for range 100 {
		r.now += 100 * ms
		direct.Samples++
		r.update()
	}
	r.want(1)
}

func TestHeavyLossMovesSoonAndCopiesMeanwhile(t *testing.T) {
	direct, relayed := path(1, 40*ms), path(2, 60*ms, cambridge)
	r := newRig(t, direct, relayed)
	r.run(time.Second)
	direct.setLoss(.2, .1)
	r.run(1200 * ms)
	if s := r.s.Current(); s.Selected != 1 || s.Copies[wire.DefaultTraffic] != 2 {
		t.Errorf("%+v", s)
	}
	r.run(1700 * ms)
	r.want(2)
	direct.setLoss(0, 0) // it must be clean for long
	r.run(8 * time.Second)
	r.want(2)
	r.run(20 * time.Second)
	r.want(1)
}

func TestAPathThatDiesOftenMustProveItselfLongerAndLonger(t *testing.T) {
	direct, relayed := path(1, 40*ms), path(2, 60*ms, cambridge)
	r := newRig(t, direct, relayed)
	r.run(time.Second)
	var waits []time.Duration
	for range 10 {
		r.set(direct, Dead, "cut")
		r.want(2)
		r.run(r.now + 3*time.Second)
		r.set(direct, Up, "answered")
		up := r.now
		for r.s.Current().Selected != 1 && r.now < up+time.Hour {
			r.run(r.now + 100*ms)
		}
		waits = append(waits, r.now-up)
		r.run(r.now + time.Second)
	}
	t.Logf("waits %v", waits)
	if waits[0] > 3*time.Second || waits[3] < 10*time.Second || waits[9] > 5*time.Minute+2*time.Second {
		t.Errorf("waits %v", waits)
	}
	r.run(r.now + time.Hour)
	r.set(direct, Dead, "cut")
	r.run(r.now + time.Second)
	r.set(direct, Up, "answered")
	r.run(r.now + 3*time.Second)
	r.want(1)
}

func TestStandbysAreDisjointAndSteady(t *testing.T) {
	via := []*Path{
		path(1, 20*ms, cambridge), path(2, 25*ms, cambridge, francisco), path(3, 60*ms, francisco), path(4, 90*ms),
		path(5, 61*ms, wire.NodeID{9}),
	}
	r := newRig(t, via...)
	r.run(time.Second)
	want := []wire.PathID{3, 5}
	if s := r.s.Current(); !slices.Equal(s.Standbys, want) {
		t.Fatalf("standbys %v", s.Standbys)
	}
	before := r.out
	via[3].setRTT(59 * ms) // not worth a change
	r.run(2 * time.Second)
	if r.out != before {
		t.Errorf("%d changes", r.out-before)
	}
	r.set(via[2], Suspect, "no answer") // passes
	suspected := r.s.Current().Standbys
	r.set(via[2], Up, "answered")
	if s := r.s.Current(); !slices.Equal(s.Standbys, want) || !slices.Equal(suspected, want) {
		t.Errorf("standbys %v after %d changes", s.Standbys, r.out-before)
	}
	via[3].setRTT(40 * ms)
	r.run(3 * time.Second)
	if s := r.s.Current(); !slices.Equal(s.Standbys, []wire.PathID{4, 3}) {
		t.Errorf("standbys %v", s.Standbys)
	}
}

func TestExplain(t *testing.T) {
	direct, relayed, dead, fresh := path(1, 40*ms), path(2, 60*ms, cambridge), path(3, 0, francisco), path(4, 0)
	dead.State, dead.Why, fresh.State = Dead, "4 probes unanswered", Unknown
	r := newRig(t, direct, relayed, dead, fresh)
	r.run(time.Second)
	want := []struct {
		role Role
		why  string
	}{
		{CarriesData, "selected"},
		{StandsBy, "costs 22.0 ms more; must cost 26.0 ms less to be chosen"},
		{Spare, "dead: 4 probes unanswered"},
		{Spare, "never answered"},
	}
	for i, e := range r.s.Explain() {
		if e.Role != want[i].role || e.Why != want[i].why {
			t.Errorf("path %d: %s, %q", e.Path.ID, e.Role, e.Why)
		}
	}
	relayed.setRTT(20 * ms)
	r.run(1400 * ms)
	if e := r.s.Explain()[1]; !strings.HasPrefix(e.Why, "better for") {
		t.Errorf("%q", e.Why)
	}
	if e := r.s.Explain()[1]; len(e.Cost.Terms) != 2 || e.Cost.Total != 22 {
		t.Errorf("%+v", e.Cost)
	}
}

func TestBadInputsAreRefused(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct {
		in   Input
		want error
	}{
		{Update{Paths: []Path{{}}}, ErrPaths},
		{Update{Paths: []Path{{ID: 1}, {ID: 2}, {ID: 1}}}, ErrPaths},
		{Update{Paths: make([]Path, maxPaths+1)}, ErrPaths},
		{nil, ErrInput},
	} {
		if err := r.s.Step(epoch, c.in); !errors.Is(err, c.want) {
			t.Errorf("%v, want %v", err, c.want)
		}
	}
}
