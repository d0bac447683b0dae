// Package routeguard decides which networks behind other nodes a host lets be routed into the overlay. A node may advertise
// what its certificate allows; but a route is the business of the host that has it, and whatever others advertise must
// not take its neighbors, its own addresses or the underlay under the overlay away from it.
package routeguard

import (
	"fmt"
	"net/netip"
)

// Host is what an advertised network must not touch.
type Host struct {
	Addresses []Address
	InUse     []InUse
}

// Address is one of an interface that is not the overlay's, with the length of its network.
type Address struct {
	netip.Prefix
	Interface string

	// Isolated says that the interface leads to containers or virtual machines of this host only, or is that of another
	// overlay: a larger network around it leads elsewhere.
	Isolated bool
}

// InUse is an underlay endpoint at which a peer is reached now.
type InUse struct {
	Endpoint netip.AddrPort
	Peer     string // its name
}

// Refusal is why a network is not routed into the overlay.
type Refusal struct {
	Reason string // follows the name of the network in a sentence
	Remedy string // what whoever advertises it can do
}

// String is the reason and the remedy.
func (r Refusal) String() string { return r.Reason + ": " + r.Remedy }

// Check is the first reason not to route a network into the overlay; false if there is none.
func (h Host) Check(p netip.Prefix) (Refusal, bool) {
	for _, a := range h.Addresses {
		if !a.Overlaps(p) || a.Addr().IsLoopback() || a.Addr().IsLinkLocalUnicast() {
			continue
		}
		inside := a.Bits() <= p.Bits()
		if a.Isolated && !inside {
			continue
		}
		return Refusal{
			Reason: fmt.Sprintf("it overlaps %v, the network of this host's interface %s", a.Masked(), a.Interface),
			Remedy: "advertise a network that does not overlap it, or renumber one of them",
		}, true
	}
	for _, u := range h.InUse {
		if p.Contains(u.Endpoint.Addr()) {
			return Refusal{
				Reason: fmt.Sprintf("it contains %v, the underlay endpoint at which %s is reached", u.Endpoint, u.Peer),
				Remedy: "advertise networks that do not contain this address",
			}, true
		}
	}
	return Refusal{}, false
}

// OnOverlay are the addresses of a host that lie within the overlay's own prefixes: its interfaces and the overlay
// contend for the same addresses.
func (h Host) OnOverlay(overlay ...netip.Prefix) (list []Address) {
	for _, a := range h.Addresses {
		for _, p := range overlay {
			if p.IsValid() && p.Overlaps(a.Prefix) {
				list = append(list, a)
			}
		}
	}
	return list
}

// Owns reports whether an address is one of this host's.
func (h Host) Owns(addr netip.Addr) bool {
	for _, a := range h.Addresses {
		if a.Addr() == addr {
			return true
		}
	}
	return false
}
