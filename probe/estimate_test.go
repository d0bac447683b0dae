package probe

import (
	"math"
	"testing"
	"time"
)

func TestEstimatorFollowsRFC6298(t *testing.T) {
	var e estimator
	e.add(100*ms, 50*ms)
	if e.mean != 100*ms || e.dev != 50*ms {
		t.Errorf("first: %+v", e)
	}
	e.add(180*ms, 0) // RTTVAR = 3/4 * 50 + 1/4 * 80, SRTT = 7/8 * 100 + 1/8 * 180
	if e.mean != 110*ms || e.dev != 57500*us {
		t.Errorf("second: %+v", e)
	}
}

func TestMinimumIsWindowed(t *testing.T) {
	var m minimum
	at := instant(1e9)
	for _, c := range []struct {
		after   time.Duration
		v, want time.Duration
	}{
		{0, 50 * ms, 50 * ms},
		{time.Second, 40 * ms, 40 * ms},
		{20 * time.Second, 60 * ms, 40 * ms},
		{20 * time.Second, 55 * ms, 40 * ms},
		{15 * time.Second, 70 * ms, 40 * ms},
		{10 * time.Second, 80 * ms, 55 * ms},
		{5 * time.Minute, 90 * ms, 90 * ms},
	} {
		at = at.add(c.after)
		m.add(at, c.v, time.Minute)
		if m.value() != c.want {
			t.Errorf("at %v: %v, want %v", time.Duration(at), m.value(), c.want)
		}
	}
}

func TestMedianOfTheLastFive(t *testing.T) {
	var r recent
	if r.median() != 0 {
		t.Error("median of nothing")
	}
	for i, want := range []time.Duration{9, 9, 9, 9, 5, 5, 5} {
		r.add([]time.Duration{9, 1, 100, 5, 2, 7, 3}[i])
		if r.median() != want {
			t.Errorf("after %d: %d, want %d", i+1, r.median(), want)
		}
	}
}

func TestLowerBound(t *testing.T) {
	for _, c := range []struct {
		lost, sent int
		want       float64
	}{
		{0, 0, 0},
		{0, 30, 0},
		{1, 30, 0},
		{1, 1, 0},
		{2, 30, .0046},
		{10, 30, .1488},
		{31, 30, .8472},
		{301, 1000, .2674},
	} {
		if got := (Loss{Sent: c.sent, Lost: c.lost}).Low(); math.Abs(got-c.want) > .001 {
			t.Errorf("%d of %d: %.4f, want %.4f", c.lost, c.sent, got, c.want)
		}
	}
}

func TestUpperBound(t *testing.T) {
	for _, c := range []struct {
		lost, sent int
		want       float64
	}{
		{0, 0, 1},
		{0, 30, .1528},
		{1, 30, .2047},
		{3, 30, .2934},
		{30, 30, 1},
		{10, 1000, .0204},
	} {
		if got := (Loss{Sent: c.sent, Lost: c.lost}).High(); math.Abs(got-c.want) > .001 {
			t.Errorf("%d of %d: %.4f, want %.4f", c.lost, c.sent, got, c.want)
		}
	}
}

func TestP95IsOfTheLatestSamples(t *testing.T) {
	var d tail
	if d.p95() != 0 {
		t.Error("percentile of nothing")
	}
	for i := range 20 {
		d.add(time.Duration(20-i) * ms)
	}
	if d.p95() != 19*ms {
		t.Errorf("of 1 to 20 ms: %v", d.p95())
	}
	for range tailLen {
		d.add(5 * ms)
	}
	if d.p95() != 5*ms || len(d.micros) != tailLen {
		t.Errorf("%v of %d samples", d.p95(), len(d.micros))
	}
	for range tailLen/20 + 1 {
		d.add(70 * ms)
	}
	if d.p95() != 70*ms {
		t.Errorf("with more than a twentieth of 70 ms: %v", d.p95())
	}
}

func TestMaximumIsWindowed(t *testing.T) {
	var m maximum
	at := instant(1e9)
	for _, c := range []struct {
		after   time.Duration
		v, want int64
	}{{0, 5, 5}, {time.Second, 9, 9}, {4 * time.Second, 7, 9}, {5 * time.Second, 6, 9}, {3 * time.Second, 3, 7}} {
		at = at.add(c.after)
		m.add(at, c.v, 10*time.Second)
		if got := m.value(at, 10*time.Second); got != c.want {
			t.Errorf("at %v: %v, want %v", time.Duration(at), got, c.want)
		}
	}
	if got := m.value(at.add(time.Minute), 10*time.Second); got != 0 {
		t.Errorf("a minute later: %v", got)
	}
}

func TestWindow(t *testing.T) {
	var w window
	sent, got := uint32(math.MaxUint32-50), uint32(math.MaxUint32-20) // counters wrap
	at := instant(0)
	for i := range 200 {
		at = at.add(100 * ms)
		sent++
		if i < 100 || i%2 == 0 {
			got++
		}
		w.add(at, sent, got, probeGap, probeStep)
	}
	l := w.loss(windowMarks)
	if l.Sent < 24 || l.Sent > 27 || math.Abs(l.Rate()-.5) > .05 {
		t.Errorf("%+v", l)
	}
	if r := w.loss(recentMarks); r.Sent < 6 || r.Sent > 9 {
		t.Errorf("recent %+v", r)
	}
	w.add(at, 1, 1, probeGap, probeStep) // the other side began anew
	if l := w.loss(windowMarks); l.Sent != 0 || l.Lost != 0 {
		t.Errorf("after a reset: %+v", l)
	}
}
