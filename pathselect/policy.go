package pathselect

import (
	"slices"

	"overlayd/internal/wire"
)

// Policy is what the users of a node ask of the paths to one peer, whatever the algorithm. The zero Policy asks nothing.
// It is a value that the Selector keeps: do not change it once it was given.
//
// Pin, Never and Hops exclude paths. What is excluded is used only if no other path works, so that a rule never cuts off
// a peer; unless a rule that excludes it is strict. Each rule is strict or not by itself.
type Policy struct {
	Pin     *Pin                      // the only path that is not excluded; nil: any
	Never   map[wire.NodeID]Exclusion // relays whose paths are excluded
	Hops    *Hops                     // paths that are longer are excluded; nil: no limit
	Avoid   []wire.NodeID             // relays that cost AvoidCost more each
	Prefer  []wire.NodeID             // relays whose paths cost PreferGain less, but never less than nothing
	Relays  map[wire.NodeID]float64   // what a relay costs more, in ms
	Uplinks map[Uplink]float64        // what an uplink of this node costs more, in ms
}

// Exclusion is what a rule that excludes paths says about each of them.
type Exclusion struct {
	Strict bool   // the path is not used even where no other one works
	Why    string // for people: which rule, by whom, such as "another path is pinned (rule 1 by root, until 15:04)"
}

// Pin is the wished path: exactly these relays in this order, none for the direct path.
type Pin struct {
	Via []wire.NodeID
	Exclusion
}

// Hops is the most hops that a path may have: 1 is the direct path only.
type Hops struct {
	Most int
	Exclusion
}

// Uplink is one of the ways out of this node: the name of a network interface.
type Uplink string

const (
	// AvoidCost is what a relay to be avoided costs, in ms: more than any detour on Earth, less than a broken path.
	AvoidCost = 500.0
	// PreferGain is what a preferred relay saves, in ms.
	PreferGain = 20.0
)

// Excludes says why a policy excludes the path through some relays, whether such a path is known or not; false if it does
// not. Of several reasons it is the first that is strict. A nil policy excludes none.
func (p *Policy) Excludes(via []wire.NodeID) (why Exclusion, excluded bool) {
	if p == nil {
		return why, false
	}
	consider := func(e Exclusion) {
		if !excluded || e.Strict && !why.Strict {
			why, excluded = e, true
		}
	}
	if p.Pin != nil && !slices.Equal(via, p.Pin.Via) {
		consider(p.Pin.Exclusion)
	}
	for _, id := range via {
		if e, never := p.Never[id]; never {
			consider(e)
		}
	}
	if p.Hops != nil && len(via)+1 > p.Hops.Most {
		consider(p.Hops.Exclusion)
	}
	return why, excluded
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
