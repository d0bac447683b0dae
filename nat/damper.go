package nat

import (
	"net/netip"
	"slices"
	"time"
)

const (
	// freeReturns is how often an address may come back at once: a cable that is plugged in again is no reason to wait.
	freeReturns = 1

	firstHold = 2 * time.Second
	maxHold   = 5 * time.Minute

	// steadyFor is how long an address must stay, or stay away, for its past to be forgotten.
	steadyFor = 10 * time.Minute

	// maxDamped bounds the addresses whose past is known; those that were gone for longest are forgotten first.
	maxDamped = 256
)

// Damper holds back addresses that come and go. A new one counts at once, and one that goes ceases to count at once; but
// one that comes back again and again must have stayed for a while, twice as long each time, since every change of a
// node's addresses is told to the whole network. The zero value knows of no address.
type Damper struct {
	present []netip.Addr // in the caller's order
	past    map[netip.Addr]*past
}

type past struct {
	present bool
	since   time.Time
	returns int
}

// Set replaces the addresses that this host has.
func (d *Damper) Set(now time.Time, addrs []netip.Addr) {
	if d.past == nil {
		d.past = make(map[netip.Addr]*past)
	}
	d.present = slices.Clone(addrs)
	for _, a := range addrs {
		switch p := d.past[a]; {
		case p == nil:
			d.past[a] = &past{present: true, since: now}
		case !p.present:
			if now.Sub(p.since) >= steadyFor {
				p.returns = 0
			} else {
				p.returns++
			}
			p.present, p.since = true, now
		}
	}
	for a, p := range d.past {
		if p.present && !slices.Contains(addrs, a) {
			if now.Sub(p.since) >= steadyFor {
				p.returns = 0
			}
			p.present, p.since = false, now
		}
	}
	d.forget(now)
}

// forget drops what is known of addresses that are gone, as far as it does not matter or is too much.
func (d *Damper) forget(now time.Time) {
	var gone []netip.Addr
	for a, p := range d.past {
		switch {
		case p.present:
		case now.Sub(p.since) >= steadyFor:
			delete(d.past, a)
		default:
			gone = append(gone, a)
		}
	}
	if extra := len(gone) - maxDamped; extra > 0 {
		slices.SortFunc(gone, func(a, b netip.Addr) int {
			if c := d.past[a].since.Compare(d.past[b].since); c != 0 {
				return c
			}
			return a.Compare(b)
		})
		for _, a := range gone[:extra] {
			delete(d.past, a)
		}
	}
}

// hold is how long an address has to stay until it counts.
func (p *past) hold() time.Duration {
	if p.returns <= freeReturns {
		return 0
	}
	return min(maxHold, firstHold<<min(p.returns-freeReturns-1, 16))
}

// Steady are the present addresses that count, in the order in which they were given.
func (d *Damper) Steady(now time.Time) (list []netip.Addr) {
	for _, a := range d.present {
		if p := d.past[a]; now.Sub(p.since) >= p.hold() {
			list = append(list, a)
		}
	}
	return list
}

// NextDeadline is when another address counts, if no Set comes before.
func (d *Damper) NextDeadline(now time.Time) (due time.Time, ok bool) {
	for _, a := range d.present {
		if p := d.past[a]; now.Sub(p.since) < p.hold() {
			if at := p.since.Add(p.hold()); !ok || at.Before(due) {
				due, ok = at, true
			}
		}
	}
	return due, ok
}
