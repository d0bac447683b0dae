package sim

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"overlayd/internal/member"
	"overlayd/internal/node"
	"overlayd/internal/wire"
)

// Speech is what a hostile host says to another one in place of a message of its core.
type Speech func(to *Host, m node.Message) []node.Message

// Speak makes a host that is down speak so from its next start on; nil: the truth.
func (h *Host) Speak(s Speech) {
	if h.cfg.Speech = nil; s == nil {
		return
	}
	h.cfg.Speech = func(to wire.NodeID, m node.Message) []node.Message {
		if other := h.net.byID[to]; other != nil {
			return s(other, m)
		}
		return []node.Message{m}
	}
}

// Pester makes a host have something to say to all others again and again, as long as it runs: it keeps them probing.
func (h *Host) Pester(every time.Duration) {
	h.net.Every(every, func() bool {
		for _, other := range h.net.hosts {
			if h.Core != nil && other.ID != h.ID {
				h.step(node.Wake{Peer: other.ID})
			}
		}
		return true
	})
}

// probes reports whether a message is a ping or an answer to one: whatever else a hostile host says goes with those, since
// they are sent all the time.
func probes(m node.Message) bool { return m.Kind == wire.KindPing || m.Kind == wire.KindPong }

// OpensCircuits is the speech of a host that opens circuits with every probe, so many: to whoever hears it, through it to
// others, in the name of others, and along routes that cannot be. It never closes one, and reports that others have failed.
func (h *Host) OpensCircuits(each int, random *rand.Rand) Speech {
	var heard []wire.CircuitID // that others have opened by way of this host or to it
	return func(to *Host, m node.Message) []node.Message {
		switch m.Kind {
		case wire.KindCircuitClose:
			return nil
		case wire.KindCircuitOpened:
			if o, err := wire.ParseCircuitOpened(m.Body); err == nil && len(heard) < 256 {
				heard = append(heard, o.ID)
			}
		}
		said := []node.Message{m}
		if !probes(m) {
			return said
		}
		for range each {
			o := wire.CircuitOpen{
				ID: wire.CircuitID(1 + random.Uint64()>>1), Opener: h.ID,
				Label: wire.Label(1 + random.Uint64N(uint64(wire.MaxLabel))),
			}
			a, b := h.net.anybody(random), h.net.anybody(random)
			switch random.IntN(5) {
			case 0, 1: // as anybody may, but for how many
				o.Route = []wire.NodeID{to.ID, a}
			case 2: // somebody else is to have opened it, by way of this host
				o.Opener, o.Route, o.Hop = a, []wire.NodeID{h.ID, to.ID}, 1
			case 3: // one more relay behind it
				o.Route = []wire.NodeID{to.ID, a, b}
			default: // a route that cannot be
				o.Opener, o.Route, o.Hop = a, []wire.NodeID{a, to.ID, to.ID, b}, uint8(random.IntN(4))
			}
			said = append(said, node.Message{Kind: wire.KindCircuitOpen, Body: o.Append(nil)})
		}
		if len(heard) > 0 {
			e := wire.CircuitError{ID: heard[random.IntN(len(heard))], Reason: wire.ReasonUnreachable, By: h.net.anybody(random)}
			said = append(said, node.Message{Kind: wire.KindCircuitError, Body: e.Append(nil)})
		}
		return said
	}
}

// anybody is one of the hosts.
func (n *Net) anybody(random *rand.Rand) wire.NodeID { return n.hosts[random.IntN(len(n.hosts))].ID }

// Slanders is the speech of a host that tells of the ways over some relays that half of the data is lost on them, with
// probes that all arrive, and late; that it is near to everybody but to them; and that its friends are near to everybody.
func (h *Host) Slanders(relays, friends []*Host) Speech {
	ways := make(map[*Host]*slandered)
	return func(to *Host, m node.Message) []node.Message {
		switch m.Kind {
		case wire.KindPing:
			if ping, err := wire.ParsePing(m.Body); err == nil {
				h.slander(ways, to, relays, ping.Reports)
				m.Body = ping.Append(nil)
			}
		case wire.KindPong:
			if pong, err := wire.ParsePong(m.Body); err == nil {
				if h.slander(ways, to, relays, pong.Reports)[pong.Path] {
					pong.Replied -= wire.Stamp(min(time.Duration(pong.Replied-pong.Received), slanderDelay))
				} else {
					pong.Received = max(pong.Received, wire.Stamp(slanderDelay)) - wire.Stamp(slanderDelay) // it has taken long here
				}
				m.Body = pong.Append(nil)
			}
		case wire.KindNeighbors:
			list, err := wire.ParseNeighbors(m.Body)
			if err != nil || len(list.List) == 0 {
				break
			}
			list.List = list.List[:0]
			for _, other := range slices.Concat(friends, h.net.hosts) {
				told := slices.ContainsFunc(list.List, func(n wire.Neighbor) bool { return n.ID == other.ID.Prefix() })
				if !told && other.ID != h.ID && !slices.Contains(relays, other) {
					list.List = append(list.List, wire.Neighbor{ID: other.ID.Prefix(), RTT: time.Millisecond})
				}
			}
			m.Body = list.Append(nil)
		}
		return []node.Message{m}
	}
}

// slanderDelay is by how much round trips are told to be shorter.
const slanderDelay = 5 * time.Millisecond

// slandered are the ways of a host to one that slanders, over the relays that it slanders.
type slandered struct {
	at  time.Time // when they were looked for
	ids map[wire.PathID]bool
}

// slander makes the reports of the ways over some relays bad, and returns which those are.
func (h *Host) slander(known map[*Host]*slandered, to *Host, relays []*Host, reports []wire.Report) map[wire.PathID]bool {
	const lookEvery = time.Second
	ways := known[to]
	if ways == nil {
		ways = &slandered{}
		known[to] = ways
	}
	if to.Core != nil && !ways.at.Add(lookEvery).After(h.net.now) { // it knows them by where probes come from
		ways.at, ways.ids = h.net.now, make(map[wire.PathID]bool)
		for _, p := range to.Core.Paths(to.now()) {
			for _, c := range p.Candidates {
				over := func(relay *Host) bool { return slices.Contains(c.Via, relay.Name) }
				if p.Peer == h.Name && slices.ContainsFunc(relays, over) {
					ways.ids[wire.PathID(c.ID)] = true
				}
			}
		}
	}
	for i := range reports {
		if r := &reports[i]; ways.ids[r.Path] {
			r.Data, r.Bytes = r.Data/2, r.Bytes/2
		}
	}
	return ways.ids
}

// Points is the speech of a host that says with some of its probes that it is somewhere else now, at addresses of others, and that
// one should come to meet it there at once.
func (h *Host) Points(where []netip.AddrPort, random *rand.Rand) Speech {
	return func(_ *Host, m node.Message) []node.Message {
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

// FloodRecords makes a host publish a new record again and again, as long as it runs, each with other addresses.
func (h *Host) FloodRecords(every time.Duration, where []netip.AddrPort, random *rand.Rand) {
	h.net.Every(every, func() bool {
		if h.Core == nil {
			return true
		}
		own := h.Core.Members().Own()
		if own == nil {
			return true
		}
		r, err := member.SignRecord(h.cfg.Identity, own.Certificate, own.Sequence+1, member.Statement{
			Endpoints: some(where, random),
		})
		if err == nil {
			_ = h.Ask(func(c *node.Core, now time.Time) error {
				return c.Members().Step(now, member.Learn{Items: []member.Item{{Kind: member.KindRecord, Raw: r.Raw()}}})
			})
		}
		return true
	})
}
