package pathselect

import (
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"overlayd/internal/wire"
)

// play feeds paths made of bytes and returns what came out, checking at every step what must always hold.
func play(t *testing.T, a Algorithm, b []byte) (all []Output) {
	s := New(Config{}, a, wire.DefaultTraffic, rand.New(rand.NewPCG(1, 2)))
	next := func() byte {
		if len(b) == 0 {
			return 0
		}
		v := b[0]
		b = b[1:]
		return v
	}
	now := epoch
	for len(b) > 0 {
		now = now.Add(time.Duration(next()) * 10 * ms)
		var in Input = Tick{}
		if n := next() % 8; n > 0 {
			up := Update{}
			for range n {
				up.Paths = append(up.Paths, fuzzPath(next))
			}
			in = up
		}
		err := s.Step(now, in)
		all = append(all, s.Drain(nil)...)
		checkSelection(t, s)
		if d, ok := s.NextDeadline(); err == nil && ok && !d.After(now) {
			t.Fatalf("deadline %v is not after %v", d, now)
		}
	}
	return all
}

func fuzzPath(next func() byte) Path {
	p := Path{
		ID: wire.PathID(next() % 8), State: State(next() % 4), Samples: int(next()),
		RTT: time.Duration(next()) * ms, RecentRTT: time.Duration(next()) * ms, Deviation: time.Duration(next()%8) * ms,
	}
	for range next() % 4 {
		p.Via = append(p.Via, wire.NodeID{next() % 4})
	}
	if next()%4 == 0 {
		p.LossOut, p.LossOutLow = float64(next())/255, float64(next())/255
		p.LossRecent, p.LossRecentLow = float64(next())/255, float64(next())/255
	}
	return p
}

func checkSelection(t *testing.T, s *Selector) {
	sel := s.Current()
	state := map[wire.PathID]State{}
	works := false
	for _, c := range s.list {
		state[c.ID] = c.State
		works = works || c.State == Up || c.State == Suspect
	}
	switch at := state[sel.Selected]; {
	case sel.Selected == 0 && works:
		t.Fatal("nothing is selected although a path works")
	case sel.Selected != 0 && at != Up && at != Suspect && works:
		t.Fatalf("path %d is selected, which is %s, although another works", sel.Selected, at)
	}
	if sel.Works() != works {
		t.Fatalf("the reason is %q, and it is %v that a path works", sel.Reason, works)
	}
	if sel.Copies[wire.DefaultTraffic] != 0 && (sel.Copies[wire.DefaultTraffic] == sel.Selected || state[sel.Copies[wire.DefaultTraffic]] != Up) {
		t.Fatalf("copies go to path %d, %s", sel.Copies[wire.DefaultTraffic], state[sel.Copies[wire.DefaultTraffic]])
	}
	if len(sel.Standbys) > maxStandbys {
		t.Fatalf("standbys %v", sel.Standbys)
	}
	for _, id := range sel.Standbys {
		if id == sel.Selected || state[id] != Up && state[id] != Suspect {
			t.Fatalf("path %d stands by, %s", id, state[id])
		}
	}
	if n := len(s.Explain()); n != len(s.list) {
		t.Fatalf("%d of %d explained", n, len(s.list))
	}
}

func FuzzStep(f *testing.F) {
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range 4 * len(All()) {
		b := make([]byte, 800+i)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a := All()[len(b)%len(All())]
		if first, second := play(t, a, b), play(t, a, b); !reflect.DeepEqual(first, second) {
			t.Fatalf("%s: two runs of the same inputs differ", a.Name())
		}
	})
}

// Random walks of the figures of several paths: what must hold holds, and there are few moves.
func TestRandomWalk(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 7))
		r := newRig(t, path(1, 40*ms), path(2, 50*ms, cambridge), path(3, 60*ms, francisco))
		for range 3000 {
			for _, p := range r.paths {
				walk(rng, p)
			}
			r.run(r.now + 100*ms)
			checkSelection(t, r.s)
		}
		if moves := len(r.moves); moves > 40 {
			t.Errorf("seed %d: %d moves in 5 minutes", seed, moves)
		}
	}
}

func walk(rng *rand.Rand, p *Path) {
	p.RecentRTT = max(5*ms, p.RTT+time.Duration(rng.NormFloat64()*float64(4*ms)))
	p.RTT += (p.RecentRTT - p.RTT) / 8
	switch x := rng.Float64(); {
	case p.State == Up && x < .01:
		p.State = Suspect
	case p.State == Suspect && x < .1:
		p.State = Dead
	case p.State == Suspect && x < .8:
		p.State = Up
	case p.State == Dead && x < .02:
		p.State, p.Samples = Up, 3
	}
}
