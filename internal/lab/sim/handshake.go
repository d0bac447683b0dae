package sim

import (
	"net/netip"

	"overlayd/internal/lab/wan"
	"overlayd/internal/wire"
	"overlayd/tunnel/fwd"
)

// The sizes of WireGuard's handshake messages, in bytes.
const (
	initiationLen = 148
	responseLen   = 92
)

// maxHops bounds the hops of a path.
const maxHops = 8

// handshakePasses reports whether an initiation gets from one host to another by any path that it has, and a response
// back: package tunnel sends both on every path at once. A handshake takes no time, so that chance does not count.
func handshakePasses(from, to *Host) bool {
	return from.passes(to, wan.Header{Size: initiationLen, Content: wan.Initiation}) &&
		to.passes(from, wan.Header{Size: responseLen, Content: wan.Response})
}

// passes reports whether any path to another host carries a message.
func (h *Host) passes(to *Host, message wan.Header) bool {
	if h.net.underlay == nil {
		return true // links without a filter
	}
	if h.table == nil {
		return false
	}
	r := h.table.Routes[to.ID]
	if r == nil || r.Held {
		return false
	}
	all := r.All
	if primary := r.Ways[wire.DefaultTraffic].Primary; len(all) == 0 && primary != nil {
		all = []*fwd.Path{primary}
	}
	for _, path := range all {
		if h.carries(path.Hop, to, message) {
			return true
		}
	}
	return false
}

// carries follows a path hop by hop.
func (h *Host) carries(hop fwd.Hop, to *Host, message wan.Header) bool {
	at := h
	for range maxHops {
		next := at.net.hostAt(hop.Addr)
		if next == nil || next.Core == nil || !at.net.underlay.open(at.outer(at.source(hop.Addr)), hop, message) {
			return false
		}
		if hop.Label == 0 {
			return next == to
		}
		e, known := next.table.Labels[hop.Label]
		if !known || e.Switch == nil {
			return known && next == to
		}
		at, hop = next, e.Switch.To
	}
	return false
}

// open reports whether the link of a hop lets a message through.
func (u *Underlay) open(from netip.AddrPort, hop fwd.Hop, message wan.Header) bool {
	a, known := u.sites[from.Addr()]
	b, there := u.sites[hop.Addr.Addr()]
	if !known || !there {
		return false
	}
	return u.network.Passes(a, b, onWire(message, hop))
}

// onWire is the header of the IP packet that carries a message of so many bytes over a hop.
func onWire(message wan.Header, hop fwd.Hop) wan.Header {
	message.Size += ipv4Header + udpHeader
	if hop.Addr.Addr().Is6() {
		message.Size, message.IPv6 = message.Size+ipv6Header-ipv4Header, true
	}
	if hop.Label != 0 {
		message.Size, message.Content = message.Size+wire.LabelHeaderLen, wan.Labeled
	}
	return message
}
