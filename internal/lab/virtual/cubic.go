package virtual

import (
	"math"
	"time"
)

// window is the congestion window of a TCP sender, in segments: CUBIC (RFC 9438), with HyStart's delay increase (RFC 9406)
// to end the first slow start, as Linux has both.
type window struct {
	size      float64
	threshold float64 // where slow start ends
	most      float64 // the size before the last loss
	began     time.Duration
	avoiding  bool    // congestion avoidance has begun, at began
	k         float64 // seconds from began until size is most again
	reno      float64 // what Reno would have

	least       time.Duration // the least round trip so far; 0: none
	round       float64       // segments that are left of this round of slow start
	samples     int           // round trips of this round
	before, now time.Duration // the least round trips of the last round and of this one; 0: none
}

const (
	cubicC          = 0.4
	cubicBeta       = 0.7
	initialWindow   = 10 // RFC 6928
	hystartLeast    = 4 * time.Millisecond
	hystartMost     = 16 * time.Millisecond
	hystartSegments = 16 // below this window it does not look
	hystartSamples  = 8  // round trips of a round that it looks at
)

func newWindow() window {
	return window{size: initialWindow, threshold: math.Inf(1), round: initialWindow}
}

// acked notes that a segment was acknowledged, a round trip after it was sent.
func (w *window) acked(at, rtt time.Duration) {
	if w.least == 0 || rtt < w.least {
		w.least = rtt
	}
	if w.size < w.threshold {
		w.size++
		w.hystart(rtt)
		return
	}
	if !w.avoiding {
		w.avoiding, w.began, w.reno = true, at, w.size
		w.most = max(w.most, w.size)
		w.k = math.Cbrt((w.most - w.size) / cubicC)
	}
	since := (at - w.began + w.least).Seconds() - w.k
	target := min(w.most+cubicC*since*since*since, 1.5*w.size)
	w.reno += 3 * (1 - cubicBeta) / (1 + cubicBeta) / w.size
	w.size = max(w.size, w.size+(target-w.size)/w.size, min(w.reno, w.size+1))
}

// hystart ends slow start when the round trips of one are longer than those of the round before.
func (w *window) hystart(rtt time.Duration) {
	if w.now == 0 || rtt < w.now {
		w.now = rtt
	}
	w.samples++
	grown := min(max(w.before/8, hystartLeast), hystartMost)
	if w.before > 0 && w.samples >= hystartSamples && w.size >= hystartSegments && w.now >= w.before+grown {
		w.threshold = w.size
	}
	if w.round--; w.round <= 0 {
		w.round, w.before, w.now, w.samples = w.size, w.now, 0, 0
	}
}

// lost notes that segments of one round trip were lost.
func (w *window) lost() {
	w.most, w.avoiding = w.size, false
	w.size = max(w.size*cubicBeta, 2)
	w.threshold = w.size
}

// silent notes that no acknowledgement has come for long.
func (w *window) silent() {
	w.lost()
	w.size = 1
}
