package pathselect

import (
	"testing"
	"time"

	"overlayd/internal/wire"
)

// never excludes relays where others work.
func never(ids ...wire.NodeID) map[wire.NodeID]Exclusion {
	m := make(map[wire.NodeID]Exclusion)
	for _, id := range ids {
		m[id] = Exclusion{}
	}
	return m
}

func TestPolicy(t *testing.T) {
	for name, c := range map[string]struct {
		policy Policy
		want   wire.PathID // of: 1 direct 40 ms, 2 via cambridge 60 ms, 3 via francisco 70 ms, 4 via both 80 ms
	}{
		"none":                    {Policy{}, 1},
		"pinned":                  {Policy{Pin: &Pin{Via: []wire.NodeID{francisco}}}, 3},
		"pinned to direct":        {Policy{Pin: &Pin{}}, 1},
		"pinned over two":         {Policy{Pin: &Pin{Via: []wire.NodeID{cambridge, francisco}}}, 4},
		"pinned to what is not":   {Policy{Pin: &Pin{Via: []wire.NodeID{{9}}}}, 1},
		"preferred":               {Policy{Prefer: []wire.NodeID{cambridge}}, 1},
		"preferred and close":     {Policy{Prefer: []wire.NodeID{cambridge}, Uplinks: map[Uplink]float64{"dsl": 30}}, 2},
		"dear uplink":             {Policy{Uplinks: map[Uplink]float64{"dsl": 300}}, 2},
		"dear uplink, dear relay": {Policy{Uplinks: map[Uplink]float64{"dsl": 300}, Relays: map[wire.NodeID]float64{cambridge: 50}}, 3},
		"avoided":                 {Policy{Uplinks: map[Uplink]float64{"dsl": 300}, Avoid: []wire.NodeID{cambridge}}, 3},
		"never":                   {Policy{Uplinks: map[Uplink]float64{"dsl": 300}, Never: never(cambridge)}, 3},
		"never, though dear":      {Policy{Uplinks: map[Uplink]float64{"dsl": 5000}, Never: never(cambridge, francisco)}, 1},
		"hops":                    {Policy{Uplinks: map[Uplink]float64{"dsl": 5000}, Hops: &Hops{Most: 1}}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			direct := path(1, 40*ms)
			direct.Uplink = "dsl"
			r := newRig(t, direct, path(2, 60*ms, cambridge), path(3, 70*ms, francisco), path(4, 80*ms, cambridge, francisco))
			r.run(time.Second)
			r.step(Wish{&c.policy})
			r.run(6 * time.Second)
			r.want(c.want)
			r.step(Wish{nil})
			r.run(12 * time.Second)
			r.want(1)
		})
	}
}

func TestAWishMovesAtOnceAndSaysWhy(t *testing.T) {
	r := newRig(t, path(1, 40*ms), path(2, 60*ms, cambridge))
	r.run(time.Second)
	r.step(Wish{&Policy{Pin: &Pin{[]wire.NodeID{cambridge}, Exclusion{Why: "pinned until 15:04"}}}})
	r.want(2)
	r.wantReason("via cambridge instead of direct path: pinned until 15:04")
	if e := r.s.Explain()[0]; e.Why != "pinned until 15:04" {
		t.Errorf("%q", e.Why)
	}
}

func TestAWishNeverCutsOffUnlessItIsStrict(t *testing.T) {
	for _, strict := range []bool{false, true} {
		direct, relayed := path(1, 40*ms), path(2, 60*ms, cambridge)
		r := newRig(t, direct, relayed)
		r.step(Wish{&Policy{Never: map[wire.NodeID]Exclusion{cambridge: {strict, "never via cambridge"}}}})
		r.run(time.Second)
		if s := r.s.Current(); strict && s.Copies[wire.Critical] != 0 {
			t.Errorf("copies go to a path that is strictly barred")
		}
		r.set(direct, Dead, "cut")
		if strict {
			r.want(1) // dead, but allowed
			r.set(direct, Up, "answered")
			r.run(5 * time.Second)
			r.step(Wish{&Policy{Pin: &Pin{[]wire.NodeID{francisco}, Exclusion{true, "another path is pinned"}}}})
			r.want(0)
			r.wantReason("no allowed path works, and the rule is strict: another path is pinned")
			r.step(Wish{nil})
			r.want(1)
			continue
		}
		r.want(2)
		r.set(direct, Up, "answered")
		r.run(2 * time.Second)
		r.want(1)
	}
}

func TestARuleIsNotStrictBecauseAnotherOneIs(t *testing.T) {
	pinned, strict, other := path(1, 40*ms, cambridge), path(2, 20*ms, francisco), path(3, 60*ms)
	r := newRig(t, pinned, strict, other)
	r.step(Wish{&Policy{
		Pin:   &Pin{[]wire.NodeID{cambridge}, Exclusion{Why: "cambridge is pinned"}},
		Never: map[wire.NodeID]Exclusion{francisco: {true, "never via francisco"}},
	}})
	r.run(time.Second)
	r.want(1)
	r.set(pinned, Dead, "cut")
	r.want(3) // against the pin, which is not strict
	r.set(other, Dead, "cut")
	r.want(3)
	r.wantReason("no path works: direct path dead: cut; via francisco works, but: never via francisco")
	if why := r.s.Explain()[1].Why; why != "never via francisco" {
		t.Errorf("%q", why)
	}
}

func TestWhatARuleCutOffIsNotSaidOfItOnceItEnds(t *testing.T) {
	direct := path(1, 40*ms)
	r := newRig(t, direct)
	r.run(time.Second)
	r.step(Wish{&Policy{Pin: &Pin{[]wire.NodeID{francisco}, Exclusion{true, "another path is pinned"}}}})
	r.wantReason("no allowed path works, and the rule is strict: another path is pinned")
	r.run(2 * time.Second)
	r.wantReason("no allowed path works, and the rule is strict: another path is pinned")
	r.set(direct, Dead, "cut")
	r.step(Wish{nil})
	r.want(1)
	r.wantReason("no path works: direct path dead: cut")
}

func TestCopiesKeepToTheWish(t *testing.T) {
	direct, relayed := path(1, 40*ms), path(2, 60*ms, cambridge)
	r := newRig(t, direct, relayed)
	r.step(Wish{&Policy{Hops: &Hops{Most: 1}}})
	r.run(time.Second)
	r.set(direct, Suspect, "no answer")
	if s := r.s.Current(); s.Copies != [wire.TrafficClasses]wire.PathID{} {
		t.Errorf("%+v", s)
	}
}

func TestQuarantinedRelaysAreLeftAtOnceAndUsedIfNothingElseWorks(t *testing.T) {
	direct, relayed := path(1, 80*ms), path(2, 20*ms, cambridge)
	r := newRig(t, direct, relayed)
	r.run(6 * time.Second)
	r.want(2)
	relayed.Quarantine = "cambridge drops data"
	r.update()
	r.want(1)
	r.wantReason("direct path instead of via cambridge: cambridge drops data")
	r.run(10 * time.Second)
	r.want(1)
	r.set(direct, Dead, "cut")
	r.want(2)
}

func TestAlgorithms(t *testing.T) {
	near := *path(1, 20*ms) // fast, jittery and lossy
	near.Deviation, near.LossOutLow = 10*ms, .01
	far := *path(2, 60*ms, cambridge) // clean and steady
	thin := *path(3, 40*ms, francisco)
	thin.Rate, far.Rate = 1e6, 1e7
	near.Rate = 2e7
	for name, want := range map[string]wire.PathID{
		"balanced": 1, "latency": 1, "loss": 3, "throughput": 2, "direct": 1,
	} {
		a, err := Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		ranked := a.Rank(nil, Request{Paths: []Path{near, far, thin}})
		if ranked[0].ID != want {
			t.Errorf("%s: %+v", name, ranked)
		}
	}
}

func TestThroughputFollowsTheModel(t *testing.T) {
	// M. Mathis et al., CCR 27 (1997): without timeouts, MSS/RTT · sqrt(3/2bp); PFTK is below it, and close where p is small
	p := *path(1, 100*ms)
	p.LossOutLow = 1e-4
	bound := segment / .1 * 122.47 * .7071
	if got := tcpRate(&p); got > bound || got < .9*bound {
		t.Errorf("%.0f B/s, want just below %.0f", got, bound)
	}
	p.LossOutLow = 0
	if got := tcpRate(&p); got != window/.1 {
		t.Errorf("%.0f B/s without loss", got)
	}
	last := tcpRate(&p)
	for l := 1e-5; l < 1; l *= 1.5 {
		p.LossOutLow = l
		if got := tcpRate(&p); got > last {
			t.Fatalf("%.0f B/s at %.5f, more than with less loss", got, l)
		} else {
			last = got
		}
	}
}

func TestTheAlgorithmCanBeChangedWhileItRuns(t *testing.T) {
	direct, relayed := path(1, 80*ms), path(2, 20*ms, cambridge)
	r := newRig(t, direct, relayed)
	r.run(6 * time.Second)
	r.want(2)
	r.step(Use{Direct()})
	r.run(12 * time.Second)
	r.want(1)
	if e := r.s.Explain()[1]; e.Cost.Total < 1000 {
		t.Errorf("%+v", e)
	}
}
