package probe

import (
	"time"

	"overlayd/internal/wire"
)

// delivered takes what a report says of the data that had arrived when a probe did. Same says that the answer came back
// on the path itself.
func (p *Prober) delivered(a *path, e *sentProbe, same bool, pong *wire.Pong, r *wire.Report, at instant) {
	rtt := at.sub(e.at) - pong.Replied.Sub(pong.Received)
	known := same != a.timing.cross // the round trip is of the way that the estimates are of
	queued := a.timing.calm.queued(rtt)
	a.flow.add(p.now, deliveryMark{sent: e.at, made: instant(pong.Replied), tx: e.bytes, rx: r.Bytes}, known && queued)
	if a.evidence == nil {
		if e.tx == 0 {
			return
		}
		a.evidence = new(evidence)
	}
	o, ok := a.overtaken(e, r.DataSeq)
	if !ok {
		return
	}
	s := sample{
		at: p.now, seq: e.seq, probes: r.Probes, settled: o.settled, arrived: r.Data, latest: r.DataSeq,
		queued: !known || queued, extra: o.extra,
	}
	if a.evidence.add(s, a.timing.forward.dev) {
		a.lossSeen(p.now)
	}
	if a.rate == Selected && a.evidence.doubtful(p.now) {
		p.hasten(a, a.lastSent.add(p.cfg.Quick))
	}
}

// overtaking is what a probe left behind.
type overtaking struct {
	settled uint32        // packets sent up to the latest that arrived, or long enough before the probe to be lost if not
	extra   time.Duration // from the sending of the packet after that, if it was before the probe's, to that of the probe
}

// overtaken finds where the data packet that was the latest to arrive when a probe did stands among those that were sent
// before the probe, if what is kept reaches back far enough. Between two probes, packets are taken to have been sent
// evenly.
func (p *path) overtaken(e *sentProbe, latest uint32) (overtaking, bool) {
	if int32(latest-e.data) >= 0 {
		return overtaking{settled: e.tx}, true
	}
	settled, known := p.sentBefore(e, settleAfter)
	for next := e; ; {
		b := p.sent(next.seq - 1)
		if b == nil {
			return overtaking{settled, e.at.sub(next.at)}, known
		}
		span := next.data - b.data
		if int32(span) < 0 { // a new session: its first packets were sent between the two
			return overtaking{later(settled, b.tx, known), e.at.sub(next.at)}, true
		}
		if ahead := latest - b.data; int32(ahead) >= 0 {
			part := float64(ahead) / float64(span)
			after := min(float64(ahead+1)/float64(span), 1)
			tx := b.tx + uint32(part*float64(next.tx-b.tx)+.5)
			sent := b.at.add(time.Duration(after * float64(next.at.sub(b.at))))
			return overtaking{later(settled, tx, known), e.at.sub(sent)}, true
		}
		next = b
	}
}

// sentBefore is how many data packets had been sent some time before a probe, if that is kept.
func (p *path) sentBefore(e *sentProbe, ago time.Duration) (tx uint32, known bool) {
	b := e
	for e.at.sub(b.at) < ago {
		if b = p.sent(b.seq - 1); b == nil {
			return 0, false
		}
	}
	return b.tx, true
}

// later is the later one of two counts, the first of which may not be known.
func later(a, b uint32, known bool) uint32 {
	if known && int32(a-b) > 0 {
		return a
	}
	return b
}
