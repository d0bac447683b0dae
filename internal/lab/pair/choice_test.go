package pair

import (
	"testing"
	"time"

	"overlayd/probe"
)

func TestTokyo(t *testing.T) {
	var moved distribution
	late := 0
	for seed := range uint64(30) {
		direct, relayed := Symmetric(170*ms), Symmetric(110*ms, francisco)
		for _, p := range []*Path{direct, relayed} {
			p.Out.Jitter, p.In.Jitter = .1, .1
			p.Out.Loss, p.In.Loss = .01, .01
		}
		s := New(seed, direct, relayed)
		cut := func(cut bool) func() { return func() { relayed.Out.Cut, relayed.In.Cut = cut, cut } }
		s.At(0, cut(true)) // the relay is found later
		s.At(time.Second, cut(false))
		newMeter(s, 100*ms, 10*ms, 65*time.Second)
		s.Run(65 * time.Second)
		for _, sw := range s.A.Switches {
			if sw.To == 1 {
				moved = append(moved, sw.At)
				break
			}
		}
		if n := len(s.A.switchesFrom(5 * time.Second)); n > 1 {
			t.Errorf("seed %d: %d switches in a minute: %v", seed, n, s.A.Switches)
		} else {
			late += n
		}
		if s.A.Flow().Selected != 1 {
			t.Errorf("seed %d: ends on path %d", seed, s.A.Flow().Selected)
		}
	}
	t.Logf("moved after %v; %d later switches in 30 runs of a minute", moved, late)
	if len(moved) < 30 || moved.at(1) > 5*time.Second {
		t.Errorf("moved after %v", moved)
	}
}

func TestLossy(t *testing.T) {
	for _, loss := range []float64{.1, .3, .5} {
		var moved distribution
		back := 0
		const runs, onset = 30, 20 * time.Second
		for seed := range uint64(runs) {
			direct, relayed := Symmetric(40*ms), Symmetric(60*ms, cambridge)
			s := New(seed, direct, relayed)
			m := newMeter(s, time.Second, 10*ms, onset+120*time.Second)
			s.At(onset, func() { direct.Out.Loss, direct.In.Loss = loss, loss })
			s.Run(onset + 120*time.Second)
			list := s.A.switchesFrom(onset)
			if len(list) == 0 || s.A.Flow().Selected != 1 {
				t.Errorf("loss %.0f%%, seed %d: stays on path %d: %v", 100*loss, seed, s.A.Flow().Selected, list)
				continue
			}
			moved = append(moved, list[0].At-onset)
			back += len(list) - 1
			if seed == 0 {
				lost, sent := m.lost(onset+3*time.Second, onset+120*time.Second)
				t.Logf("%s; later lost %d of %d", list[0].Why, lost, sent)
			}
		}
		t.Logf("loss %.0f%%: moved after %v; %d further switches in %d runs of 2 minutes", 100*loss, moved, back, runs)
		if loss == .3 && (moved.at(.9) > 2*time.Second || moved.at(1) > 3*time.Second || back > 0) {
			t.Errorf("loss 30%%: moved after %v, %d further switches", moved, back)
		}
	}
}

// A relay that passes probes and drops data is caught by the data counters.
func TestDataDroppingRelay(t *testing.T) {
	limits := map[float64]time.Duration{.05: 60 * time.Second, .2: 15 * time.Second, 1: 2 * time.Second}
	for loss, limit := range limits {
		var moved distribution
		for seed := range uint64(20) {
			relayed, direct := Symmetric(20*ms, cambridge), Symmetric(60*ms)
			s := New(seed, direct, relayed)
			newMeter(s, time.Second, 10*ms, 80*time.Second)
			s.At(20*time.Second, func() { relayed.Out.DataLoss = loss })
			s.Run(80 * time.Second)
			list := s.A.switchesFrom(20 * time.Second)
			if len(list) == 0 {
				t.Errorf("loss %.0f%%, seed %d: not found out", 100*loss, seed)
				continue
			}
			moved = append(moved, list[0].At-20*time.Second)
		}
		t.Logf("data loss %.0f%%: left after %v", 100*loss, moved)
		if moved.at(1) > limit {
			t.Errorf("data loss %.0f%%: left after %v", 100*loss, moved)
		}
	}
}

func TestFlapping(t *testing.T) {
	for seed := range uint64(30) {
		direct := Symmetric(40 * ms)
		s := New(seed, direct, Symmetric(60*ms, cambridge))
		m := newMeter(s, time.Second, 10*ms, 70*time.Second)
		for at := 10 * time.Second; at < 70*time.Second; at += 6 * time.Second {
			s.At(at+time.Duration(seed)*11*ms, func() { direct.Out.Cut, direct.In.Cut = true, true })
			s.At(at+3*time.Second, func() { direct.Out.Cut, direct.In.Cut = false, false })
		}
		s.Run(71 * time.Second)
		lost, sent := m.lost(10*time.Second, 70*time.Second)
		if seed == 0 {
			t.Logf("lost %d of %d, %d switches", lost, sent, len(s.A.Switches))
		}
		if lost*100 >= sent || len(s.A.Switches) > 6 {
			t.Errorf("seed %d: lost %d of %d, switches %v", seed, lost, sent, s.A.Switches)
		}
	}
}

// Hours of 1% loss each way and 10% jitter on all paths, without data.
func TestNoise(t *testing.T) {
	hours := 4
	if testing.Short() {
		hours = 1
	}
	switches := 0
	for seed := range uint64(hours) {
		direct, near, far := Symmetric(40*ms), Symmetric(44*ms, cambridge), Symmetric(60*ms, francisco)
		for _, p := range []*Path{direct, near, far} {
			p.Out.Jitter, p.In.Jitter = .1, .1
			p.Out.Loss, p.In.Loss = .01, .01
		}
		s := New(seed, direct, near, far)
		s.Run(time.Hour)
		n := len(s.A.Switches) - 1
		suspects, dead := s.A.count(0, -1, probe.Suspect), s.A.count(0, -1, probe.Dead)
		t.Logf("hour %d: %d pings, %d suspicions, %d deaths, %d switches", seed, s.A.Pings, suspects, dead, n)
		if dead > 0 {
			t.Errorf("seed %d: %d false deaths", seed, dead)
		}
		switches += n
	}
	if switches > hours { // of three paths
		t.Errorf("%d false switches in %d hours", switches, hours)
	}
}

func TestLossFreePathIsNotLeftForOneLostProbe(t *testing.T) {
	direct := Symmetric(40 * ms)
	s := New(5, direct, Symmetric(41*ms, cambridge))
	for at := 10 * time.Second; at < 600*time.Second; at += 10 * time.Second {
		s.At(at, func() { direct.Out.Loss = 1 })
		s.At(at+95*ms, func() { direct.Out.Loss = 0 })
	}
	s.Run(600 * time.Second)
	if len(s.A.Switches) != 1 {
		t.Errorf("switches %v", s.A.Switches)
	}
}

func TestSameSeedSameTrace(t *testing.T) {
	run := func(seed uint64) string {
		direct := Symmetric(40 * ms)
		direct.Out.Jitter, direct.Out.Loss = .1, .05
		s := New(seed, direct, Symmetric(60*ms, cambridge), Symmetric(70*ms, francisco))
		trace := s.Trace()
		newMeter(s, time.Second, 10*ms, 30*time.Second)
		s.At(10*time.Second, func() { direct.Out.Cut = true })
		s.At(20*time.Second, func() { direct.Out.Cut = false })
		s.Run(30 * time.Second)
		return trace.String()
	}
	if a, b := run(9), run(9); a != b {
		t.Errorf("two runs of one seed differ:\n%s\n%s", a, b)
	}
	if run(9) == run(10) {
		t.Error("the seed changes nothing")
	}
}

// All paths lose alike; only the one in use shows it well, by its data.
func TestEquallyLossyPathsAreNotTriedInTurn(t *testing.T) {
	for _, loss := range []float64{.01, .03, .1} {
		most := 0
		for seed := range uint64(4) {
			var paths []*Path
			for i := range 3 {
				p := Symmetric(50*ms+time.Duration(i)*ms, cambridge)
				p.Via[0][1] = byte(i)
				p.Out.Loss, p.In.Loss = loss, loss
				paths = append(paths, p)
			}
			s := New(seed, paths...)
			newMeter(s, time.Second, 10*ms, 600*time.Second)
			s.Run(600 * time.Second)
			most = max(most, len(s.A.Switches)-1)
		}
		t.Logf("loss %.0f%%: at most %d switches in 10 minutes", 100*loss, most)
		if most > 15 {
			t.Errorf("loss %.0f%%: %d switches", 100*loss, most)
		}
	}
}
