package probe

import (
	"math"
	"slices"
	"time"
)

// estimator smooths a delay and its deviation as RFC 6298 section 2 does: alpha 1/8, beta 1/4.
type estimator struct {
	mean, dev time.Duration
	n         int
}

// add takes a sample. The first one sets the mean, and the deviation to initial.
func (e *estimator) add(x, initial time.Duration) {
	if e.n == 0 {
		e.mean, e.dev = x, initial
	} else {
		diff := x - e.mean
		e.dev += (max(diff, -diff) - e.dev) / 4
		e.mean += diff / 8
	}
	e.n++
}

// minimum is the least sample of a sliding window, kept in three samples: the estimator of Kathleen Nichols that
// Linux has as lib/win_minmax.c (there for BBR).
type minimum struct {
	s [3]minSample
}

type minSample struct {
	at instant
	v  time.Duration
}

func (m *minimum) reset(at instant, v time.Duration) {
	m.s = [3]minSample{{at, v}, {at, v}, {at, v}}
}

func (m *minimum) add(at instant, v, window time.Duration) {
	x := minSample{at, v}
	if m.s[0].at == 0 && m.s[0].v == 0 || v <= m.s[0].v || at.sub(m.s[2].at) > window {
		m.reset(at, v)
		return
	}
	if v <= m.s[1].v {
		m.s[1], m.s[2] = x, x
	} else if v <= m.s[2].v {
		m.s[2] = x
	}
	m.subwindow(x, window)
}

// subwindow moves the second and third best up as the best ages, and refreshes them so that they differ in age.
func (m *minimum) subwindow(x minSample, window time.Duration) {
	age := x.at.sub(m.s[0].at)
	switch {
	case age > window:
		m.s[0], m.s[1], m.s[2] = m.s[1], m.s[2], x
		if x.at.sub(m.s[0].at) > window {
			m.s[0], m.s[1], m.s[2] = m.s[1], m.s[2], x
		}
	case m.s[1].at == m.s[0].at && age > window/4:
		m.s[1], m.s[2] = x, x
	case m.s[2].at == m.s[1].at && age > window/2:
		m.s[2] = x
	}
}

func (m *minimum) value() time.Duration { return m.s[0].v }

// maximum is the same for the greatest sample.
type maximum struct{ negated minimum }

func (m *maximum) add(at instant, v int64, window time.Duration) {
	m.negated.add(at, -time.Duration(v), window)
}

// value is the greatest sample that is in the window now, zero if there is none.
func (m *maximum) value(now instant, window time.Duration) int64 {
	for _, s := range m.negated.s {
		if s.v != 0 && now.sub(s.at) <= window {
			return -int64(s.v)
		}
	}
	return 0
}

// tail holds more raw samples, for the 95th percentile. It grows as samples come, to 256 bytes.
type tail struct {
	micros []uint32
	n      int // samples ever
}

const tailLen = 64 // about 6 s at the fast rate

func (t *tail) add(v time.Duration) {
	us := uint32(min(v.Microseconds(), math.MaxUint32))
	if len(t.micros) < tailLen {
		t.micros = append(t.micros, us)
	} else {
		t.micros[t.n%tailLen] = us
	}
	t.n++
}

// p95 is the sample that 95% of those held do not exceed: the inverse of the empirical distribution, type 1 of
// R. J. Hyndman and Y. Fan, "Sample quantiles in statistical packages", The American Statistician 50 (1996).
func (t *tail) p95() time.Duration {
	n := len(t.micros)
	if n == 0 {
		return 0
	}
	var sorted [tailLen]uint32
	copy(sorted[:], t.micros)
	slices.Sort(sorted[:n])
	return time.Duration(sorted[(95*n+99)/100-1]) * time.Microsecond
}

// recent holds the last few raw samples.
type recent struct {
	v [5]time.Duration
	n int // samples ever
}

func (r *recent) add(v time.Duration) {
	r.v[r.n%len(r.v)] = v
	r.n++
}

// median is the middle one of the samples held, the upper one of two; zero if there is none.
func (r *recent) median() time.Duration {
	n := min(r.n, len(r.v))
	if n == 0 {
		return 0
	}
	sorted := r.v
	slices.Sort(sorted[:n])
	return sorted[n/2]
}
