package classes

import "encoding/binary"

const (
	ip4Len = 20 // without options
	ip6Len = 40

	// maxExtensions is how many extension headers of IPv6 are passed over; no sender has a use for more.
	maxExtensions = 8

	anyFragment = 0x3fff // of IPv4: more fragments, or an offset
)

// IP protocol numbers, and those of extension headers (RFC 8200, section 4).
const (
	protocolHopByHop    = 0
	protocolTCP         = 6
	protocolUDP         = 17
	protocolDCCP        = 33
	protocolRouting     = 43
	protocolFragment    = 44
	protocolAH          = 51
	protocolDestination = 60
	protocolSCTP        = 132
	protocolMobility    = 135
	protocolUDPLite     = 136
	protocolHIP         = 139
	protocolShim6       = 140

	// protocolUnknown stands where a packet does not say it: 255 is reserved and never on a network.
	protocolUnknown = 255
)

// headers are what rules ask of a packet.
type headers struct {
	to                  address
	protocol            uint8
	ported              bool // there are ports, and it is no fragment
	source, destination uint16
}

// address is one of IPv6, or one of IPv4 that is mapped.
type address struct{ high, low uint64 }

func address4(b []byte) address { return address{0, 0xffff<<32 | uint64(binary.BigEndian.Uint32(b))} }

func address6(b []byte) address {
	return address{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}
}

// dscpOf is the code point of an IP packet; false if it is none.
func dscpOf(packet []byte) (uint8, bool) {
	switch {
	case len(packet) >= ip4Len && packet[0]>>4 == 4:
		return packet[1] >> 2, true
	case len(packet) >= ip6Len && packet[0]>>4 == 6:
		return packet[0]<<2&0x3c | packet[1]>>6, true
	}
	return 0, false
}

// read reads the headers of a packet that dscpOf took for one.
func read(packet []byte) headers {
	if packet[0]>>4 == 6 {
		return read6(packet)
	}
	h := headers{to: address4(packet[16:]), protocol: packet[9]}
	length := int(packet[0]&15) * 4
	if length < ip4Len {
		h.protocol = protocolUnknown
		return h
	}
	if binary.BigEndian.Uint16(packet[6:])&anyFragment == 0 {
		h.readPorts(packet, length)
	}
	return h
}

// read6 passes over extension headers. At a fragment it stops, and takes the protocol from there: of what follows, the
// other fragments have nothing.
func read6(packet []byte) headers {
	h := headers{to: address6(packet[24:]), protocol: packet[6]}
	at := ip6Len
	for range maxExtensions {
		length := 0
		switch h.protocol {
		case protocolHopByHop, protocolRouting, protocolDestination, protocolMobility, protocolHIP, protocolShim6:
			length = 8
		case protocolAH, protocolFragment:
			length = 4
		default:
			h.readPorts(packet, at)
			return h
		}
		if len(packet) < at+8 {
			break
		}
		next := packet[at]
		switch {
		case h.protocol == protocolFragment:
			h.protocol = next
			return h
		case h.protocol == protocolAH:
			length *= int(packet[at+1]) + 2 // RFC 4302, section 2.2
		default:
			length *= int(packet[at+1]) + 1
		}
		h.protocol, at = next, at+length
	}
	h.protocol = protocolUnknown // cut off, or too long a chain
	return h
}

// readPorts reads the ports of a protocol that has any, whose header is at the given place.
func (h *headers) readPorts(packet []byte, at int) {
	switch h.protocol {
	case protocolTCP, protocolUDP, protocolDCCP, protocolSCTP, protocolUDPLite:
		if len(packet) >= at+4 {
			h.source, h.destination = binary.BigEndian.Uint16(packet[at:]), binary.BigEndian.Uint16(packet[at+2:])
			h.ported = true
		}
	}
}
