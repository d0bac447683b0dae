package probe

import (
	"math"
	"math/rand/v2"
	"time"

	"overlayd/internal/wire"
)

// instant is a wire.Stamp as a signed number, so that it may be moved about.
type instant int64

const (
	never   instant = math.MinInt64 / 2
	forever instant = math.MaxInt64 / 2
)

func (t instant) add(d time.Duration) instant { return t + instant(d) }
func (t instant) sub(u instant) time.Duration { return time.Duration(t - u) }

// sentProbe is a probe that an answer is accepted for.
type sentProbe struct {
	seq      uint32
	nonce    uint64 // what only who received the probe can echo
	answered bool
	sampled  bool
	at       instant // never: void
	tx       uint32  // data packets sent on the path before it
	bytes    uint32  // of them
	data     uint32  // sequence of the latest of them
}

// path is one of our paths to the peer. Its outgoing direction is what state and evidence are about.
type path struct {
	id     wire.PathID
	counts Counts
	rate   Rate

	state State
	since instant
	why   string

	seq       uint32      // of the latest probe
	open      uint32      // the first probe that is neither answered nor overtaken
	ring      []sentProbe // indexed by sequence, its length a power of two
	delivered instant     // everything up to here is settled: something sent then arrived
	proved    instant     // when the latest probe was sent that is known to have arrived
	suspected instant     // while Suspect: when the probe in doubt was sent

	next     instant // when the next probe is due
	lastSent instant
	urgent   instant       // until then it is judged as at rate Standby at least
	burst    int           // quick probes still to send after the next one
	checks   int           // probes still to send that ask the peer to check its own paths
	quick    int           // quick probes sent while suspect
	backoff  time.Duration // between probes while dead or never answered
	streak   int           // answers in a row while dead
	streakAt uint32        // sequence of the latest of them

	timing timing
	peer   lastReport
	out    window // probes: sent, arrived at the peer
	data   window // data packets: sent, arrived at the peer
	slow   window // the same over a longer time
	order  order  // probes: runs of losses and reordering, outward
	flow   delivery

	passage passage

	evidence *evidence // nil before the first data

	losses   int     // events: runs of lost probes, lost data, overdue answers
	lastLoss instant // when the latest was noticed
	lossSeq  uint32  // probes up to here have been held against the path

	heard    instant     // anything on the incoming direction
	owner    wire.PathID // the peer's path that was last heard on this one
	ownBase  uint32      // our count of received data when it became so
	ownBytes uint32      // and of its bytes
}

// timing is what the answers to probes on a path tell of its delay.
type timing struct {
	rtt      estimator // without the time that the peer held the probe
	wait     estimator // with it: the turnaround that is waited for
	forward  estimator // outward, plus the difference between the clocks
	min      minimum
	recent   recent
	tail     tail
	calm     calm
	cross    bool          // the samples are of answers on other paths
	crossRun int           // answers in a row on other paths only
	slack    time.Duration // what refuted suspicions add to the wait, at slackAt
	slackAt  instant
}

// lastReport is the peer's latest word on the path.
type lastReport struct {
	known             bool
	at                instant // peer's clock: what had arrived by then, it covers
	seq, probes, data uint32
}

// missing reports whether probes that were sent since the last report are missing from a newer one.
func (l *lastReport) missing(r *wire.Report) bool {
	return l.known && int32((r.LastSeq-l.seq)-(r.Probes-l.probes)) > 0
}

// slot is where the probe of a sequence number is kept.
func (p *path) slot(seq uint32) *sentProbe { return &p.ring[int(seq)&(len(p.ring)-1)] }

// sent is the probe of a sequence number if it is still held, otherwise nil.
func (p *path) sent(seq uint32) *sentProbe {
	if len(p.ring) == 0 {
		return nil
	}
	if e := p.slot(seq); e.seq == seq && seq != 0 && e.at != never {
		return e
	}
	return nil
}

// push notes that a probe leaves. The ring grows rather than lose one that is still open.
func (p *path) push(now instant, nonce uint64) *sentProbe {
	p.settle()
	short := len(p.ring) == 0 || p.evidence != nil && len(p.ring) < dataRing
	if short || p.open <= p.seq && int(p.seq-p.open)+1 >= len(p.ring) {
		p.grow()
	}
	p.seq++
	e := p.slot(p.seq)
	*e = sentProbe{seq: p.seq, nonce: nonce, at: now}
	p.lastSent = now
	if p.counts != nil {
		e.data, _ = p.counts.Seqs()
		tx, _, _ := p.counts.Counts()
		bytes, _ := p.counts.Bytes()
		e.tx, e.bytes = uint32(tx), uint32(bytes)
	}
	return e
}

func (p *path) grow() {
	if len(p.ring) >= maxRing {
		return
	}
	old := p.ring
	p.ring = make([]sentProbe, max(minRing, 2*len(old)))
	for _, e := range old {
		if e.seq != 0 {
			*p.slot(e.seq) = e
		}
	}
}

// settle moves open past the probes that are answered, overtaken or forgotten.
func (p *path) settle() {
	if n := uint32(len(p.ring)); p.seq >= n {
		p.open = max(p.open, p.seq-n+1)
	}
	for p.open <= p.seq {
		e := p.sent(p.open)
		if e != nil && !e.answered && e.at > p.delivered {
			return
		}
		p.open++
	}
}

// oldest is the oldest probe that is neither answered nor overtaken, or nil.
func (p *path) oldest() *sentProbe {
	p.settle()
	if p.open > p.seq {
		return nil
	}
	return p.sent(p.open)
}

// void forgets the probes that are out.
func (p *path) void() {
	clear(p.ring)
	p.open = p.seq + 1
}

// hurry is the rate as which the path is judged.
func (p *path) hurry(now instant) Rate {
	if now < p.urgent {
		return max(p.rate, Standby)
	}
	return p.rate
}

// patience is how long an answer may take.
func (p *path) patience(cfg *Config, now instant) time.Duration {
	t := &p.timing
	if t.wait.n == 0 {
		return unknownWait
	}
	return t.wait.mean + max(4*t.wait.dev, cfg.floor(p.hurry(now))) + t.slackNow(now)
}

func (t *timing) slackNow(now instant) time.Duration {
	if t.slack == 0 {
		return 0
	}
	age := float64(now.sub(t.slackAt)) / float64(slackHalf)
	s := time.Duration(float64(t.slack) * math.Exp2(-age))
	if s < time.Millisecond {
		return 0
	}
	return s
}

// sample takes the timing of an answer; same says that it came back on the path itself. The estimates begin anew
// where answers change from one way back to another.
func (t *timing) sample(now instant, rtt, turnaround, window time.Duration) {
	t.calm.add(now, rtt, t.rtt.mean)
	t.rtt.add(rtt, rtt/2)
	t.wait.add(turnaround, turnaround/2)
	t.recent.add(rtt)
	t.tail.add(rtt)
	t.min.add(now, rtt, window)
}

// restart forgets all estimates but the delay outward, which does not depend on the way back.
func (t *timing) restart(cross bool) {
	*t = timing{forward: t.forward, cross: cross, crossRun: t.crossRun}
}

// jitter shortens a gap by up to a tenth, so that probes of many paths and nodes do not fall into step.
func jitter(d time.Duration, rng *rand.Rand) time.Duration {
	return d - time.Duration(rng.Int64N(int64(d)/jitterParts+1))
}

// forgetLoss begins the windows of outgoing losses anew.
func (p *path) forgetLoss() {
	p.out.reset()
	p.data.reset()
	p.slow.reset()
	p.order.reset()
	p.evidence = nil
	p.resolve()
}

// lossSeen counts a loss that was noticed.
func (p *path) lossSeen(now instant) {
	p.losses++
	p.lastLoss = now
}
