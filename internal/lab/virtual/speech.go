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
	pesterEvery  = time.Second // a hostile member has something to say to all others
	circuitsEach = 3           // that it opens with each probe
	recordEvery  = time.Second // it publishes other addresses
	silentPorts  = 200         // of a host that does not answer, of those that it names
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
		where := t.elsewhere(n, random)
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

// elsewhere are addresses where a member is not: at many ports of a host that does not answer, the same for all who do so,
// and at ports of others.
func (t *trial) elsewhere(n *node, random *rand.Rand) []netip.AddrPort {
	var all []netip.AddrPort
	for range silentPorts {
		all = append(all, netip.AddrPortFrom(nowhere.Addr(), uint16(1024+random.IntN(60_000))))
	}
	for _, other := range t.nodes {
		if other != n {
			all = append(all, netip.AddrPortFrom(other.spec.Addresses()[0], nowhere.Port()+1))
		}
	}
	return all
}
