package probe

import (
	"math"
	"time"
)

// Loss is what was lost of a number of packets that should have arrived in a sliding window.
type Loss struct {
	Sent, Lost int
}

// Rate is the lost part, 0 to 1; zero if nothing was sent.
func (l Loss) Rate() float64 {
	if l.Sent == 0 {
		return 0
	}
	return float64(l.Lost) / float64(l.Sent)
}

// z99 is the 99% quantile of the normal distribution. The bounds are looked at many times a second, of which a window of
// three seconds leaves some thousand an hour that are independent: at 95% a path with 1% loss was left twice as often.
const z99 = 2.3263

// Low is what the loss rate exceeds with 99% confidence: the lower bound of the score interval of E. B. Wilson,
// "Probable inference, the law of succession, and statistical inference", JASA 22 (1927), one-sided. It holds for
// small samples too. Here one loss is given away first, so that a single lost packet, which happens everywhere, is
// nothing.
func (l Loss) Low() float64 {
	if l.Lost <= 1 || l.Sent == 0 {
		return 0
	}
	low, _ := wilson(float64(l.Lost-1), float64(l.Sent))
	return low
}

// High is what the loss rate does not exceed with 99% confidence, the upper bound of the same interval: 1 if nothing was
// sent, and well above zero while little was.
func (l Loss) High() float64 {
	if l.Sent == 0 {
		return 1
	}
	_, high := wilson(float64(l.Lost), float64(l.Sent))
	return high
}

func wilson(lost, n float64) (low, high float64) {
	p := min(lost/n, 1)
	centre := p + z99*z99/(2*n)
	half := z99 * math.Sqrt(p*(1-p)/n+z99*z99/(4*n*n))
	scale := 1 + z99*z99/n
	return max((centre-half)/scale, 0), min((centre+half)/scale, 1)
}

// window compares two counters that should advance alike, sent and got, over the last while. It keeps the counters
// at nine marks that are some time and some packets apart: at the fast rate of probes it spans about 3 s, at slow
// rates as many packets. Counters are modulo 2^32.
type window struct {
	marks [windowMarks]mark // the oldest first
	n     int
	last  mark
}

type mark struct {
	at        instant
	sent, got uint32
}

const (
	windowMarks = 9
	recentMarks = 3 // the part of a window that is recent, about 1 s at the fast rate

	// How far the marks of a window are apart at least. The slow one finds small losses of data.
	probeGap, probeStep = 300 * time.Millisecond, 3
	dataGap, dataStep   = 340 * time.Millisecond, 16
	slowGap, slowStep   = 2 * time.Second, 16

	minData    = 50 // packets, below which a window of data proves nothing
	maxDataAge = 20 * time.Second
)

func (w *window) reset() { *w = window{} }

// add takes the counters at a time. Where they went backwards, the counting begins anew.
func (w *window) add(at instant, sent, got uint32, gap time.Duration, step uint32) {
	m := mark{at, sent, got}
	if w.n > 0 && (int32(sent-w.last.sent) < 0 || int32(got-w.last.got) < 0) {
		w.reset()
	}
	w.last = m
	if w.n == 0 {
		w.marks[0], w.n = m, 1
		return
	}
	newest := w.marks[w.n-1]
	if at.sub(newest.at) < gap || sent-newest.sent < step {
		return
	}
	if w.n == windowMarks {
		copy(w.marks[:], w.marks[1:])
		w.n--
	}
	w.marks[w.n] = m
	w.n++
}

// loss is what was lost since the given number of marks ago, or since the oldest.
func (w *window) loss(marks int) Loss {
	if w.n == 0 {
		return Loss{}
	}
	return w.since(w.marks[max(0, w.n-marks)])
}

func (w *window) since(from mark) Loss {
	sent := w.last.sent - from.sent
	lost := int32(sent - (w.last.got - from.got))
	return Loss{Sent: int(sent), Lost: int(max(lost, 0))}
}

// dataLoss is loss for counters of data. Two goroutines and a batch may put them in another order than the probe
// whose answer brought them: 2 ms worth of packets, and one, are allowed for. A path that is no longer used is not
// judged for ever by what it once did. Where the given marks hold too little data, as many more are taken as hold enough:
// that little was sent lately is no reason to think better of a path.
func (w *window) dataLoss(now instant, marks int) Loss {
	first := max(0, w.n-marks)
	for first > 0 && w.last.sent-w.marks[first].sent < minData {
		first--
	}
	for first < w.n && now.sub(w.marks[first].at) > maxDataAge {
		first++
	}
	if first == w.n {
		return Loss{}
	}
	l := w.since(w.marks[first])
	span := w.last.at.sub(w.marks[first].at)
	if l.Sent < minData || span <= 0 {
		return Loss{}
	}
	allowed := 1 + int(float64(l.Sent)*float64(2*time.Millisecond)/float64(span))
	l.Lost = max(0, l.Lost-allowed)
	return l
}

// worse is the loss of the two that is certain to be greater; if neither is, that of the larger sample.
func worse(a, b Loss) Loss {
	switch la, lb := a.Low(), b.Low(); {
	case la > lb:
		return a
	case lb > la:
		return b
	case b.Sent > a.Sent:
		return b
	default:
		return a
	}
}
