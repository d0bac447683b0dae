package pair

import (
	"testing"
	"time"

	"overlayd/probe"
)

func TestBlackhole(t *testing.T) {
	for _, rtt := range []time.Duration{10 * ms, 40 * ms, 150 * ms, 300 * ms} {
		for _, data := range []bool{true, false} {
			var suspect, dead, outage distribution
			for seed := range uint64(60) {
				direct := Symmetric(rtt)
				s := New(seed, direct, Symmetric(rtt+10*ms, cambridge))
				cut := 20*time.Second + time.Duration(seed)*7*ms
				var m *meter
				if data {
					m = newMeter(s, time.Second, 10*ms, cut+3*time.Second)
				}
				s.At(cut, func() { direct.Out.Cut, direct.In.Cut = true, true })
				s.Run(cut + 3*time.Second)
				suspect = append(suspect, s.A.first(cut, 0, probe.Suspect))
				dead = append(dead, s.A.first(cut, 0, probe.Dead))
				if data {
					outage = append(outage, m.outage(cut-rtt, cut+2*time.Second))
				}
				if s.A.count(0, 1, probe.Dead) != 0 {
					t.Errorf("seed %d: the relayed path died", seed)
				}
				s.checkNeverDeadWhileUp(t)
			}
			t.Logf("rtt %v data %v: suspect %v", rtt, data, suspect)
			t.Logf("rtt %v data %v: dead    %v", rtt, data, dead)
			if suspect.at(0) < 0 || suspect.at(.95) > rtt+125*ms {
				t.Errorf("rtt %v: suspicion takes %v", rtt, suspect)
			}
			if limit := 2*rtt + 500*ms; dead.at(0) < 0 || dead.at(1) > limit {
				t.Errorf("rtt %v: death takes %v", rtt, dead)
			}
			if !data {
				continue
			}
			t.Logf("rtt %v: outage  %v", rtt, outage)
			if outage.at(.95) > rtt+130*ms {
				t.Errorf("rtt %v: outage %v", rtt, outage)
			}
		}
	}
}

func TestReturnToTheDirectPathLosesNothing(t *testing.T) {
	direct := Symmetric(40 * ms)
	s := New(1, direct, Symmetric(50*ms, cambridge))
	m := newMeter(s, time.Second, 10*ms, 60*time.Second)
	s.At(10*time.Second, func() { direct.Out.Cut, direct.In.Cut = true, true })
	s.At(20*time.Second, func() { direct.Out.Cut, direct.In.Cut = false, false })
	s.Run(61 * time.Second)
	if lost, _ := m.lost(12*time.Second, 60*time.Second); lost > 0 {
		t.Errorf("%d packets lost on return", lost)
	}
	for _, sw := range s.A.Switches {
		t.Logf("%v: %d -> %d %s", sw.At, sw.From, sw.To, sw.Why)
	}
	if s.A.Flow().Selected != 0 {
		t.Error("did not return")
	}
}

func TestOneWayBreakMovesOneDirection(t *testing.T) {
	var doubt distribution
	for seed := range uint64(50) {
		direct := Symmetric(40 * ms)
		s := New(seed, direct, Symmetric(60*ms, cambridge))
		cut := 10*time.Second + time.Duration(seed)*7*ms
		s.At(cut, func() { direct.Out.Cut = true })
		m := newMeter(s, time.Second, 10*ms, 40*time.Second)
		s.Run(40 * time.Second)
		if got := s.A.first(cut, 0, probe.Suspect); got < 0 || got > 160*ms {
			t.Errorf("seed %d: A suspects after %v", seed, got)
		}
		if got := s.A.first(cut, 0, probe.Dead); got < 0 || got > 600*ms {
			t.Errorf("seed %d: dead after %v", seed, got)
		}
		if s.A.Flow().Selected != 1 || s.B.Flow().Selected != 0 {
			t.Errorf("seed %d: A uses %d, B uses %d", seed, s.A.Flow().Selected, s.B.Flow().Selected)
		}
		if n := s.B.count(cut, 0, probe.Dead); n != 0 {
			t.Errorf("seed %d: B's direction died", seed)
		}
		if len(s.B.Switches) != 1 {
			t.Errorf("seed %d: B moved: %v", seed, s.B.Switches)
		}
		if got := m.outage(cut, 40*time.Second); got > 170*ms {
			t.Errorf("seed %d: outage %v", seed, got)
		}
		var total time.Duration
		last := time.Duration(-1)
		for _, c := range s.B.Changes {
			if c.Path == 0 && c.To == probe.Suspect {
				last = c.At
			} else if c.Path == 0 && last >= 0 {
				total += c.At - last
				last = -1
			}
		}
		doubt = append(doubt, total)
	}
	t.Logf("B in doubt of its own direction for %v", doubt)
	if doubt.at(.95) > 400*ms {
		t.Errorf("B doubts its working direction for %v", doubt)
	}
}

func TestIsolationDoesNotKillAtOnce(t *testing.T) {
	direct, relayed := Symmetric(40*ms), Symmetric(50*ms, cambridge)
	s := New(3, direct, relayed)
	both := func(cut bool) func() {
		return func() { direct.Out.Cut, direct.In.Cut, relayed.Out.Cut, relayed.In.Cut = cut, cut, cut, cut }
	}
	s.At(10*time.Second, both(true))
	s.At(10*time.Second+700*ms, both(false))
	s.At(20*time.Second, both(true))
	s.At(25*time.Second, both(false))
	m := newMeter(s, time.Second, 10*ms, 30*time.Second)
	s.Run(30 * time.Second)
	if got := s.A.first(0, 0, probe.Dead); got < 20*time.Second || got > 21500*ms {
		t.Errorf("dead at %v", got)
	}
	if got := m.outage(20*time.Second, 30*time.Second); got > 5300*ms {
		t.Errorf("outage of 5 s lasted %v", got)
	}
}

func TestStalledProcessSuspectsNobody(t *testing.T) {
	for seed := range uint64(50) {
		s := New(seed, Symmetric(40*ms), Symmetric(50*ms, cambridge))
		at := 10*time.Second + time.Duration(seed)*3*ms
		s.At(at, func() { s.A.Stall(at + 150*ms) })
		s.Run(12 * time.Second)
		if n := s.A.count(at, -1, probe.Suspect); n > 0 {
			t.Errorf("seed %d: the stalled node suspects %d paths", seed, n)
		}
		if n := s.B.count(at, -1, probe.Dead); n > 0 {
			t.Errorf("seed %d: the peer of the stalled node kills %d paths", seed, n)
		}
		if len(s.A.Switches) > 1 || len(s.B.Switches) > 1 {
			t.Errorf("seed %d: switches %v %v", seed, s.A.Switches, s.B.Switches)
		}
	}
}

func TestIdlePeersTakeTurns(t *testing.T) {
	s := New(1, Symmetric(40*ms))
	for _, e := range []*End{s.A, s.B} {
		e.frozen = true
		e.step(probe.SetActive{Active: false})
		e.step(probe.SetRate{ID: e.base, Rate: probe.Idle})
	}
	s.Run(time.Hour)
	t.Logf("%d and %d probes in an hour", s.A.Pings, s.B.Pings)
	if n := s.A.Pings + s.B.Pings; n < 3600/25 || n > 3600/21 || s.A.State(0) != probe.Up || s.B.State(0) != probe.Up {
		t.Errorf("%d probes in an hour, %s %s", n, s.A.State(0), s.B.State(0))
	}
}

func TestBlackholeAmongNoise(t *testing.T) {
	for _, rtt := range []time.Duration{40 * ms, 150 * ms} {
		var suspect, dead, outage distribution
		for seed := range uint64(100) {
			direct, relayed := Symmetric(rtt), Symmetric(rtt+10*ms, cambridge)
			for _, p := range []*Path{direct, relayed} {
				p.Out.Jitter, p.In.Jitter = .1, .1
				p.Out.Loss, p.In.Loss = .01, .01
			}
			s := New(seed, direct, relayed)
			cut := 20*time.Second + time.Duration(seed)*7*ms
			m := newMeter(s, time.Second, 10*ms, cut+3*time.Second)
			s.At(cut, func() { direct.Out.Cut, direct.In.Cut = true, true })
			s.Run(cut + 3*time.Second)
			suspect = append(suspect, max(0, s.A.first(cut, 0, probe.Suspect)))
			dead = append(dead, s.A.first(cut, 0, probe.Dead))
			outage = append(outage, m.outage(cut-rtt, cut+2*time.Second))
		}
		t.Logf("rtt %v: suspect %v", rtt, suspect)
		t.Logf("rtt %v: dead    %v", rtt, dead)
		t.Logf("rtt %v: outage  %v", rtt, outage)
		if outage.at(.95) > rtt+160*ms || dead.at(0) < 0 || dead.at(1) > 1500*ms {
			t.Errorf("rtt %v: outage %v, dead %v", rtt, outage, dead)
		}
	}
}
