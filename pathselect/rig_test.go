package pathselect

import (
	"math/rand/v2"
	"testing"
	"time"

	"overlayd/internal/wire"
)

const ms = time.Millisecond

var (
	epoch     = time.Unix(1_800_000_000, 0)
	cambridge = wire.NodeID{1}
	francisco = wire.NodeID{2}
	names     = map[wire.NodeID]string{cambridge: "cambridge", francisco: "francisco"}
)

func name(id wire.NodeID) string { return names[id] }

// rig drives one Selector: the test edits paths, run shows them to the selector every 100 ms.
type rig struct {
	t     testing.TB
	s     *Selector
	now   time.Duration
	paths []*Path
	moves []Selection
	out   int
}

func newRig(t testing.TB, paths ...*Path) *rig {
	return &rig{t: t, s: New(Config{}, Balanced(), wire.DefaultTraffic, rand.New(rand.NewPCG(1, 2))), paths: paths}
}

// path is one that has been up for long.
func path(id wire.PathID, rtt time.Duration, via ...wire.NodeID) *Path {
	return &Path{ID: id, Via: via, State: Up, RTT: rtt, RecentRTT: rtt, MinRTT: rtt, Samples: 100, LossProbes: 30}
}

func (p *Path) setRTT(rtt time.Duration) { p.RTT, p.RecentRTT = rtt, rtt }
func (p *Path) setLoss(loss, low float64) {
	p.LossOut, p.LossOutLow, p.LossRecent, p.LossRecentLow = loss, low, loss, low
}

func (r *rig) step(in Input) {
	r.t.Helper()
	if err := r.s.Step(epoch.Add(r.now), in); err != nil {
		r.t.Fatal(err)
	}
	for _, o := range r.s.Drain(nil) {
		sel := o.(Select).Selection
		r.out++
		if len(r.moves) == 0 || r.moves[len(r.moves)-1].Selected != sel.Selected {
			r.moves = append(r.moves, sel)
		}
	}
}

func (r *rig) update() {
	r.t.Helper()
	var list []Path
	for _, p := range r.paths {
		list = append(list, *p)
	}
	r.step(Update{Paths: list})
}

// run shows the paths until a time, ten times a second, each with a new sample; and ticks when it is due.
func (r *rig) run(until time.Duration) {
	r.t.Helper()
	for next := r.now; next <= until; next += 100 * ms {
		for {
			d, ok := r.s.NextDeadline()
			if !ok || d.Sub(epoch) > next {
				break
			}
			r.now = max(r.now, d.Sub(epoch))
			r.step(Tick{})
			if d2, ok := r.s.NextDeadline(); ok && !d2.After(epoch.Add(r.now)) {
				r.t.Fatal("the deadline does not move on")
			}
		}
		r.now = next
		for _, p := range r.paths {
			if p.State == Up {
				p.Samples++
			}
		}
		r.update()
	}
	r.now = until
}

func (r *rig) set(p *Path, s State, why string) {
	r.t.Helper()
	p.State, p.Why, p.Since = s, why, epoch.Add(r.now)
	if s == Up {
		p.Samples = 3
	}
	r.update()
}

func (r *rig) want(selected wire.PathID) {
	r.t.Helper()
	if got := r.s.Current(); got.Selected != selected {
		r.t.Errorf("at %v path %d is selected (%s), want %d", r.now, got.Selected, got.Reason.Text(name), selected)
	}
}

func (r *rig) wantReason(want string) {
	r.t.Helper()
	if got := r.s.Current().Reason.Text(name); got != want {
		r.t.Errorf("reason %q, want %q", got, want)
	}
}
