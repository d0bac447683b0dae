package virtual

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"overlayd/internal/lab/hostile"
	"overlayd/internal/lab/scenario"
	"overlayd/internal/lab/sim"
	"overlayd/internal/lab/wan"
)

// actOnHosts does what an event says that breaks a host. It reports whether the event is one of those.
func (t *trial) actOnHosts(timed scenario.Timed) (bool, error) {
	switch a := timed.Action.(type) {
	case scenario.Move:
		t.move(a.Site)
	case scenario.Clone:
		return true, t.clone(a)
	case scenario.Disk:
		for _, name := range t.scenario.Nodes(a.Who) {
			t.note("disk", fmt.Sprintf("of %s is %s", name, a.Is))
			t.byName[name].host.DiskFails = a.Is != scenario.DiskWell
		}
	case scenario.Clock:
		return true, t.setClocks(timed.Event, a)
	case scenario.Hostile:
		return true, t.turnHostile(a)
	default:
		return false, nil
	}
	return true, nil
}

// move gives a site the next addresses.
func (t *trial) move(site string) {
	n := t.byName[site]
	n.spec = n.spec.Moved()
	t.note("move", fmt.Sprintf("%s to %v", site, n.spec.Addresses()))
	for _, to := range n.spec.Addresses() {
		n.host.Move(to)
	}
}

// clone starts a copy of a node.
func (t *trial) clone(a scenario.Clone) error {
	n, of := t.byName[a.On], t.byName[a.Of]
	t.note("clone", fmt.Sprintf("of %s on %s", a.Of, a.On))
	if of.host == nil {
		return fmt.Errorf("%s has no state to copy", a.Of)
	}
	n.host = t.net.CloneAt(of.host, a.On, n.options())
	n.host.Start()
	return nil
}

// setClocks sets the clocks of nodes: it restarts them, or lets them run on.
func (t *trial) setClocks(event string, a scenario.Clock) error {
	for _, name := range t.scenario.Nodes(a.Who) {
		n := t.byName[name]
		if a.Running && n.running() {
			t.note("clock", fmt.Sprintf("of %s is set by %v as it runs", name, a.By))
			n.host.SetClock(a.By)
			n.host.EndSessions() // those would end within minutes, and the handshakes of the next bear its new time
			continue
		}
		t.note("clock", fmt.Sprintf("of %s is set by %v, and it restarts", name, a.By))
		if !n.running() {
			n.host.SetClock(a.By)
			continue
		}
		n.host.Kill()
		n.host.SetClock(a.By)
		t.blame(event, n.start())
	}
	return nil
}

// delayedData is how long a hostile relay holds up data.
const delayedData = 150 * time.Millisecond

const (
	replayWithin = 10 * time.Second // after a frame was heard it is sent again
	forgeries    = 10               // of a frame
)

// resend lets a hostile member that runs send something to any other.
func (t *trial) resend(n *node, random *rand.Rand, send func(to *sim.Host)) {
	if to := t.nodes[random.IntN(len(t.nodes))]; to != n && to.host != nil && n.running() {
		send(to.host)
	}
}

// turnHostile makes a member hostile.
func (t *trial) turnHostile(a scenario.Hostile) error {
	n := t.byName[a.Node]
	random := rand.New(rand.NewPCG(t.seed, uint64(n.site)))
	about := ""
	if len(a.About) > 0 {
		about = fmt.Sprintf(" %v", t.scenario.Nodes(a.About))
	}
	t.note("hostile", fmt.Sprintf("%s %s%s", a.Node, a.Does, about))
	switch a.Does {
	case scenario.DropsData:
		n.host.Hostile = func() (bool, time.Duration) { return true, 0 }
	case scenario.DelaysData:
		n.host.Hostile = func() (bool, time.Duration) { return false, delayedData }
	case scenario.Replays:
		n.host.Overhears = func(o sim.Overheard) {
			if random.IntN(4) == 0 {
				t.net.After(time.Duration(random.Int64N(int64(replayWithin))), func() { t.resend(n, random, o.Replay) })
			}
		}
	case scenario.Forges:
		n.host.Overhears = func(o sim.Overheard) {
			for range forgeries {
				t.resend(n, random, func(to *sim.Host) { o.Forge(to, random) })
			}
		}
	case scenario.Deflects:
		victim := t.nodes[random.IntN(len(t.nodes))]
		n.host.Kill()
		n.host.Publish(hostile.Nowhere, netip.AddrPortFrom(victim.spec.Addresses()[0], hostile.Nowhere.Port()))
		return n.start()
	default:
		return t.turnSpeaker(n, a, random)
	}
	return nil
}

// see notes what strangers are sent.
func (t *trial) see(s wan.Site, from, to netip.Addr, data bool) {
	t.strangers.Sent(t.nodes[s].spec.Name, from, to, t.clock(), data)
}
