package probe

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"overlayd/internal/wire"
)

func TestFisher(t *testing.T) {
	for _, c := range []struct {
		n, x, m, y int
		want       float64 // by hand, from the binomials
	}{
		{3, 3, 1, 0, 1. / 4},
		{2, 2, 2, 0, 1. / 6},
		{4, 3, 4, 1, 17. / 70}, // the lady who tastes tea
		{4, 4, 4, 0, 1. / 70},
		{5, 0, 5, 0, 1},
		{5, 1, 5, 5, 1},
		{10, 2, 5, 3, 1 - 51./3003}, // all but four or five of the five that were lost
	} {
		if got := math.Exp(fisher(c.n, c.x, c.m, c.y)); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%d of %d data, %d of %d probes: %v, want %v", c.x, c.n, c.y, c.m, got, c.want)
		}
	}
}

func TestDesignEffect(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct {
		burst    float64
		from, to float64
	}{{1, 1, 1.05}, {5, 3, 6}, {10, 6, 12}} {
		var k clustered
		for range 400 {
			lost := 0.
			for range int(20 / c.burst) {
				if rng.Float64() < .1 {
					lost += c.burst
				}
			}
			k.add(20, lost)
		}
		if got := k.effect(); got < c.from || got > c.to {
			t.Errorf("losses in bursts of %v: effect %v", c.burst, got)
		}
	}
	var all clustered
	for range 9 {
		all.add(10, 10)
	}
	if all.effect() != 1 {
		t.Errorf("everything lost: effect %v", all.effect())
	}
}

// feed is a path on which a probe passes every 100 ms, after ten data packets.
type feed struct {
	e       evidence
	s       sample
	arrived float64
}

func (f *feed) run(span time.Duration, loss, probeLoss float64, queued bool) {
	for range int(span / (100 * ms)) {
		f.s.at = f.s.at.add(100 * ms)
		f.s.settled += 10
		f.arrived += 10 * (1 - loss)
		f.s.arrived = uint32(uint64(f.arrived))
		f.s.latest = f.s.settled
		f.s.seq++
		f.s.queued = queued
		if f.s.seq*37%100 >= uint32(100*probeLoss) {
			f.s.probes++
		}
		f.e.add(f.s, ms)
	}
}

func newFeed() *feed {
	f := &feed{s: sample{at: 1e9, settled: math.MaxUint32 - 500, arrived: 77}, arrived: 77} // counters wrap
	f.e.add(f.s, ms)
	return f
}

func TestVerdicts(t *testing.T) {
	for _, c := range []struct {
		name string
		run  func(f *feed)
		want Verdict
		says string
	}{
		{"nothing sent", func(*feed) {}, Undecided, "too little"},
		{"too little", func(f *feed) { f.run(300*ms, 1, 0, false) }, Undecided, "too little"},
		{"clean", func(f *feed) { f.run(10*time.Second, 0, 0, false) }, Honest, "fares as probes do"},
		{"lost alike", func(f *feed) { f.run(time.Minute, .3, .3, false) }, Honest, "fares as probes do"},
		{"all lost", func(f *feed) { f.run(time.Second, 1, 0, false) }, DropsData, "100.0% of 100 packets"},
		{"20% lost", func(f *feed) { f.run(10*time.Second, .2, 0, false) }, DropsData, "data is dropped"},
		{"5% lost", func(f *feed) { f.run(45*time.Second, .05, 0, false) }, DropsData, "data is dropped"},
		{"suspicious", func(f *feed) { f.run(3*time.Second, .2, 0, false) }, Undecided, "may be dropped"},
		{"1% lost", func(f *feed) { f.run(5*time.Minute, .01, 0, false) }, Honest, "fares as probes do"},
		{"lost with a queue", func(f *feed) { f.run(20*time.Second, .3, 0, true) }, Congested, "the path is full"},
		{"lost with a queue at times", func(f *feed) {
			for range 4 {
				f.run(2*time.Second, .3, 0, true)
				f.run(2*time.Second, 0, 0, false)
			}
		}, Congested, "the path is full"},
		{"over again", func(f *feed) {
			f.run(10*time.Second, .2, 0, false)
			f.run(12*time.Second, 0, 0, false)
		}, Honest, "fares as probes do"},
		{"a little in each of several tries", func(f *feed) {
			for range 5 {
				f.run(2*time.Second, .2, 0, false)
				f.s.at = f.s.at.add(30 * time.Second)
			}
		}, DropsData, "data is dropped"},
	} {
		f := newFeed()
		c.run(f)
		d, _ := f.e.verdict(f.s.at)
		if d.Verdict != c.want || !strings.Contains(d.String(), c.says) || d.Accuses() != (d.Confidence > .999) {
			t.Errorf("%s: %s: %v, confidence %v", c.name, d.Verdict, &d, d.Confidence)
		}
		if d, _ := f.e.verdict(f.s.at.add(2 * verdictFor)); d.Verdict != Undecided {
			t.Errorf("%s: %s long after", c.name, d.Verdict)
		}
	}
}

func TestEvidenceBeginsAnewWithThePeer(t *testing.T) {
	f := newFeed()
	f.run(10*time.Second, .2, 0, false)
	f.s.probes, f.s.arrived, f.arrived = 0, 0, 0
	f.run(5*time.Second, 0, 0, false)
	if d, _ := f.e.verdict(f.s.at); d.Verdict != Honest || d.DataLoss != 0 {
		t.Errorf("%v", &d)
	}
}

func TestEvidenceIsBounded(t *testing.T) {
	f := newFeed()
	f.run(time.Hour, .01, .01, false)
	if len(f.e.fine.list) > fineMarks || len(f.e.coarse.list) > coarseMarks {
		t.Errorf("%d and %d marks", len(f.e.fine.list), len(f.e.coarse.list))
	}
}

func TestLateness(t *testing.T) {
	const d = 100 * ms
	for _, c := range []struct {
		name   string
		extras []time.Duration // of each second probe in turn
		n      int
		want   time.Duration
	}{
		{"not late", []time.Duration{0}, 40, 0},
		{"late", []time.Duration{d}, 40, d},
		{"late for too short", []time.Duration{d}, 15, 0},
		{"every other one", []time.Duration{0, d}, 40, 0},
		{"a little", []time.Duration{20 * ms}, 40, 0},
		{"around the delay", []time.Duration{d - 20*ms, d, d + 20*ms}, 40, d},
	} {
		var l lateness
		at := instant(5e9)
		for i := range c.n {
			at = at.add(95 * ms)
			l.add(at, c.extras[i%len(c.extras)])
		}
		if got, span := l.certain(leastExtra); got != c.want || (span > 0) != (got > 0) {
			t.Errorf("%s: %v for %v, want %v", c.name, got, span, c.want)
		}
	}
}

// Data of which a probe that is sent after it finds nothing is late, or lost: which one, its sequence tells.
func TestOvertakenData(t *testing.T) {
	a := &path{open: 1, delivered: never, lastSent: never, evidence: new(evidence)}
	c := &fakeCounts{}
	a.counts = c
	at := instant(1e9)
	for range 20 { // ten packets, of twenty of the session, before each probe
		c.sent, c.sentSeq = c.sent+10, c.sentSeq+20
		at = at.add(100 * ms)
		a.push(at, 1)
	}
	e := a.sent(20)
	for _, x := range []struct {
		latest  uint32
		settled uint32
		extra   time.Duration
	}{
		{400, 200, 0},
		{500, 200, 0},
		{380, 190, 95 * ms}, // the next one was sent soon after probe 19
		{390, 195, 45 * ms},
		{360, 180, 195 * ms},
		{100, 170, 1495 * ms}, // everything 300 ms before the probe is lost, or later than that
	} {
		got, ok := a.overtaken(e, x.latest)
		if !ok || got.settled != x.settled || got.extra != x.extra {
			t.Errorf("latest %d: %+v, want %+v", x.latest, got, x)
		}
	}
	c.sentSeq = 10 // a new session
	a.push(at.add(100*ms), 1)
	if got, ok := a.overtaken(a.sent(21), 5); !ok || got.settled != 200 || got.extra != 0 {
		t.Errorf("in a new session: %+v", got)
	}
}

// An answer in the name of the peer takes its key, which no relay has. What it can do is answer for another probe, and
// that one was not sent then.
func TestAnswersToProbesThatWereNotSentSayNothing(t *testing.T) {
	r := newRig(t)
	r.up(time.Second, Selected)
	c := r.data[1]
	r.run(10*time.Second, func(ping SendPing) {
		c.sent, c.sentSeq = c.sent+10, c.sentSeq+10
		forged := ping
		forged.Ping.Seq += 1000
		forged.Ping.Sent += wire.Stamp(ms)
		heard := uint32(c.sent)
		r.pong(forged, 1, 40*ms, wire.Report{Path: 1, LastSeq: forged.Ping.Seq, Probes: 1, Data: heard, DataSeq: c.sentSeq})
	})
	if m := r.measure(1); m.Data.Verdict != Undecided || m.State == Up {
		t.Errorf("%s, %v", m.State, &m.Data)
	}
}
