package probe

import "time"

// order follows in which order probes arrive, and how they are lost: one by one or in runs. Both are rare, so it looks
// back further than the windows of loss do: two minutes, or longer at slow rates.
//
// The mean length of a run of losses is that of the loss periods of RFC 3357; with it and the loss rate a Gilbert model
// is given (E. N. Gilbert, "Capacity of a burst-noise channel", BSTJ 39, 1960: the run's mean is one by the chance to
// leave the bad state). The reordered part is the ratio of Type-P-Reordered packets of RFC 4737, section 4.1.
type order struct {
	marks [orderMarks]orderMark // the oldest first
	n     int
	last  orderMark
}

type orderMark struct {
	at         instant
	seq        uint32 // sent
	got        uint32 // arrived
	runs, late uint16
}

const (
	orderMarks = 5
	orderGap   = 30 * time.Second
)

func (o *order) reset() { *o = order{} }

// add takes the counters at a time. Where they went backwards, the counting begins anew.
func (o *order) add(m orderMark) {
	if o.n > 0 && (int32(m.seq-o.last.seq) < 0 || int32(m.got-o.last.got) < 0) {
		o.reset()
	}
	o.last = m
	switch {
	case o.n == 0:
		o.marks[0], o.n = m, 1
	case m.at.sub(o.marks[o.n-1].at) < orderGap:
	case o.n == orderMarks:
		copy(o.marks[:], o.marks[1:])
		o.marks[o.n-1] = m
	default:
		o.marks[o.n] = m
		o.n++
	}
}

// burst is the mean length of a run of losses; zero if nothing was lost.
func (o *order) burst() float64 {
	if o.n == 0 {
		return 0
	}
	from := o.marks[0]
	lost, runs := int32((o.last.seq-from.seq)-(o.last.got-from.got)), int16(o.last.runs-from.runs)
	if lost <= 0 || runs <= 0 { // a probe of before came late
		return 0
	}
	return max(float64(lost)/float64(runs), 1)
}

// reordered is the part of what arrived that came after something sent later.
func (o *order) reordered() float64 {
	if o.n == 0 {
		return 0
	}
	from := o.marks[0]
	got, late := int32(o.last.got-from.got), int16(o.last.late-from.late)
	if got <= 0 || late <= 0 {
		return 0
	}
	return min(float64(late)/float64(got), 1)
}
