package node

import (
	"slices"
	"time"

	"overlayd/internal/circuit"
	"overlayd/internal/policy"
)

// Who pins a path wants it ready, and wants to see whether it works. So contact with a peer whose path is pinned is kept,
// and so is the circuit, whether anything flows or not. That costs a few slow probes; policy.MaxRules bounds the pins.

// keepPinned takes up contact with the peers whose paths are pinned, and opens what is missing.
func (c *Core) keepPinned(now time.Time) {
	pins := c.rules.set.Pins()
	for _, id := range c.order {
		if p := c.peers[id]; p.pinned && !slices.Contains(pins, id) {
			p.pinned = false
			c.setRates(now, p)
			c.dropUnused(now, p)
		}
	}
	for _, id := range pins {
		p := c.contact(now, id)
		if p == nil {
			continue
		}
		if !p.pinned {
			p.pinned = true
			c.setRates(now, p)
		}
		if via := c.pinnedVia(p); len(via) > 0 && p.byVia(via) == nil && (p.relays.due.IsZero() || p.relays.due.After(now)) {
			p.relays.due = now
			c.touch(p)
		}
	}
}

// openPinned opens the pinned circuit to a peer to which nothing flows, and tries again for as long as that fails.
func (c *Core) openPinned(now time.Time, p *peer) {
	via := c.pinnedVia(p)
	if !p.pinned || len(via) == 0 || p.byVia(via) != nil {
		return
	}
	p.relays.due = now.Add(nominateEvery)
	a := p.relays.attempt(via)
	if a.pending {
		return
	}
	if now.Before(a.notUntil) {
		p.relays.due = earlier(p.relays.due, a.notUntil)
		return
	}
	if !c.ready(now, p, via[0]) {
		a.why = c.name(via[0]) + " is not reached directly"
		return
	}
	a.pending = true
	c.step(c.circuits.Step(now, circuit.Open{Route: append(slices.Clone(via), p.id)}))
}

// keepsPinned reports whether a circuit is the pinned one.
func (c *Core) keepsPinned(p *peer, q *path) bool {
	return p.pinned && q.initiator && slices.Equal(q.via, c.pinnedVia(p))
}

// unmetPin says why packets to a peer do not take the path that is pinned; empty if they do, or none is.
func (c *Core) unmetPin(now time.Time, p *peer) string {
	wish := c.policyFor(p, now)
	if wish == nil || wish.Pin == nil {
		return ""
	}
	via := wish.Pin.Via
	if q := p.paths[p.route().Selected]; q != nil && slices.Equal(q.via, via) {
		return ""
	}
	why := "not measured yet"
	known := false
	for _, q := range p.sorted() {
		if slices.Equal(q.via, via) {
			m, _ := p.prober.Measure(q.id, now)
			if known = true; m.Why != "" {
				why = m.State.String() + ": " + m.Why
			}
		}
	}
	if a := p.relays.tried(via); !known && len(via) > 0 {
		why = "not open yet"
		if a != nil && a.why != "" {
			why = a.why
		}
	}
	for _, r := range c.rules.set.On(p.id) {
		if r.Kind == policy.Pin {
			return r.Text(c.wall(now), c.name) + ", which does not work: " + why
		}
	}
	return ""
}
