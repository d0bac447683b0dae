package pair

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"overlayd/internal/blame"
	"overlayd/internal/wire"
	"overlayd/probe"
)

// only is a run over one relayed path on which A sends 100 data packets a second, evenly or at random.
func only(seed uint64, rtt, until time.Duration, even bool) (*Sim, *Path) {
	p := Symmetric(rtt, cambridge)
	s := New(seed, p)
	if even {
		newMeter(s, time.Second, 10*ms, until)
	} else {
		startPoisson(s, seed, 200, until)
	}
	return s, p
}

// startPoisson sends 100 packets a second from A at random times.
func startPoisson(s *Sim, seed uint64, size int, until time.Duration) {
	rng := rand.New(rand.NewPCG(seed, 7))
	var send func()
	send = func() {
		s.A.Send(size, func() {})
		if next := s.Now() + time.Duration(rng.ExpFloat64()*float64(10*ms)); next < until {
			s.At(next, send)
		}
	}
	s.At(time.Second, send)
}

// watch looks at A's verdict on a path every 50 ms and hands it on.
func watch(s *Sim, path int, from, until time.Duration, look func(probe.Data)) {
	for at := from; at < until; at += 50 * ms {
		s.At(at, func() { look(s.A.Measure(path).Data) })
	}
}

// detection is how long after start the verdict first is want; negative if it never is.
func detection(s *Sim, start, until time.Duration, want probe.Verdict) (after time.Duration, found probe.Data) {
	for s.Run(start); s.Now() < until; s.Run(s.Now() + 50*ms) {
		if found = s.A.Measure(0).Data; found.Verdict == want {
			return s.Now() - start, found
		}
	}
	return -1, found
}

func seeds(full int) uint64 {
	if testing.Short() {
		return uint64(full / 5)
	}
	return uint64(full)
}

func TestDroppedDataIsFoundInTime(t *testing.T) {
	for _, c := range []struct {
		loss  float64
		limit time.Duration
	}{{1, 1500 * ms}, {.2, 10 * time.Second}, {.05, 45 * time.Second}} {
		for _, even := range []bool{true, false} {
			var took distribution
			for seed := range seeds(100) {
				until := 15*time.Second + 2*c.limit
				s, p := only(seed, 40*ms, until, even)
				start := 15*time.Second + time.Duration(seed)*7*ms
				s.At(start, func() { p.Out.DataLoss = c.loss })
				after, found := detection(s, start, until, probe.DropsData)
				if after < 0 {
					t.Errorf("loss %.0f%%, seed %d: not found: %v", 100*c.loss, seed, &found)
					after = 2 * c.limit
				}
				if seed == 0 {
					t.Log(&found)
				}
				took = append(took, after)
			}
			t.Logf("loss %.0f%%, evenly sent %v: found after %v", 100*c.loss, even, took)
			if took.at(.95) > c.limit {
				t.Errorf("loss %.0f%%: found after %v", 100*c.loss, took)
			}
		}
	}
}

func TestDelayedDataIsFound(t *testing.T) {
	for _, delay := range []time.Duration{50 * ms, 200 * ms, 600 * ms} {
		for _, even := range []bool{true, false} {
			var took distribution
			for seed := range uint64(100) { // of a fifth of them the 95th percentile would be the slowest
				s, p := only(seed, 40*ms, 50*time.Second, even)
				p.Out.Jitter, p.In.Jitter = .1, .1
				p.Out.Loss, p.In.Loss = .01, .01
				start := 30*time.Second + time.Duration(seed)*7*ms
				s.At(start, func() { p.Out.DataDelay = delay })
				after, found := detection(s, start, 50*time.Second, probe.DelaysData)
				if after < 0 {
					t.Errorf("%v, seed %d: not found", delay, seed)
					after = 20 * time.Second
				}
				if found.Extra > delay+20*ms || found.Extra < delay-40*ms {
					t.Errorf("%v, seed %d: %v", delay, seed, &found)
				}
				if seed == 0 {
					t.Log(&found)
				}
				took = append(took, after)
			}
			t.Logf("data later by %v, evenly sent %v: found after %v", delay, even, took)
			if limit := 3 * time.Second; took.at(.95) > limit && (even || delay > 50*ms) || took.at(.95) > 2*limit {
				t.Errorf("data later by %v: found after %v", delay, took)
			}
		}
	}
}

// tallied are the verdicts of a run.
type tallied struct {
	looks, congested, accused int
	last                      probe.Data // the last that accuses
}

// verdicts runs until the end and counts the verdicts on the way.
func verdicts(s *Sim, from, until time.Duration) (n tallied) {
	for at := from; at < until; at += time.Minute { // not all at once: the agenda would be long
		s.At(at, func() {
			watch(s, 0, at, min(at+time.Minute, until), func(d probe.Data) {
				n.looks++
				if d.Accuses() {
					n.accused++
					n.last = d
				}
				if d.Verdict == probe.Congested {
					n.congested++
				}
			})
		})
	}
	s.Run(until)
	return n
}

// OVERLAYD_SIM_HOURS is how long the noise lasts, 24 in make sim.
func hours(t *testing.T, normal int) time.Duration {
	if s := os.Getenv("OVERLAYD_SIM_HOURS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		return time.Duration(n) * time.Hour
	}
	return time.Duration(normal) * time.Hour
}

func TestNoiseIsNotTakenForDropping(t *testing.T) {
	for _, c := range []struct {
		name         string
		loss, jitter float64
		burst        time.Duration // the path is cut for so long, a hundredth of the time
		reorder      bool
		share        time.Duration // of the time
	}{
		{"1% loss, 10% jitter", .01, .1, 0, false, 1},
		{"the same, reordered", .01, .1, 0, true, 4},
		{"10% loss", .1, .1, 0, false, 8},
		{"30% loss", .3, .1, 0, false, 8},
		{"30% jitter, reordered", .01, .3, 0, true, 8},
		{"bursts of 30 ms", 0, .1, 30 * ms, false, 8},
		{"bursts of 150 ms", 0, .1, 150 * ms, false, 8},
	} {
		span := hours(t, 1) / c.share
		s, p := only(11, 40*ms, span, false)
		p.Out.Jitter, p.In.Jitter, p.Out.Loss, p.In.Loss = c.jitter, c.jitter, c.loss, c.loss
		p.Out.Reorder, p.In.Reorder = c.reorder, c.reorder
		if c.burst > 0 {
			breaks(s, p, c.burst, span)
		}
		n := verdicts(s, 0, span)
		m := s.A.Measure(0)
		t.Logf("%s: %v, accused at %d of %d looks, called full at %d; now %v; runs of %.1f, %.1f%% reordered", c.name,
			span, n.accused, n.looks, n.congested, &m.Data, m.BurstOut, 100*m.ReorderedOut)
		if n.accused > 0 || n.congested > n.looks/30 {
			t.Errorf("%s: accused at %d of %d looks, called full at %d: %v", c.name, n.accused, n.looks, n.congested, &n.last)
		}
		if dead := s.A.count(0, -1, probe.Dead) + s.B.count(0, -1, probe.Dead); dead > 0 {
			t.Errorf("%s: %d false deaths", c.name, dead)
		}
	}
}

// breaks interrupts a path at random, a hundredth of the time.
func breaks(s *Sim, p *Path, length, until time.Duration) {
	rng := rand.New(rand.NewPCG(1, 2))
	var next func()
	next = func() {
		p.Out.Cut = true
		s.At(s.Now()+length, func() { p.Out.Cut = false })
		if at := s.Now() + length + time.Duration(rng.ExpFloat64()*float64(99*length)); at < until {
			s.At(at, next)
		}
	}
	s.At(time.Second, next)
}

// A bottleneck that data overfills by half drops data, and hardly any probe, since those are small. Nobody is accused.
func TestCongestionIsNotTakenForDropping(t *testing.T) {
	for _, c := range []struct {
		name  string
		every time.Duration
		limit time.Duration
	}{
		{"840 kbit/s, long queue", 10 * ms, 200 * ms},
		{"7.5 Mbit/s, long queue", ms, 100 * ms},
		{"7.5 Mbit/s, short queue", ms, 20 * ms},
		{"7.5 Mbit/s, hardly longer than the noise", ms, 10 * ms},
	} {
		for seed := range seeds(10) {
			const size = 1400
			uplink := &Queue{Rate: size / 1.5 / c.every.Seconds(), Limit: c.limit}
			p := Symmetric(40*ms, cambridge)
			p.Out.Queue, p.Out.Jitter, p.In.Jitter = uplink, .05, .05
			s := New(seed, p)
			m := newMeter(s, 10*time.Second, c.every, 70*time.Second)
			m.size = size
			n := verdicts(s, 0, 70*time.Second)
			got := s.A.Measure(0)
			if seed == 0 {
				t.Logf("%s: %v; %.0f bytes/s achievable of %.0f", c.name, &got.Data, got.Achievable, uplink.Rate)
			}
			if n.accused > 0 || n.congested < n.looks/2 {
				t.Errorf("%s, seed %d: accused at %d of %d looks, called full at %d: %v", c.name, seed, n.accused, n.looks,
					n.congested, &n.last)
			}
			if got.Achievable < .9*uplink.Rate || got.Achievable > 1.1*uplink.Rate {
				t.Errorf("%s, seed %d: %.0f bytes/s achievable of %.0f", c.name, seed, got.Achievable, uplink.Rate)
			}
		}
	}
}

// A full path that also drops data is not accused while it is full: there is no telling. Afterwards it is.
func TestDroppingIsFoundOnceTheQueueIsGone(t *testing.T) {
	for seed := range seeds(20) {
		p := Symmetric(40*ms, cambridge)
		p.Out.Queue = &Queue{Rate: 5e6 / 8, Limit: 200 * ms}
		p.Out.DataLoss = .2
		s := New(seed, p)
		m := newMeter(s, 5*time.Second, 2*ms, 30*time.Second)
		m.size = 1400
		newMeter(s, 30*time.Second, 10*ms, 60*time.Second)
		after, found := detection(s, 30*time.Second, 60*time.Second, probe.DropsData)
		if after < 0 || after > 15*time.Second {
			t.Errorf("seed %d: found after %v: %v", seed, after, &found)
		}
	}
}

// A bulk transfer fills and drains its bottleneck all the time.
func TestTCPIsNotTakenForDropping(t *testing.T) {
	for seed := range seeds(10) {
		p := Symmetric(40*ms, cambridge)
		p.Out.Queue = &Queue{Rate: 50e6 / 8, Limit: []time.Duration{200 * ms, 40 * ms, 10 * ms}[seed%3]}
		p.Out.Jitter, p.In.Jitter = .02, .02
		s := New(seed, p)
		startTCP(s, 10*time.Second, 60*time.Second, 20*ms)
		n := verdicts(s, 0, 60*time.Second)
		got := s.A.Measure(0)
		t.Logf("queue of %v: %v; %.1f Mbit/s achievable", p.Out.Queue.Limit, &got.Data, got.Achievable*8/1e6)
		if n.accused > 0 {
			t.Errorf("seed %d: accused at %d of %d looks: %v", seed, n.accused, n.looks, &n.last)
		}
		if mbit := got.Achievable * 8 / 1e6; mbit < 40 || mbit > 60 {
			t.Errorf("seed %d: %.1f Mbit/s achievable of 50", seed, mbit)
		}
	}
}

// finding is what the ledger makes of a verdict.
func finding(v probe.Verdict) blame.Finding {
	switch v {
	case probe.Honest:
		return blame.Clean
	case probe.DropsData:
		return blame.Dropped
	case probe.DelaysData:
		return blame.Delayed
	default:
		return blame.Nothing
	}
}

// The choice of paths leaves a bad relay before it is certain what it does, and comes back later. Evidence adds up over
// these tries, and the ledger finds the guilty one among three paths, and nobody else.
func TestGuiltyRelayIsFoundOverSeveralTries(t *testing.T) {
	boston := wire.NodeID{99}
	for _, c := range []struct {
		name string
		harm func(p *Pipe)
	}{
		{"drops all", func(p *Pipe) { p.DataLoss = 1 }},
		{"drops 20%", func(p *Pipe) { p.DataLoss = .2 }},
		{"delays by 200 ms", func(p *Pipe) { p.DataDelay = 200 * ms }},
	} {
		var took distribution
		for seed := range seeds(30) {
			bad, good, direct := Symmetric(20*ms, cambridge), Symmetric(40*ms, francisco), Symmetric(60*ms)
			s := New(seed, direct, bad, good)
			newMeter(s, time.Second, 10*ms, 180*time.Second)
			start := 20*time.Second + time.Duration(seed)*7*ms
			s.At(start, func() { c.harm(&bad.Out) })
			ledger, after := blame.New(), time.Duration(-1)
			for s.Run(start); s.Now() < 180*time.Second && after < 0; s.Run(s.Now() + time.Second) {
				for i, p := range s.Paths {
					d := s.A.Measure(i).Data
					e := blame.Evidence{
						Peer: boston, Path: wire.PathID(i), Relays: p.Via, Finding: finding(d.Verdict), At: d.At, Why: d.String(),
					}
					if err := ledger.Step(s.A.wall(), e); err != nil {
						t.Fatal(err)
					}
				}
				if _, _, found := ledger.Quarantined(s.A.wall(), cambridge, boston); found {
					after = s.Now() - start
				}
				if _, why, found := ledger.Quarantined(s.A.wall(), francisco, boston); found {
					t.Errorf("%s, seed %d: the honest relay is quarantined: %s", c.name, seed, why)
				}
			}
			if after < 0 {
				t.Errorf("%s, seed %d: not found", c.name, seed)
			}
			took = append(took, after)
		}
		t.Logf("%s: quarantined after %v", c.name, took)
	}
}
