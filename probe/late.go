package probe

import (
	"slices"
	"time"
)

// lateness holds by how much the latest probes overtook data. A single one says little: the packet before a probe may be
// lost, which looks the same, and when exactly a packet was sent is estimated. So data counts as held back if for two
// seconds nearly every probe overtook some, and half of them by more than a limit. Where data and probes share a queue,
// a probe overtakes data only where packets are reordered, by as much as the delay varies.
type lateness struct {
	samples [lateSamples]lateSample
	n       int // samples ever
}

type lateSample struct {
	at    instant
	extra time.Duration
}

const (
	lateSamples = 32
	leastLate   = 8
	lateFor     = 2 * time.Second
	lateFrom    = lateFor - 300*time.Millisecond // the oldest sample of them is so old at least
	leastExtra  = 30 * time.Millisecond
)

func (l *lateness) add(at instant, extra time.Duration) {
	l.samples[l.n%lateSamples] = lateSample{at, extra}
	l.n++
}

// certain is by how much data is later than probes, and for how long it was, if that is beyond doubt; otherwise zero.
func (l *lateness) certain(limit time.Duration) (extra, span time.Duration) {
	if l.n == 0 {
		return 0, 0
	}
	var extras [lateSamples]time.Duration
	n, newest := 0, l.samples[(l.n-1)%lateSamples].at
	for _, s := range l.samples[:min(l.n, lateSamples)] {
		if age := newest.sub(s.at); age <= lateFor {
			extras[n] = s.extra
			span = max(span, age)
			n++
		}
	}
	full := n == lateSamples // many quick probes
	if n < leastLate || span < lateFrom && !full {
		return 0, 0
	}
	slices.Sort(extras[:n])
	if extras[n/10] < limit/2 || extras[n/2] < limit {
		return 0, 0
	}
	return extras[n/2], span
}
