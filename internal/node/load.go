package node

import (
	"math"
	"time"

	"overlayd/internal/circuit"
	"overlayd/internal/member"
	"overlayd/internal/wire"
	"overlayd/probe"
)

// burden is how much of what this node may relay it relays. It goes out with every probe and answer, so that those who
// send through it see it, and it closes the door to new circuits when there is no room.
type burden struct {
	at   time.Time
	rate float64 // bytes a second, smoothed
	full bool

	refused   uint64    // by the ceiling, when the counters were last looked at
	refusedAt time.Time // when that had grown
}

const (
	loadEvery  = 250 * time.Millisecond // how often the counters are looked at, at most
	loadMemory = 500 * time.Millisecond // time constant of the smoothing

	// uncappedRate is what a relay without a ceiling is taken to be able to relay, in bytes a second: a gigabit a second.
	uncappedRate = 125e6

	refusedFor = 3 * time.Second // how long a relay calls itself full after its ceiling cost a packet

	fullAt, roomAt = 0.95, 0.85 // of the capacity: new circuits are refused, and taken again
)

// publishedLoad is the load of this node as a relay, as it is told to others: 255 is at the ceiling.
func (c *Core) publishedLoad(now time.Time) uint8 {
	part := c.loadNow(now)
	switch {
	case c.cfg.Relay == member.RelayAlways:
		return 0 // its owner wants to be chosen freely
	case now.Sub(c.burden.refusedAt) < refusedFor:
		return 255 // what is lost for the ceiling must not be taken for malice
	}
	return uint8(math.Round(255 * min(part, 1)))
}

// loadNow is the part of its capacity that this node relays.
func (c *Core) loadNow(now time.Time) float64 {
	capacity := uncappedRate
	if c.cfg.Ceiling > 0 {
		capacity = float64(c.cfg.Ceiling) / 8
	}
	span := now.Sub(c.burden.at)
	if span < loadEvery {
		return c.burden.rate / capacity
	}
	var bytes uint64
	for _, r := range c.relaying {
		n := r.toA.RxBytes.Load() + r.toB.RxBytes.Load()
		bytes += n - r.loaded
		r.loaded = n
	}
	if n := c.ceiling.Refused(); n != c.burden.refused {
		c.burden.refused, c.burden.refusedAt = n, now
	}
	weight := 1 - math.Exp(-float64(span)/float64(loadMemory))
	c.burden.rate += weight * (float64(bytes)/span.Seconds() - c.burden.rate)
	c.burden.at = now
	part := c.burden.rate / capacity
	if full := part >= fullAt || c.burden.full && part > roomAt; full != c.burden.full && c.cfg.Relay != member.RelayAlways {
		c.burden.full = full
		c.step(c.circuits.Step(now, circuit.Admit{Circuits: !full}))
	}
	return part
}

// told takes what a peer says of its load.
func (p *peer) told(now time.Time, load uint8) {
	p.load, p.toldAt = load, now
	if float64(load) >= 255*excusedLoad {
		p.fullAt = now
	}
}

// excused reports whether a relay was full not long ago, as it says.
func (c *Core) excused(now time.Time, via []wire.NodeID) bool {
	for _, id := range via {
		if p := c.peers[id]; p != nil && !p.fullAt.IsZero() && now.Sub(p.fullAt) < excusedFor {
			return true
		}
	}
	return false
}

// loadAlong is the load of the busiest of some relays, as far as they have told, 0 to 1.
func (c *Core) loadAlong(via []wire.NodeID) float64 {
	var most uint8
	for _, id := range via {
		if p := c.peers[id]; p != nil {
			most = max(most, p.load)
		}
	}
	return float64(most) / 255
}

// reviewHops makes sure that the relays in use are heard of often enough for what they say of their load to be true.
func (c *Core) reviewHops(now time.Time) {
	c.hopsChanged = false
	hops := make(map[wire.NodeID]bool)
	for _, id := range c.order {
		p := c.peers[id]
		if p.use.level != active {
			continue
		}
		for _, q := range p.sorted() {
			if !q.direct() && (p.choices.selects(q.id) || p.choices.standby(q.id)) {
				hops[q.firstHop] = true
			}
		}
	}
	for _, id := range c.order {
		p := c.peers[id]
		rate := probe.Quiet
		if hops[id] {
			rate = probe.Recent
		}
		if rate != p.hop {
			p.hop = rate
			c.setRates(now, p)
		}
	}
}
