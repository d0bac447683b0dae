package sim

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"overlayd/internal/lab/hostile"
	"overlayd/internal/node"
	"overlayd/internal/wire"
)

// Speak makes a host that is down speak so from its next start on; nil: the truth.
func (h *Host) Speak(s node.Speech) { h.cfg.Speech = s }

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

// OpensCircuits is the speech of a host that opens bogus circuits with every probe, so many.
func (h *Host) OpensCircuits(each int, random *rand.Rand) node.Speech {
	return hostile.OpensCircuits(h.ID, each, func() wire.NodeID { return h.net.anybody(random) }, random)
}

// anybody is one of the hosts.
func (n *Net) anybody(random *rand.Rand) wire.NodeID { return n.hosts[random.IntN(len(n.hosts))].ID }

// Slanders is the speech of a host that tells of the ways over some relays that half of the data is lost on them, with
// probes that all arrive, and late; that it is near to everybody but to them; and that its friends are near to everybody.
func (h *Host) Slanders(relays, friends []*Host) node.Speech {
	ways := make(map[*Host]*slandered)
	return func(id wire.NodeID, m node.Message) []node.Message {
		to := h.net.byID[id]
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

// FloodRecords makes a host publish a new record again and again, as long as it runs, each with other addresses.
func (h *Host) FloodRecords(every time.Duration, where []netip.AddrPort, random *rand.Rand) {
	h.net.Every(every, func() bool {
		if h.Core == nil {
			return true
		}
		_ = h.Ask(func(c *node.Core, now time.Time) error { return hostile.Publish(c, now, h.cfg.Identity, where, random) })
		return true
	})
}
