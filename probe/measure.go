package probe

import (
	"time"

	"overlayd/internal/wire"
)

// Measurement is what is known of a path. Times are zero where nothing is known.
type Measurement struct {
	State State
	Since time.Time // of the state
	Why   string    // in words, what brought it

	RTT       time.Duration // smoothed (RFC 6298), without the time that the peer held the probe (RFC 8762)
	Deviation time.Duration // of it, smoothed
	MinRTT    time.Duration // least of the last minute, or of 8 probes if that is longer
	RecentRTT time.Duration // median of the last five samples
	Samples   int           // in RTT since the path came up

	LossOut       float64 // lost part on the way to the peer, 0 to 1: of probes or of data, whichever is surely worse
	LossOutLow    float64 // what LossOut surely exceeds (99%); a single lost packet is nothing
	LossRecent    float64 // LossOut of about the last second
	LossRecentLow float64
	LossOutHigh   float64 // what LossOut surely does not exceed (99%): much, while little was sent
	LossOutProbes int     // probes in LossOut
	LossIn        float64
	LossInLow     float64
	LossInHigh    float64
	LossInProbes  int

	BurstOut     float64 // mean length of a run of lost probes in the last two minutes (RFC 3357); zero: none lost
	BurstIn      float64
	ReorderedOut float64 // part of the probes that were overtaken by a later one (RFC 4737)
	ReorderedIn  float64

	Losses   int       // losses noticed on the way out so far: runs of probes, data, overdue answers
	LastLoss time.Time // when the latest was noticed

	Achievable float64 // bytes of data a second that the path carried when it was full; zero: it was not lately
	Delivered  float64 // bytes of data a second that arrive now

	DataOut     int // data packets sent in the window in which they were compared; zero if there were too few
	DataOutLost int // of them, those that did not arrive

	Data    Data    // whether data fares as probes do
	Passage Passage // whether any arrives

	LastDelivered time.Time // the latest sending that is known to have arrived
	LastHeard     time.Time // the latest arrival of anything
}

// Link is what matters most of a path, its state and its smoothed round-trip time, and whether it exists. It costs far
// less than Measure.
func (p *Prober) Link(id wire.PathID) (State, time.Duration, bool) {
	a := p.find(id)
	if a == nil {
		return Dead, 0, false
	}
	return a.state, a.timing.rtt.mean, true
}

// Tail is what 95% of the last 64 samples of the round-trip time do not exceed; zero if there are none. It is not part of a
// Measurement, since it takes longer than all the rest.
func (p *Prober) Tail(id wire.PathID) time.Duration {
	a := p.find(id)
	if a == nil {
		return 0
	}
	return a.timing.tail.p95()
}

// Measure is what is known of a path now, and whether it exists.
func (p *Prober) Measure(id wire.PathID, now time.Time) (Measurement, bool) {
	a := p.find(id)
	if a == nil {
		return Measurement{}, false
	}
	t := &a.timing
	m := Measurement{
		State: a.state, Since: p.time(a.since), Why: a.why,
		RTT: t.rtt.mean, Deviation: t.rtt.dev, MinRTT: t.min.value(), RecentRTT: t.recent.median(),
		Samples: t.rtt.n, LastDelivered: p.time(a.delivered), Losses: a.losses, LastLoss: p.time(a.lastLoss),
		Achievable: a.flow.achievable(p.now), Delivered: a.flow.delivered(p.now),
	}
	data, at := a.evidence.verdict(p.now)
	m.Data, m.Data.At = data, p.time(at)
	m.Passage = a.passage.measure()
	p.measureLoss(a, &m)
	last := a.heard
	if a.counts != nil {
		if _, _, rx := a.counts.Counts(); rx != 0 {
			last = max(last, min(instant(rx), instant(p.clock(now))))
		}
	}
	m.LastHeard = p.time(last)
	return m, true
}

func (p *Prober) measureLoss(a *path, m *Measurement) {
	probes := a.out.loss(windowMarks)
	data := worse(a.data.dataLoss(p.now, windowMarks), a.slow.dataLoss(p.now, windowMarks))
	out := worse(probes, data)
	m.LossOut, m.LossOutLow, m.LossOutHigh, m.LossOutProbes = out.Rate(), out.Low(), out.High(), probes.Sent
	m.Passage.ProbeLoss = probes.Rate()
	m.BurstOut, m.ReorderedOut = a.order.burst(), a.order.reordered()
	m.DataOut, m.DataOutLost = data.Sent, data.Lost

	recent := worse(a.out.loss(recentMarks), a.data.dataLoss(p.now, recentMarks))
	m.LossRecent, m.LossRecentLow = recent.Rate(), recent.Low()

	if h := p.heardOf(a.owner); h != nil {
		in := h.in.loss(windowMarks)
		m.LossIn, m.LossInLow, m.LossInHigh, m.LossInProbes = in.Rate(), in.Low(), in.High(), in.Sent
		m.BurstIn, m.ReorderedIn = h.order.burst(), h.order.reordered()
	} else {
		m.LossInHigh = 1
	}
}

// time is an instant in the caller's time, zero if it is never.
func (p *Prober) time(t instant) time.Time {
	if t == never {
		return time.Time{}
	}
	return p.wall.Add(t.sub(p.now))
}

// Paths are the paths that are measured, in order.
func (p *Prober) Paths() []wire.PathID {
	ids := make([]wire.PathID, 0, len(p.paths))
	for _, a := range p.paths {
		ids = append(ids, a.id)
	}
	return ids
}
