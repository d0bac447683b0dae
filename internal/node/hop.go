package node

import (
	"time"

	"overlayd/internal/wire"
	"overlayd/probe"
)

// A hop is what a circuit takes to a neighbor: of the direct paths to it the one that serves best (peer.link). Most hosts
// have two address families, and so two such paths, which are probed rarely while nothing but relayed packets flows. When
// one of them dies, both ends of the hop have to notice, since each chooses for its own direction. The end of a circuit
// does as soon as the circuit is in doubt. It probes all direct paths to the first hop; the probes ask that neighbor to do
// the same. Both judge these probes as those of a standby.

// hopCheckEvery is how often the direct paths to one neighbor are probed for the sake of circuits at most.
const hopCheckEvery = 200 * time.Millisecond

// checkHop probes the direct paths to the first hop of a circuit in use that is in doubt.
func (c *Core) checkHop(now time.Time, p *peer, q *path) {
	if p.use.level != active || !p.choices.selects(q.id) && !p.choices.standby(q.id) {
		return
	}
	if first := c.peers[q.firstHop]; first != nil && first.mayCheckHop(now) {
		c.probeUrgently(now, first, true)
	}
}

// checkBack probes the direct paths to a neighbor that asks for it because of a circuit.
func (c *Core) checkBack(now time.Time, p *peer) {
	if p.mayCheckHop(now) && c.relaysFor(now, p.id) {
		c.probeUrgently(now, p, false)
	}
}

// mayCheckHop reports whether the direct paths to a neighbor may be probed again for the sake of circuits.
func (p *peer) mayCheckHop(now time.Time) bool {
	if now.Sub(p.hopCheck) < hopCheckEvery {
		return false
	}
	p.hopCheck = now
	return true
}

// carriedFor is how long after its latest frame a relayed circuit counts as one in use: probes of a standby are frequent.
const carriedFor = 5 * time.Second

// relaysFor reports whether this node forwards a circuit in use from or to a neighbor.
func (c *Core) relaysFor(now time.Time, id wire.NodeID) bool {
	for _, r := range c.relaying {
		last := max(r.toA.LastRx.Load(), r.toB.LastRx.Load())
		if (r.A == id || r.B == id) && last != 0 && now.Sub(c.timeOf(wire.Stamp(last))) < carriedFor {
			return true
		}
	}
	return false
}

// probeUrgently finds out at once which direct paths to a neighbor work, and may ask it to do the same.
func (c *Core) probeUrgently(now time.Time, p *peer, ask bool) {
	for _, q := range p.sorted() {
		if q.direct() {
			c.step(p.prober.Step(now, probe.ProbeNow{ID: q.id, Urgent: true, Check: ask}))
		}
	}
	c.touch(p)
}
