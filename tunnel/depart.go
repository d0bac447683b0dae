package tunnel

import (
	"encoding/binary"
	"net/netip"
)

// departure is what becomes of the packets from one address to another that the host sends.
type departure struct {
	to      *registration // nil: they are dropped
	carried bool          // in the header
	refused bool          // they are dropped because of their source, or because nothing can carry them
	header  outer
}

// decide finds out what becomes of packets.
func decide(v *view, s *sites, source, destination netip.Addr) departure {
	member := v.owner(destination)
	if s.none() {
		return departure{to: member}
	}
	self := s.isSelf(source)
	if member != nil && self {
		return departure{to: member}
	}
	to := member
	if to == nil {
		if id, ok := s.carriers.Lookup(destination); ok {
			to = v.peer(id)
		}
	}
	if to == nil {
		return departure{}
	}
	if !self && !s.local.Contains(source) {
		return departure{refused: true}
	}
	header, ok := s.header(v, to)
	if !ok {
		return departure{refused: true}
	}
	return departure{to: to, carried: true, header: header}
}

// departs remembers the last departure: one packet is mostly like the one before.
type departs struct {
	view  *view
	sites *sites
	four  uint64 // the addresses of the last packet, if it was IPv4
	six   [2 * 16]byte
	is    byte // version of the last packet; zero: there is nothing to remember
	last  departure
	port  uint16     // of our own sockets
	bound netip.Addr // that they send from, if it is one
}

// own reports whether a packet, whose UDP header is at the given place, is one that this node itself has sent on the
// underlay, and that the host routes into the overlay although the sockets name the interface (SetDetours). Carried, it
// would come here again, and so on for ever.
func (d *departs) own(packet []byte, at int, source netip.Addr) bool {
	return len(packet) >= at+2 && binary.BigEndian.Uint16(packet[at:]) == d.port &&
		(d.sites.none() || d.sites.isSelf(source) || source == d.bound)
}

func (d *departs) loop() *departure {
	d.is, d.last = 0, departure{refused: true}
	return &d.last
}

const protocolUDP = 17

// begin takes the present view and sites.
func (d *departs) begin(v *view, s *sites) {
	if d.view != v || d.sites != s {
		d.view, d.sites, d.is = v, s, 0
	}
}

// of is the departure of a packet; it is good until the next call. It is nil if the packet is none of IP.
func (d *departs) of(packet []byte) *departure {
	switch {
	case len(packet) >= ip4Len && packet[0]>>4 == 4:
		if packet[9] == protocolUDP && d.own(packet, int(packet[0]&15)*4, address4(binary.BigEndian.Uint32(packet[12:]))) {
			return d.loop()
		}
		addresses := binary.BigEndian.Uint64(packet[12:20])
		if d.is != 4 || addresses != d.four {
			d.is, d.four = 4, addresses
			d.last = decide(d.view, d.sites, address4(uint32(addresses>>32)), address4(uint32(addresses)))
		}
		return &d.last
	case len(packet) >= ip6Len && packet[0]>>4 == 6:
		if packet[6] == protocolUDP && d.own(packet, ip6Len, netip.AddrFrom16([16]byte(packet[8:24]))) {
			return d.loop()
		}
		addresses := [2 * 16]byte(packet[8:40])
		if d.is != 6 || addresses != d.six {
			d.is, d.six = 6, addresses
			d.last = decide(d.view, d.sites,
				netip.AddrFrom16([16]byte(packet[8:24])), netip.AddrFrom16([16]byte(packet[24:40])))
		}
		return &d.last
	}
	return nil
}
