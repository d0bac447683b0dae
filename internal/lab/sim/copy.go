package sim

import (
	"maps"
	"net/netip"
	"slices"

	"overlayd/internal/wire"
)

// CopyOf is a host with the state directory of another one: its keys, its certificate, what it has stored. It is down until
// Start, or until Resume.
func (n *Net) CopyOf(h *Host, address netip.Addr) *Host {
	c := &Host{
		Name: h.Name + "-copy", ID: h.ID, index: len(n.hosts), net: n,
		skew: h.skew, cfg: h.cfg, saved: slices.Clone(h.saved), epoch: h.epoch, seen: make(map[*Host]map[uint64]bool),
		sessions: make(map[*Host]session), counters: make(map[*Host]uint32), Kinds: make(map[wire.Kind]uint64),
	}
	c.address = netip.AddrPortFrom(address, listenPort)
	maps.Copy(c.counters, h.counters)
	n.hosts = append(n.hosts, c)
	n.owners[address] = c
	return c
}

// Resume brings a host up in the epoch of its last run: as a snapshot of its memory that was taken when it began.
func (h *Host) Resume() { h.run() }
