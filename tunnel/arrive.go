package tunnel

import (
	"encoding/binary"
	"net/netip"
	"slices"
)

// arrivals decides which packets of one peer reach the host. WireGuard has verified that the source of each, or of its
// outer header, is the peer's.
type arrivals struct {
	sites *sites
	view  *view
	from  *registration

	// The last packet that was taken out of an IPv4 header: one is mostly like the one before.
	four  uint64 // its addresses
	known bool
	fine  bool
}

// accept returns where in what came the packet is that the host gets, and its size; zero: there is none.
func (a *arrivals) accept(packet []byte) (skip, size int) {
	length, ok := carried(packet)
	switch {
	case !ok && a.toSelf(packet):
		return 0, len(packet)
	case !ok || length == 0:
		return 0, 0
	}
	inner := trim(packet[length:])
	if inner == nil || !a.permitted(inner) {
		return 0, 0
	}
	return length, len(inner)
}

// toSelf reports whether a plain packet ends at this node. The host forwards packets for the networks behind it, and
// must not do so for just any that a member sends to it.
func (a *arrivals) toSelf(packet []byte) bool {
	switch {
	case len(packet) >= ip4Len && packet[0]>>4 == 4:
		return slices.Contains(a.sites.self4, binary.BigEndian.Uint32(packet[16:20]))
	case len(packet) >= ip6Len && packet[0]>>4 == 6:
		return slices.Contains(a.sites.self6, [16]byte(packet[24:40]))
	}
	return false
}

// permitted reports whether a packet that the peer carried here comes from where it may, and goes where it may.
func (a *arrivals) permitted(inner []byte) bool {
	if inner[0]>>4 == 6 {
		return a.may(netip.AddrFrom16([16]byte(inner[8:24])), netip.AddrFrom16([16]byte(inner[24:40])))
	}
	if addresses := binary.BigEndian.Uint64(inner[12:20]); !a.known || addresses != a.four {
		a.known, a.four = true, addresses
		a.fine = a.may(address4(uint32(addresses>>32)), address4(uint32(addresses)))
	}
	return a.fine
}

// may holds what a member may speak for: its own addresses, and networks behind it. An overlay address is its owner's
// alone, whatever network contains it.
func (a *arrivals) may(source, destination netip.Addr) bool {
	if !a.sites.isHere(destination) {
		return false
	}
	if owner := a.view.owner(source); owner != nil {
		return owner == a.from
	}
	behind := a.sites.behind[a.from.id]
	return behind != nil && behind.Contains(source) && !a.sites.overlay.Contains(source) && !a.sites.isSelf(source)
}

// sourceOf is the source of an IP packet; the zero Addr if it is none.
func sourceOf(packet []byte) netip.Addr {
	switch {
	case len(packet) >= ip4Len && packet[0]>>4 == 4:
		return netip.AddrFrom4([4]byte(packet[12:16]))
	case len(packet) >= ip6Len && packet[0]>>4 == 6:
		return netip.AddrFrom16([16]byte(packet[8:24]))
	}
	return netip.Addr{}
}
