package probe

import (
	"math"
	"time"
)

// evidence finds out whether data on a path fares as the probes do, from what the reports of answered probes say: how
// much data had arrived when the probe did, and which packet was the latest (wire.DataSeq). It looks at the interval
// between each two of them.
//
//	sent       d1 d2 d3 P1 d4 d5 d6 d7 P2          what was sent up to the latest packet that arrived is either there
//	arrived    d1    d3 P1 d4 d5       P2 d6 d7    or lost: d2. What was sent after it, but before the probe, is late:
//	                                               d6 and d7, which P2 has overtaken
//
// Dropped. Data and probes of the same intervals are compared with Fisher's test, in windows of half a second to a minute.
// It is made ten times a second in each of them, so an error must be rare in a single one: one in ten million (alarm). To
// be so certain takes 16 probes that would have been lost as well, thus windows of 1.6 s by the loss rate. Of windows that
// long, and hardly overlapping, a day has 16,000 at a loss rate of 10%, and none at 1%.
//
// Probes are few, so a path in use on which data seems to fare worse gets quick ones for a while (doubt).
//
// Congested. Drop-tail losses come with a queue, and large packets find less room in it than probes. So intervals in
// which a probe had to wait (see calm) prove nothing against anybody and are counted by themselves. Who delays probes in
// order to be taken for a full path makes the path look long and lossy, and loses it that way.
//
// Delayed. A probe that overtakes data all the time, and by more than the path varies, is not treated as data is.
//
// What can not be told apart: a relay that drops data, and a link that loses large packets only.
type evidence struct {
	last   sample
	total  sums
	fine   marks
	coarse marks
	worst  int32 // greatest difference of what was sent and arrived so far
	late   lateness
	noise  time.Duration // of the delay outward

	doubted instant // when quick probes began; zero: never
	found   Data
	foundAt instant
}

// sample is what was known when a report was made that answers a probe. Counts are modulo 2^32.
type sample struct {
	at          instant
	seq, probes uint32 // probes sent and arrived
	settled     uint32 // data packets sent that have arrived by now or are lost
	arrived     uint32 // data packets
	latest      uint32 // sequence of the latest data packet that arrived
	queued      bool   // the probe had to wait, or nobody knows
	extra       time.Duration
}

// sums are what all intervals so far with data add up to. Others do not count: data is compared with the probes of the same
// time, and a path that is left for a while does not become better by it.
type sums struct {
	used              time.Duration // length of the intervals
	calm              clustered     // data in intervals without a queue
	probes, lost      float64       // probes in them
	full              clustered     // data in the others
	fullProbes, fullN float64       // probes in those: lost, sent
}

func (s *sums) minus(t *sums) sums {
	return sums{
		used: s.used - t.used, calm: s.calm.minus(&t.calm), probes: s.probes - t.probes, lost: s.lost - t.lost,
		full: s.full.minus(&t.full), fullProbes: s.fullProbes - t.fullProbes, fullN: s.fullN - t.fullN,
	}
}

// marks are sums at several times, the oldest first.
type marks struct{ list []sums }

func (m *marks) add(s *sums, gap time.Duration, most int) {
	if n := len(m.list); n > 0 && s.used-m.list[n-1].used < gap {
		return
	}
	if len(m.list) == most {
		copy(m.list, m.list[1:])
		m.list = m.list[:most-1]
	}
	m.list = append(m.list, *s)
}

const (
	fineGap, fineMarks     = 400 * time.Millisecond, 26 // 10 s
	coarseGap, coarseMarks = 3 * time.Second, 20        // a minute

	// alarm is the logarithm of the chance of an error in one test.
	alarm = -16.12 // 1e-7

	leastLost     = 12   // packets, below which nobody is accused
	leastClusters = 5    // intervals with data
	leastExcess   = 0.02 // what data is lost more than probes
	lossGoesOn    = 20   // packets in the latest part of a window that may show that the loss is over

	settleAfter     = 300 * time.Millisecond // data that arrives so much later than a probe is lost at first
	longestInterval = 2 * time.Second
	longestWindow   = time.Minute // of time with data
	doubtWindow     = 2 * time.Second
	doubtFor        = 15 * time.Second
	doubtAgain      = time.Minute
	verdictFor      = time.Minute      // a verdict holds without further data
	evidenceKept    = 10 * time.Minute // and so long what it rests on
	judgeWindow     = 10 * time.Second // of figures that accuse nobody
)

// add takes a sample, and judges if it brings news of data. Noise is by how much the delay outward varies. It reports
// whether data was newly lost.
func (e *evidence) add(s sample, noise time.Duration) (lost bool) {
	before := e.last
	if before.at == 0 { // the first
		e.last, e.worst = s, int32(s.settled-s.arrived)
		e.mark()
		return false
	}
	if int32(s.settled-before.settled) < 0 {
		s.settled = before.settled
	}
	sent := int32(s.settled - before.settled)
	missing, was := int32(s.settled-s.arrived), int32(before.settled-before.arrived)
	if int32(s.arrived-before.arrived) < 0 || int32(s.probes-before.probes) < 0 || int32(s.seq-before.seq) < 0 {
		*e = evidence{last: s, worst: missing} // the peer began anew
		e.mark()
		return false
	}
	if s.at.sub(e.foundAt) > evidenceKept && e.found.Verdict != Undecided {
		*e = evidence{last: s, worst: missing}
		e.mark()
		return false
	}
	if sent == 0 { // what arrives now belongs to the next interval with data
		s.settled, s.arrived, s.latest = before.settled, before.arrived, before.latest
		e.last = s
		return false
	}
	e.last = s
	probes := float64(s.seq - before.seq)
	gone := max(probes-float64(s.probes-before.probes), 0)
	e.total.used += min(s.at.sub(before.at), longestInterval)
	if s.queued || before.queued {
		e.total.full.add(float64(sent), float64(missing-was))
		e.total.fullN += probes
		e.total.fullProbes += gone
	} else {
		e.total.calm.add(float64(sent), float64(missing-was))
		e.total.probes += probes
		e.total.lost += gone
	}
	if allowed := 1 + sent/50; missing > e.worst+allowed { // two milliseconds of a hundred
		e.worst, lost = missing, true
	}
	if s.latest != before.latest && s.arrived != before.arrived {
		e.late.add(s.at, s.extra)
		e.noise = noise
	}
	e.mark()
	e.found, e.foundAt = e.judge(), s.at
	return lost
}

func (e *evidence) mark() {
	e.fine.add(&e.total, fineGap, fineMarks)
	e.coarse.add(&e.total, coarseGap, coarseMarks)
}

// verdict is what was found last, and when, as long as it is not too old.
func (e *evidence) verdict(now instant) (Data, instant) {
	if e == nil || now.sub(e.foundAt) > verdictFor {
		return Data{}, never
	}
	return e.found, e.foundAt
}

func (e *evidence) judge() Data {
	if d, ok := e.dropped(); ok {
		return d
	}
	if extra, span := e.late.certain(max(4*e.noise, leastExtra)); extra > 0 {
		s := e.since(judgeWindow)
		return Data{
			Verdict: DelaysData, DataLoss: s.calm.rate(), ProbeLoss: rate(s.lost, s.probes), Sent: int(s.calm.sent),
			Extra: extra, Span: span, Confidence: 1,
		}
	}
	s := e.since(judgeWindow)
	d := Data{
		Verdict: Honest, DataLoss: rate(s.calm.lost+s.full.lost, s.calm.sent+s.full.sent),
		ProbeLoss: rate(s.lost+s.fullProbes, s.probes+s.fullN),
		Sent:      int(s.calm.sent + s.full.sent), Span: s.used,
	}
	switch {
	case d.Sent < minData:
		return Data{}
	case s.congested():
		d.Verdict = Congested
	case e.unlike(&s):
		d.Verdict = Undecided
	}
	return d
}

// unlike reports whether data seems to be lost more than probes, lately or just now, and begins to doubt then.
func (e *evidence) unlike(s *sums) bool {
	short := e.since(doubtWindow)
	if short.calm.lost >= leastLost && !short.alike() || s.calm.lost >= leastLost && !s.alike() {
		e.doubt()
		return true
	}
	return !s.alike()
}

// doubt begins a time of quick probes, unless there was one lately.
func (e *evidence) doubt() {
	if e.doubted == 0 || e.last.at.sub(e.doubted) > doubtAgain {
		e.doubted = e.last.at
	}
}

// doubtful reports whether it takes more probes to tell what becomes of data: they are what certainty costs, and a path that
// loses data is not used for long.
func (e *evidence) doubtful(now instant) bool {
	return e != nil && e.found.Verdict == Undecided && e.found.Sent > 0 && e.doubted != 0 && now.sub(e.doubted) < doubtFor
}

// alike reports whether data is not lost notably more than probes, as far as so few probes tell. Until it is certain that
// somebody drops data, that is no reason to call him honest.
func (s *sums) alike() bool {
	p := rate(s.lost, s.probes)
	error2 := 2 * math.Sqrt(p*(1-p)/max(s.probes, 1))
	return s.calm.rate() <= p+leastExcess+error2
}

// congested reports whether data is lost where there is a queue: always, or far more than where there is none. Noise that
// is taken for a queue now and then makes no such difference.
func (s *sums) congested() bool {
	effect := s.full.effect()
	low := (Loss{Sent: int(s.full.sent / effect), Lost: int(max(s.full.lost, 0) / effect)}).Low()
	return low > leastExcess/2 && (s.full.sent > 9*s.calm.sent || low > 2*s.calm.rate())
}

func rate(lost, sent float64) float64 {
	if sent <= 0 {
		return 0
	}
	return min(max(lost/sent, 0), 1)
}

// since is what was added in the last while.
func (e *evidence) since(span time.Duration) sums {
	return e.total.minus(e.markBefore(span))
}

// markBefore is the latest mark that is so old at least, or the oldest one there is.
func (e *evidence) markBefore(span time.Duration) *sums {
	var found *sums
	for _, list := range [][]sums{e.coarse.list, e.fine.list} {
		for i := range list {
			m := &list[i]
			age := e.total.used - m.used
			switch {
			case age > longestWindow:
			case found == nil, age >= span && m.used > found.used, e.total.used-found.used < span && m.used < found.used:
				found = m
			}
		}
	}
	if found == nil {
		return &e.total
	}
	return found
}

// dropped looks for the window that shows best that data is lost while probes pass.
func (e *evidence) dropped() (Data, bool) {
	best, found := alarm, Data{}
	for _, list := range [][]sums{e.coarse.list, e.fine.list} {
		for i := range list {
			w := e.total.minus(&list[i])
			if w.used > longestWindow {
				continue
			}
			if p := w.chance(); p < best && e.goesOn(w.used, w.calm.rate()) {
				best = p
				found = Data{
					Verdict: DropsData, DataLoss: w.calm.rate(), ProbeLoss: rate(w.lost, w.probes),
					Sent: int(w.calm.sent), Span: w.used, Confidence: -math.Expm1(p),
				}
			}
		}
	}
	return found, found.Verdict == DropsData
}

// chance is the logarithm of the chance that data was lost so much more than probes if both are treated alike; 0 if there
// is too little to judge by.
func (s *sums) chance() float64 {
	c := &s.calm
	if c.lost < leastLost || c.clusters < leastClusters || c.rate()-rate(s.lost, s.probes) < leastExcess {
		return 0
	}
	effect := c.effect()
	n, x := math.Ceil(c.sent/effect), math.Floor(min(c.lost, c.sent)/effect)
	return fisher(int(n), int(x), int(s.probes), int(min(s.lost, s.probes)))
}

// goesOn reports whether the loss of a window still shows in the latest quarter of it.
func (e *evidence) goesOn(span time.Duration, loss float64) bool {
	part := max(span/4, 2*time.Second)
	if part >= span {
		return true
	}
	s := e.since(part)
	return s.calm.sent < lossGoesOn || s.calm.rate() >= loss/2
}
