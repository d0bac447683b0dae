package sim

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"overlayd/internal/node"
)

// SetClock sets the wall clock of a host, by so much: forward, or below zero back. Steady time goes on as it did while the
// host runs, and begins with the wall clock when it starts.
func (h *Host) SetClock(by time.Duration) {
	if h.Core == nil {
		h.skew += by
		return
	}
	h.ahead += by
	h.step(node.WallClock{Offset: h.ahead})
}

// Sleep suspends a host for so long: it hears nothing and does nothing, and its steady time stands still. Then its wall
// clock has gone on, and the others have ended their sessions with it if it was away for longer than those last.
func (h *Host) Sleep(d time.Duration) {
	core := h.Core
	h.unbind()
	h.Core = nil
	h.net.After(d, func() {
		if h.Core != nil {
			return // it was started anew
		}
		h.Core, h.tick = core, time.Time{}
		h.skew -= d
		h.bind()
		if d > sessionFor {
			for _, other := range h.net.hosts {
				delete(other.sessions, h)
			}
		}
		h.ahead += d
		h.step(node.WallClock{Offset: h.ahead})
	})
}

// sessionFor is how long a session of WireGuard lasts at most.
const sessionFor = 180 * time.Second

// EndSessions ends all sessions of a host: the next packet begins another one, as after some minutes.
func (h *Host) EndSessions() {
	clear(h.sessions)
	for _, other := range h.net.hosts {
		delete(other.sessions, h)
	}
}

// LoseEpoch removes what a host that is down remembers of its starts.
func (h *Host) LoseEpoch() { h.epoch = 0 }

// Publish makes a host that is down publish more endpoints when it starts, whosever they are.
func (h *Host) Publish(endpoints ...netip.AddrPort) { h.cfg.Configured = endpoints }

// CloneAt is CopyOf with a place of both families and a name of its own. The others take both hosts for one; data for the
// one is lost at the other.
func (n *Net) CloneAt(h *Host, name string, o Options) *Host {
	c := n.CopyOf(h, o.Address)
	c.Name, c.bridges = name, o.Bridges
	if o.Address6.IsValid() {
		c.address6 = netip.AddrPortFrom(o.Address6, listenPort)
		n.owners[o.Address6] = c
	}
	c.cfg.Sockets = c.sockets()
	return c
}

// Overheard is a frame that has reached a host.
type Overheard struct {
	at *Host
	d  datagram
}

// Replay sends the frame to another host as it is, from the address of the one that it has reached.
func (o Overheard) Replay(to *Host) {
	o.d.to = to.Endpoint()
	o.d.from = o.at.source(o.d.to)
	o.at.launch(o.d)
}

// Forge sends a control frame to another host with some of its bytes changed.
func (o Overheard) Forge(to *Host, random *rand.Rand) {
	if len(o.d.control) < 2 {
		return
	}
	o.d.control = slices.Clone(o.d.control)
	for range 1 + random.IntN(4) {
		o.d.control[1+random.IntN(len(o.d.control)-1)] ^= byte(1 + random.IntN(255))
	}
	o.Replay(to)
}
