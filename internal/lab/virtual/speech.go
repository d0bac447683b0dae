package virtual

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"overlayd/internal/lab/scenario"
	"overlayd/internal/lab/sim"
)

const (
	pesterEvery  = time.Second            // a hostile member has something to say to all others
	circuitsEach = 3                      // that it opens with each probe
	recordEvery  = 500 * time.Millisecond // it publishes other addresses
	nobodies     = 24                     // addresses that nobody has, of those that it tells
)

// turnSpeaker makes a member hostile that says to others what it should not. It restarts to that end.
func (t *trial) turnSpeaker(n *node, a scenario.Hostile, random *rand.Rand) error {
	h := n.host
	h.Kill()
	switch a.Does {
	case scenario.OpensCircuits:
		h.Speak(h.OpensCircuits(circuitsEach, random))
	case scenario.Slanders:
		h.Speak(h.Slanders(t.hosts(t.scenario.Nodes(a.About)), t.hosts(t.friends(a))))
	case scenario.FloodsAddresses:
		where := t.elsewhere(n)
		h.Speak(h.Points(where, random))
		h.FloodRecords(recordEvery, where, random)
	}
	h.Pester(pesterEvery)
	return n.start()
}

// friends are the members that slander the same relays.
func (t *trial) friends(a scenario.Hostile) []string {
	var all []string
	for _, e := range t.scenario.Events {
		if other, is := e.Action.(scenario.Hostile); is && other.Node != a.Node && slices.Equal(other.About, a.About) {
			all = append(all, other.Node)
		}
	}
	return all
}

func (t *trial) hosts(names []string) []*sim.Host {
	var all []*sim.Host
	for _, name := range names {
		all = append(all, t.byName[name].host)
	}
	return all
}

// elsewhere are addresses where a member is not: of others, at other ports, and such as nobody has, the same for all.
func (t *trial) elsewhere(n *node) []netip.AddrPort {
	var all []netip.AddrPort
	for _, other := range t.nodes {
		if other != n {
			all = append(all, netip.AddrPortFrom(other.spec.Addresses()[0], nowhere.Port()+1))
		}
	}
	at := nowhere.Addr()
	for range nobodies {
		all = append(all, netip.AddrPortFrom(at, nowhere.Port()))
		at = at.Next()
	}
	return all
}
