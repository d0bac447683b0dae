package blackhole

import (
	"testing"
	"time"

	"overlayd/internal/wire"
	"overlayd/probe"
)

var start = time.Unix(1_800_000_000, 0)

// rig plays the paths to a peer.
type rig struct {
	t    *testing.T
	now  time.Time
	list []Sample
	Tracker
}

func newRig(t *testing.T, paths int) *rig {
	r := &rig{t: t, now: start}
	for i := range paths {
		r.list = append(r.list, Sample{Path: wire.PathID(i + 1), Up: true})
	}
	r.observe()
	return r
}

func (r *rig) observe() { r.Observe(r.now, r.list) }

func (r *rig) wait(d time.Duration) { r.now = r.now.Add(d); r.observe() }

// pass lets n packets arrive on a path.
func (r *rig) pass(id wire.PathID, n uint64) {
	p := &r.list[id-1].Passage
	*p = probe.Passage{Settled: p.Settled + n, Arrived: p.Arrived + n}
	r.observe()
}

// miss lets n packets be missing, one interval for each, for a time.
func (r *rig) miss(id wire.PathID, n int, d time.Duration) {
	p := &r.list[id-1].Passage
	p.Settled += uint64(n)
	p.Missing, p.Groups, p.MissingFor = p.Missing+n, p.Groups+n, d
	r.observe()
}

func (r *rig) want(id wire.PathID, f Finding) {
	r.t.Helper()
	if got, why := r.Finding(id); got != f {
		r.t.Errorf("path %d after %v: finding %d (%s), want %d", id, r.now.Sub(start), got, why, f)
	}
}

func all(wire.PathID) bool { return true }

func TestThreeMissingPacketsAndASecondBlockAPath(t *testing.T) {
	r := newRig(t, 2)
	r.want(1, Doubtful) // nothing has ever arrived
	r.pass(1, 10)
	r.pass(2, 1)
	r.want(1, Clear)
	r.miss(1, 1, 0)
	r.want(1, Doubtful)
	r.miss(1, 2, 900*time.Millisecond)
	r.want(1, Doubtful)
	r.miss(1, 0, time.Second)
	r.want(1, Blocked)
	r.wait(time.Hour)
	r.want(1, Blocked) // without new evidence nothing is believed again
}

func TestABurstThatIsLostAtOnceBlocksNoPath(t *testing.T) {
	r := newRig(t, 1)
	r.pass(1, 10)
	r.miss(1, 1, 0)
	r.list[0].Passage.Missing = 30 // all between the same two probes
	r.miss(1, 0, 5*time.Second)
	r.want(1, Doubtful)
}

func TestOtherPathsMustShowThatTheyPassData(t *testing.T) {
	r := newRig(t, 3)
	for id := range wire.PathID(3) {
		r.pass(id+1, 10)
	}
	r.wait(time.Minute)
	r.miss(1, 3, time.Second)
	r.pass(2, 1) // a copy
	r.want(1, Blocked)
	r.want(2, Clear)
	r.want(3, Unproven)
	if id := r.Trial(r.now, all); id != 3 {
		t.Errorf("trial of path %d", id)
	}
	r.pass(3, 4)
	r.want(3, Unproven)
	r.pass(3, 1)
	r.want(3, Clear)
}

func TestTrialsBecomeRarerAndProveAPath(t *testing.T) {
	r := newRig(t, 1)
	r.pass(1, 1)
	r.miss(1, 3, time.Second)
	for _, after := range []time.Duration{5, 10, 20, 40, 80, 160, 320, 600, 600} {
		after *= time.Second
		r.wait(after - time.Millisecond)
		if id := r.Trial(r.now, all); id != 0 {
			t.Fatalf("a trial before %v", after)
		}
		r.wait(time.Millisecond)
		if id := r.Trial(r.now, all); id != 1 {
			t.Fatalf("no trial after %v", after)
		}
		r.miss(1, 3, time.Minute)
	}
	r.wait(10 * time.Minute)
	r.Trial(r.now, all)
	r.pass(1, 5)
	r.want(1, Clear)
	r.wait(time.Minute)
	r.miss(1, 3, time.Second)
	r.wait(5 * time.Minute)
	if id := r.Trial(r.now, all); id != 0 {
		t.Error("a path that fails again at once is tried as soon as one that never did")
	}
}

func TestATrialWithLossesProvesNothing(t *testing.T) {
	r := newRig(t, 1)
	r.list[0].Partial = "drops a fifth"
	r.observe()
	r.want(1, Blocked)
	r.list[0].Partial = ""
	r.wait(5 * time.Second)
	r.Trial(r.now, all)
	r.pass(1, 30)
	r.want(1, Blocked) // too few to show that less than a part is lost
	p := &r.list[0].Passage
	p.Settled += 4
	r.pass(1, 30)
	r.want(1, Blocked)
	if id := r.Trial(r.now, all); id != 0 {
		t.Error("the trial goes on though it has failed")
	}
	r.wait(10 * time.Second)
	r.Trial(r.now, all)
	r.pass(1, 60)
	r.want(1, Clear)
}

func TestPathsThatAreGoneAreForgotten(t *testing.T) {
	r := newRig(t, 2)
	r.pass(2, 1)
	r.wait(time.Second)
	r.miss(1, 3, time.Second)
	r.wait(5 * time.Second)
	r.Trial(r.now, all)
	r.list = r.list[1:]
	r.observe()
	r.want(2, Clear)
	if !r.fault.IsZero() || len(r.paths) != 1 || r.Trial(r.now, all) != 0 {
		t.Error("a path that is gone is remembered")
	}
}

func TestWherePacketsAreLostAnywayMoreMustBeMissing(t *testing.T) {
	for loss, want := range map[float64]int{0: 3, 0.01: 3, 0.1: 5, 0.3: 10, 1: 17} {
		r := newRig(t, 1)
		r.pass(1, 10)
		for n := 1; ; n++ {
			r.list[0].Passage.ProbeLoss = loss
			r.miss(1, 1, time.Duration(n)*time.Second)
			if f, _ := r.Finding(1); f == Blocked {
				if n != want {
					t.Errorf("with %v lost, blocked after %d packets, want %d", loss, n, want)
				}
				break
			}
		}
	}
}
