package sim

import (
	"net/netip"
	"time"
)

// SetClock sets the clock of a host that is down, by so much: forward, or below zero back.
func (h *Host) SetClock(by time.Duration) { h.skew += by }

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
