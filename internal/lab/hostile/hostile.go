// Package hostile is what hostile members say to others, which keeps no rule since their keys are their own: in simulation
// and as daemons.
package hostile

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"overlayd/internal/member"
	"overlayd/internal/node"
	"overlayd/internal/wire"
)

// How much hostile members say.
const (
	WakeEvery    = time.Second // they have something to say to all others
	CircuitsEach = 3           // that they open with each probe
	RecordEvery  = time.Second // they publish other addresses

	silentPorts = 200 // of a host that does not answer, of those that they name
)

// Nowhere is an address that nobody has.
var Nowhere = netip.MustParseAddrPort("203.0.113.77:51871")

// probes reports whether a message is a ping or an answer to one: whatever else a hostile member says goes with those, since
// they are sent all the time.
func probes(m node.Message) bool { return m.Kind == wire.KindPing || m.Kind == wire.KindPong }

// OpensCircuits is the speech of a member that opens circuits with every probe, so many: to whoever hears it, through it to
// others, in the name of others, and along routes that cannot be. It never closes one, and reports that others have failed.
// Anybody is one of the members.
func OpensCircuits(self wire.NodeID, each int, anybody func() wire.NodeID, random *rand.Rand) node.Speech {
	const maxHeard = 256
	var heard []wire.CircuitID // that others have opened by way of this member or to it
	return func(to wire.NodeID, m node.Message) []node.Message {
		switch m.Kind {
		case wire.KindCircuitClose:
			return nil
		case wire.KindCircuitOpened:
			if o, err := wire.ParseCircuitOpened(m.Body); err == nil && len(heard) < maxHeard {
				heard = append(heard, o.ID)
			}
		}
		said := []node.Message{m}
		if !probes(m) {
			return said
		}
		for range each {
			o := wire.CircuitOpen{
				ID: wire.CircuitID(1 + random.Uint64()>>1), Opener: self,
				Label: wire.Label(1 + random.Uint64N(uint64(wire.MaxLabel))),
			}
			a, b := anybody(), anybody()
			switch random.IntN(5) {
			case 0, 1: // as anybody may, but for how many
				o.Route = []wire.NodeID{to, a}
			case 2: // somebody else is to have opened it, by way of this member
				o.Opener, o.Route, o.Hop = a, []wire.NodeID{self, to}, 1
			case 3: // one more relay behind it
				o.Route = []wire.NodeID{to, a, b}
			default: // a route that cannot be
				o.Opener, o.Route, o.Hop = a, []wire.NodeID{a, to, to, b}, uint8(random.IntN(4))
			}
			said = append(said, node.Message{Kind: wire.KindCircuitOpen, Body: o.Append(nil)})
		}
		if len(heard) > 0 {
			e := wire.CircuitError{ID: heard[random.IntN(len(heard))], Reason: wire.ReasonUnreachable, By: anybody()}
			said = append(said, node.Message{Kind: wire.KindCircuitError, Body: e.Append(nil)})
		}
		return said
	}
}

// Points is the speech of a member that says with some of its probes that it is somewhere else now, at addresses of others,
// and that one should come to meet it there at once.
func Points(where []netip.AddrPort, random *rand.Rand) node.Speech {
	return func(_ wire.NodeID, m node.Message) []node.Message {
		const oneIn = 4
		if !probes(m) || random.IntN(oneIn) > 0 {
			return []node.Message{m}
		}
		e := wire.Endpoints{Punch: true, List: some(where, random)}
		return []node.Message{m, {Kind: wire.KindEndpoints, Body: e.Append(nil)}}
	}
}

// some are as many of some addresses as fit into one message or record.
func some(where []netip.AddrPort, random *rand.Rand) []netip.AddrPort {
	where = slices.Clone(where)
	random.Shuffle(len(where), func(i, j int) { where[i], where[j] = where[j], where[i] })
	return where[:min(len(where), wire.MaxEndpoints)]
}

// Publish makes a member publish a new record, with other addresses.
func Publish(c *node.Core, now time.Time, identity member.Identity, where []netip.AddrPort, random *rand.Rand) error {
	own := c.Members().Own()
	if own == nil {
		return nil
	}
	r, err := member.SignRecord(identity, own.Certificate, own.Sequence+1, member.Statement{Endpoints: some(where, random)})
	if err != nil {
		return err
	}
	return c.Members().Step(now, member.Learn{Items: []member.Item{{Kind: member.KindRecord, Raw: r.Raw()}}})
}

// Elsewhere are addresses where a member is not: at many ports of a host that does not answer, the same for all who do so,
// and at a port of others where no daemon listens.
func Elsewhere(others []netip.Addr, random *rand.Rand) []netip.AddrPort {
	var all []netip.AddrPort
	for range silentPorts {
		all = append(all, netip.AddrPortFrom(Nowhere.Addr(), uint16(1024+random.IntN(60_000))))
	}
	for _, other := range others {
		all = append(all, netip.AddrPortFrom(other, Nowhere.Port()+1))
	}
	return all
}
