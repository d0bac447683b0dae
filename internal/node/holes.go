package node

import (
	"time"

	"overlayd/internal/blackhole"
	"overlayd/internal/wire"
	"overlayd/pathselect"
	"overlayd/probe"
)

// dataSeen is what the measurements of a path tell of the data on it.
func dataSeen(q *path, m *probe.Measurement, carries bool) (blackhole.Sample, blackhole.SizeSample) {
	up := m.State == probe.Up
	sample := blackhole.Sample{Path: q.id, Up: up, Passage: m.Passage}
	if q.direct() && m.Data.Verdict == probe.DropsData { // relays answer for themselves: package blame
		sample.Partial = m.Data.String()
	}
	return sample, blackhole.SizeSample{
		Path: q.id, Up: up, Carries: carries, Missing: m.Passage.Missing > 0, LastLoss: m.LastLoss,
		Heavy:    carries && (m.LossRecentLow >= heavyLoss || m.Passage.Missing > 1) || !q.doubted.IsZero(),
		Answered: m.LastDelivered, Patience: m.RTT + 4*m.Deviation,
	}
}

// observeHoles tells what finds black holes of the latest measurements, and sends the tests that it wants.
func (c *Core) observeHoles(now time.Time, p *peer, measured []measuredPath) {
	samples := make([]blackhole.Sample, 0, len(measured))
	sizes := make([]blackhole.SizeSample, 0, len(measured))
	for i := range measured {
		q := measured[i].path
		data, size := dataSeen(q, &measured[i].Measurement, p.choices.carries(q.id) || q.id == p.audit.path)
		for _, relay := range q.via {
			if since, why, reported := c.ledger.Reported(now, relay, p.id); reported && since.After(data.Since) {
				data.Since, data.Why = since, "data to two other peers is lost over "+c.name(relay)+", and none has been seen to arrive over it here since: "+why
			}
		}
		samples, sizes = append(samples, data), append(sizes, size)
		p.sizes.Largest(now, int(q.fwd.Counters.TxLargest.Swap(0)))
	}
	p.holes.Observe(now, samples)
	if p.use.level != active {
		return
	}
	p.sizes.Observe(now, sizes)
	for _, test := range p.sizes.Drain(nil) {
		c.sendOn(p, p.paths[test.Path], wire.KindSizeTest, wire.SizeTest{Token: test.Token}.AppendPadded(nil, test.Size))
	}
}

// judgeHoles enters what was found of a path.
func (p *peer) judgeHoles(to *pathselect.Path) {
	finding, why := p.holes.Finding(to.ID)
	if small := p.sizes.TooSmall(to.ID); small != "" {
		to.Blocked = small
		return
	}
	switch {
	case finding == blackhole.Blocked:
		to.Blocked = why
	case finding == blackhole.Unproven:
		to.Unproven = why
	case p.sizes.Limited() && !p.sizes.Passes(to.ID):
		to.Unproven = "another path to this peer is too small for what is sent, and this one was not tested yet"
	}
	to.Doubtful = finding == blackhole.Doubtful
}

// heavyLoss is the part of the data that is surely lost lately, from which on the size of it is suspected at once.
const heavyLoss = 0.05

// excusedBySize reports whether what a path drops may be what is too large for it: then no relay is to blame.
func (p *peer) excusedBySize(q *path) bool { return !p.sizes.PassedSince(q.id, q.doubted) }
