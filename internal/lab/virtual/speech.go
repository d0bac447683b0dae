package virtual

import (
	"math/rand/v2"
	"net/netip"
	"slices"

	"overlayd/internal/lab/hostile"
	"overlayd/internal/lab/scenario"
	"overlayd/internal/lab/sim"
)

// turnSpeaker makes a member hostile that says to others what it should not. It restarts to that end.
func (t *trial) turnSpeaker(n *node, a scenario.Hostile, random *rand.Rand) error {
	h := n.host
	h.Kill()
	switch a.Does {
	case scenario.OpensCircuits:
		h.Speak(h.OpensCircuits(hostile.CircuitsEach, random))
	case scenario.Slanders:
		h.Speak(h.Slanders(t.hosts(t.scenario.Nodes(a.About)), t.hosts(t.friends(a))))
	case scenario.FloodsAddresses:
		where := t.elsewhere(n, random)
		h.Speak(hostile.Points(where, random))
		h.FloodRecords(hostile.RecordEvery, where, random)
	}
	h.Pester(hostile.WakeEvery)
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

// elsewhere are addresses where a member is not.
func (t *trial) elsewhere(n *node, random *rand.Rand) []netip.AddrPort {
	var others []netip.Addr
	for _, other := range t.nodes {
		if other != n {
			others = append(others, other.spec.Addresses()[0])
		}
	}
	return hostile.Elsewhere(others, random)
}
