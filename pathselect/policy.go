package pathselect

import (
	"slices"

	"overlayd/internal/wire"
)

// Policy is what the users of a node wish for the paths to one peer, whatever the algorithm. The zero Policy wishes
// nothing. It is a value that the Selector keeps: do not change it once it was given.
//
// A path that the policy bars is used only if no other works, so that a wish never cuts off a peer; unless it is Strict.
type Policy struct {
	Pin      *Pin                    // the path that is wished for; nil: any
	Never    []wire.NodeID           // relays whose paths are barred
	Avoid    []wire.NodeID           // relays that cost AvoidCost more each
	Prefer   []wire.NodeID           // relays whose paths cost PreferGain less, but never less than nothing
	Relays   map[wire.NodeID]float64 // what a relay costs more, in ms
	Uplinks  map[Uplink]float64      // what an uplink of this node costs more, in ms
	MaxHops  int                     // most relays in a path that is not barred, plus one: 1 is direct only; zero: no limit
	Strict   bool                    // a barred path is not even used where no other works
	Why      string                  // for people: who wished what, such as "pinned by root until 15:04"
	WhyNever map[wire.NodeID]string  // the same for single relays of Never
}

// Pin is a wished path: exactly these relays in this order, none for the direct path.
type Pin struct{ Via []wire.NodeID }

// Uplink is one of the ways out of this node: the name of a network interface.
type Uplink string

const (
	// AvoidCost is what a relay to be avoided costs, in ms: more than any detour on Earth, less than a broken path.
	AvoidCost = 500.0
	// PreferGain is what a preferred relay saves, in ms.
	PreferGain = 20.0
)

// Bars says why a policy bars the path through some relays, whether such a path is known or not; empty if it does not. A
// nil policy bars none.
func (p *Policy) Bars(via []wire.NodeID) string { return p.bar(&Path{Via: via}) }

// bar is why a path is barred; empty if it is not.
func (p *Policy) bar(path *Path) string {
	if p == nil {
		return ""
	}
	if p.Pin != nil && !slices.Equal(path.Via, p.Pin.Via) {
		return p.why("another path is pinned")
	}
	for _, id := range path.Via {
		if slices.Contains(p.Never, id) {
			if why := p.WhyNever[id]; why != "" {
				return why
			}
			return p.why("a relay of it is never to be used")
		}
	}
	if p.MaxHops > 0 && len(path.Via)+1 > p.MaxHops {
		return p.why("it has too many hops")
	}
	return ""
}

// hard reports whether a path is not even used if no other works.
func (p *Policy) hard(path *Path) bool { return p != nil && p.Strict && p.bar(path) != "" }

func (p *Policy) why(otherwise string) string {
	if p.Why != "" {
		return p.Why
	}
	return otherwise
}

// price adds what the policy makes a path cost or save.
func (p *Policy) price(path *Path, c *Cost) {
	if p == nil {
		return
	}
	avoid, prefer, price := p.tolls(path.Via)
	c.add("avoided", avoid)
	c.add("price", max(price+p.Uplinks[path.Uplink], -c.Total))
	c.add("preferred", -min(prefer, c.Total))
}

func (p *Policy) tolls(via []wire.NodeID) (avoid, prefer, price float64) {
	for _, id := range via {
		price += p.Relays[id]
		if slices.Contains(p.Avoid, id) {
			avoid += AvoidCost
		}
		if slices.Contains(p.Prefer, id) {
			prefer = PreferGain
		}
	}
	return avoid, prefer, price
}

// Toll is what the policy makes a path through some relays cost, in ms; negative if it is preferred.
func (p *Policy) Toll(via []wire.NodeID) float64 {
	if p == nil {
		return 0
	}
	avoid, prefer, price := p.tolls(via)
	return avoid + price - prefer
}
