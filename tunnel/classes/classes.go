// Package classes decides what a packet of a user needs of the network, by what its headers say:
//
//	packet ──▶ first rule that it meets ──▶ the rule's class
//	      ├──▶ none: DNS is critical (defaults.go)
//	      └──▶ neither: by DSCP, as RFC 4594 means the code points
//
// All packets of a flow have the same class, so that they stay in order on one path; and so have all fragments of a
// datagram, of which only the first one says the ports: rules with ports are not for fragments.
package classes

import (
	"net/netip"
	"slices"

	"overlayd/internal/wire"
)

// Rule gives a class to the packets that meet all of its conditions. A condition that is empty is met by each packet.
type Rule struct {
	Class     wire.TrafficClass
	DSCP      []uint8        // code points, 0 to 63
	Protocols []uint8        // IP protocol numbers, behind the extension headers of IPv6
	Ports     []Ports        // of the source or the destination, so that both directions of a flow meet it
	Networks  []netip.Prefix // of the destination
	Peer      wire.NodeID    // that the packet goes to, or through if the destination is behind it
}

// Ports are a range of port numbers, with both ends.
type Ports struct{ First, Last uint16 }

// Set is rules in their order. It is never changed, and any number of goroutines may use it.
type Set struct {
	rules  []rule
	byDSCP [64]wire.TrafficClass
}

// rule is what the data path makes of a Rule.
type rule struct {
	class     wire.TrafficClass
	anyPeer   bool
	dscp      uint64    // one bit for each code point
	protocols [4]uint64 // one bit for each protocol
	peer      wire.NodeID
	ports     []Ports
	networks  []network
}

// network is a prefix of addresses; those of IPv4 are mapped (RFC 4291, section 2.5.5.2).
type network struct{ is, mask address }

// NewSet compiles rules.
func NewSet(rules []Rule) *Set {
	s := &Set{byDSCP: defaults()}
	for _, r := range rules {
		c := rule{class: r.Class, peer: r.Peer, anyPeer: r.Peer == wire.NodeID{}, ports: slices.Clone(r.Ports)}
		for _, d := range r.DSCP {
			c.dscp |= 1 << (d & 63)
		}
		if len(r.DSCP) == 0 {
			c.dscp = ^uint64(0)
		}
		for _, p := range r.Protocols {
			c.protocols[p>>6] |= 1 << (p & 63)
		}
		if len(r.Protocols) == 0 {
			c.protocols = [4]uint64{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)}
		}
		for _, p := range r.Networks {
			c.networks = append(c.networks, newNetwork(p))
		}
		s.rules = append(s.rules, c)
	}
	return s
}

// Of is the class of an IP packet that goes to a peer. What is no IP packet is of the default class.
func (s *Set) Of(packet []byte, peer wire.NodeID) wire.TrafficClass {
	dscp, ok := dscpOf(packet)
	if !ok {
		return wire.DefaultTraffic
	}
	h := read(packet)
	for i := range s.rules {
		r := &s.rules[i]
		if r.dscp>>dscp&1 != 0 && (r.anyPeer || r.peer == peer) && r.meets(&h) {
			return r.class
		}
	}
	if h.dns() {
		return wire.Critical
	}
	return s.byDSCP[dscp]
}

// meets reports whether a packet meets the conditions that are not on its code point and its peer.
func (r *rule) meets(h *headers) bool {
	return r.protocols[h.protocol>>6]>>(h.protocol&63)&1 != 0 &&
		(r.ports == nil || h.ported && r.port(h.source, h.destination)) &&
		(r.networks == nil || r.network(h.to))
}

func (r *rule) port(source, destination uint16) bool {
	for _, p := range r.ports {
		if source-p.First <= p.Last-p.First || destination-p.First <= p.Last-p.First { // modulo 65536: within the range
			return true
		}
	}
	return false
}

func (r *rule) network(to address) bool {
	for i := range r.networks {
		n := &r.networks[i]
		if (to.high^n.is.high)&n.mask.high|(to.low^n.is.low)&n.mask.low == 0 {
			return true
		}
	}
	return false
}

func newNetwork(p netip.Prefix) network {
	bits := p.Bits()
	if p.Addr().Is4() {
		bits += 96
	}
	var mask address
	switch {
	case bits <= 0:
	case bits <= 64:
		mask.high = ^uint64(0) << (64 - bits)
	default:
		mask.high, mask.low = ^uint64(0), ^uint64(0)<<(128-bits)
	}
	raw := p.Addr().As16()
	return network{is: address6(raw[:]), mask: mask}
}
