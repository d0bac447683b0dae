package tunnel

import (
	"encoding/binary"
	"net/netip"
)

// A packet from or to a network behind a node travels between the two nodes in an IP header of their own, because
// WireGuard takes a packet only from the one peer that owns its source address, and several nodes may lead to a network.
//
//	IPv4 (20)  version, length │ DSCP, ECN │ total length │ 0 │ don't fragment │ 64 │ 253 │ checksum │ source │ destination │ packet
//	IPv6 (40)  version │ traffic class │ flow label 0 │ length │ 253 │ 64 │ source │ destination │ packet
//
// It is IPv4 if both nodes have such an address. DSCP and ECN are those of the packet (RFC 6040, section 4.1). Both
// headers are within WireGuard, where nobody changes them, so that the packet still has what its header says when it is
// taken out.

const (
	ip4Len = 20 // without options
	ip6Len = 40

	// protocolSite is the first of the two numbers for experiments (RFC 3692): IP in IP (4) and IPv6 in IP (41) may be
	// somebody's own tunnel between two members.
	protocolSite = 253

	outerTTL      = 64
	dontFragment  = 0x4000
	fragmentsMask = 0x3fff // more fragments, or an offset
)

// outer is the header in front of the packets between two nodes, without what differs from packet to packet.
type outer struct {
	six  bool
	sum  uint32 // of the IPv4 header as it is here
	head [ip6Len]byte
}

// newOuter is the header from one node to another; both addresses are of the same family.
func newOuter(from, to netip.Addr) outer {
	var o outer
	if from.Is4() {
		o.head[0] = 0x45
		binary.BigEndian.PutUint16(o.head[6:], dontFragment)
		o.head[8], o.head[9] = outerTTL, protocolSite
		source, destination := from.As4(), to.As4()
		copy(o.head[12:], source[:])
		copy(o.head[16:], destination[:])
		for i := 0; i < ip4Len; i += 2 {
			o.sum += uint32(binary.BigEndian.Uint16(o.head[i:]))
		}
		return o
	}
	o.six = true
	o.head[0] = 0x60
	o.head[6], o.head[7] = protocolSite, outerTTL
	source, destination := from.As16(), to.As16()
	copy(o.head[8:], source[:])
	copy(o.head[24:], destination[:])
	return o
}

func (o *outer) len() int {
	if o.six {
		return ip6Len
	}
	return ip4Len
}

// wrap puts the header in front of the packet of the given size at the beginning of a buffer, and returns the size of
// the whole; zero if the buffer has no room.
func (o *outer) wrap(buffer []byte, size int) int {
	length := o.len()
	whole := length + size
	if size < ip4Len || whole > min(len(buffer), maxOuter) {
		return 0
	}
	class := trafficClass(buffer)
	copy(buffer[length:], buffer[:size])
	copy(buffer, o.head[:length])
	if o.six {
		buffer[0] |= class >> 4
		buffer[1] = class << 4
		binary.BigEndian.PutUint16(buffer[4:], uint16(size))
		return whole
	}
	buffer[1] = class
	binary.BigEndian.PutUint16(buffer[2:], uint16(whole))
	sum := o.sum + uint32(class) + uint32(whole)
	sum = sum>>16 + sum&0xffff
	sum += sum >> 16
	binary.BigEndian.PutUint16(buffer[10:], ^uint16(sum))
	return whole
}

// maxOuter is the largest packet that still fits into a buffer of wireguard-go, and a datagram, with all that is added.
const maxOuter = 1<<16 - 1 - 8 - 40 - 2*cipherOverhead

// trafficClass is DSCP and ECN of an IP packet.
func trafficClass(packet []byte) byte {
	if packet[0]>>4 == 6 {
		return packet[0]<<4 | packet[1]>>4
	}
	return packet[1]
}

// carried reports whether a packet has an outer header, and returns the length of that; zero if it is not as wrap makes
// it.
func carried(packet []byte) (length int, ok bool) {
	switch {
	case len(packet) > ip4Len && packet[0]>>4 == 4 && packet[9] == protocolSite:
		if packet[0] != 0x45 || binary.BigEndian.Uint16(packet[6:])&fragmentsMask != 0 {
			return 0, true
		}
		return ip4Len, true
	case len(packet) > ip6Len && packet[0]>>4 == 6 && packet[6] == protocolSite:
		return ip6Len, true
	}
	return 0, false
}

// trim cuts off what follows an IP packet; it returns nil if that is not whole.
func trim(packet []byte) []byte {
	length := 0
	switch {
	case len(packet) >= ip4Len && packet[0]>>4 == 4:
		length = int(binary.BigEndian.Uint16(packet[2:]))
		if length < ip4Len {
			return nil
		}
	case len(packet) >= ip6Len && packet[0]>>4 == 6:
		length = ip6Len + int(binary.BigEndian.Uint16(packet[4:]))
	default:
		return nil
	}
	if length > len(packet) {
		return nil
	}
	return packet[:length]
}
