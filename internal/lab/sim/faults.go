package sim

import (
	"net/netip"
	"slices"
	"time"

	"overlayd/internal/wire"
)

// SetClock sets the clock of a host that is down, by so much: forward, or below zero back.
func (h *Host) SetClock(by time.Duration) { h.skew += by }

// Publish makes a host that is down publish more endpoints when it starts, whosever they are.
func (h *Host) Publish(endpoints ...netip.AddrPort) { h.cfg.Configured = endpoints }

// Clone is a host with the keys and the state of another one, at a place of its own: a copied machine, or a backup that was
// started elsewhere. It is down until Start. The others take both for one; data for the one is lost at the other.
func (h *Host) Clone(name string, o Options) *Host {
	c := &Host{
		Name: name, ID: h.ID, index: len(h.net.hosts), net: h.net, cfg: h.cfg, epoch: h.epoch, skew: o.Skew,
		saved: slices.Clone(h.saved), seen: make(map[*Host]map[uint64]bool), counters: make(map[*Host]uint32),
		Kinds: make(map[wire.Kind]uint64),
	}
	c.address = netip.AddrPortFrom(o.Address, listenPort)
	if o.Address6.IsValid() {
		c.address6 = netip.AddrPortFrom(o.Address6, listenPort)
	}
	c.bridges = o.Bridges
	c.cfg.Sockets = c.sockets()
	h.net.hosts = append(h.net.hosts, c)
	for _, a := range c.addresses() {
		h.net.owners[a.Addr()] = c
	}
	return c
}
