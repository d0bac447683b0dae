package pair

import (
	"testing"
	"time"

	"overlayd/probe"
)

// gaps notes the longest time without an arrival at B of packets that A sends every 5 ms.
type gaps struct {
	last, longest time.Duration
}

const spacing = 5 * ms

func startGaps(s *Sim, from, until time.Duration) *gaps {
	g := &gaps{}
	var send func()
	send = func() {
		s.A.Send(200, func() {
			if g.last > 0 {
				g.longest = max(g.longest, s.Now()-g.last)
			}
			g.last = s.Now()
		})
		if s.Now() < until {
			s.At(s.Now()+spacing, send)
		}
	}
	s.At(from, send)
	return g
}

// The path in use is cut without a word; another stands by. What an application sees is the longest gap between arrivals,
// less the spacing of the packets, and less what the other path is longer by.
func TestOutageOfASilentCut(t *testing.T) {
	const extra = 5 * ms // one way
	for _, rtt := range []time.Duration{10 * ms, 40 * ms, 150 * ms, 300 * ms} {
		for _, noisy := range []bool{false, true} {
			var outage, dead distribution
			for seed := range seeds(200) {
				direct, relayed := Symmetric(rtt), Symmetric(rtt+2*extra, cambridge)
				if noisy {
					for _, p := range []*Path{direct, relayed} {
						p.Out.Jitter, p.In.Jitter, p.Out.Loss, p.In.Loss = .1, .1, .01, .01
					}
				}
				s := New(seed, direct, relayed)
				cut := 12*time.Second + time.Duration(seed)*7*ms
				g := startGaps(s, 8*time.Second, cut+2*time.Second)
				s.At(cut-rtt, func() { g.longest = 0 })
				s.At(cut, func() { direct.Out.Cut, direct.In.Cut = true, true })
				s.Run(cut + 3*time.Second)
				if s.A.Flow().Selected != 1 {
					t.Errorf("rtt %v, seed %d: path %d is selected", rtt, seed, s.A.Flow().Selected)
				}
				outage = append(outage, g.longest-spacing-extra)
				dead = append(dead, s.A.first(cut, 0, probe.Dead))
			}
			t.Logf("rtt %v, noise %v: outage %v; dead after %v", rtt, noisy, outage, dead)
			if limit := rtt + 160*ms; outage.at(.95) >= limit {
				t.Errorf("rtt %v, noise %v: outage %v, want 95%% under %v", rtt, noisy, outage, limit)
			}
		}
	}
}

// 1% loss and 10% jitter on two paths, one of them with data, for hours: nothing dies, and hardly anything moves.
func TestNoiseMovesNothing(t *testing.T) {
	span := hours(t, 1)
	moved, pathHours := 0, 0.
	for _, rtt := range []time.Duration{40 * ms, 150 * ms} {
		direct, relayed := Symmetric(rtt), Symmetric(rtt+4*ms, cambridge)
		for _, p := range []*Path{direct, relayed} {
			p.Out.Jitter, p.In.Jitter, p.Out.Loss, p.In.Loss = .1, .1, .01, .01
		}
		s := New(5, direct, relayed)
		newMeter(s, time.Second, 50*ms, span)
		s.Run(span)
		for _, e := range []*End{s.A, s.B} {
			dead, suspects, switches := e.count(0, -1, probe.Dead), e.count(0, -1, probe.Suspect), len(e.Switches)-1
			t.Logf("rtt %v, %s: %v, %d pings, %d suspicions, %d deaths, %d switches", rtt, e.name, span, e.Pings, suspects, dead,
				switches)
			if dead > 0 {
				t.Errorf("rtt %v, %s: %d false deaths", rtt, e.name, dead)
			}
			moved += switches
			pathHours += span.Hours() * float64(len(s.Paths))
		}
	}
	if float64(moved) >= pathHours {
		t.Errorf("%d false switches in %.0f hours of a path", moved, pathHours)
	}
}
