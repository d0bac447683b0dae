package emulator

import (
	"encoding/binary"
	"net/netip"

	"overlayd/internal/lab/wan"
	"overlayd/internal/wire"
)

// The sizes of headers, and the numbers of protocols (IANA), that matter here.
const (
	ipv4Header = 20
	ipv6Header = 40
	udpHeader  = 8
	icmpHeader = 8

	protocolICMP   = 1
	protocolUDP    = 17
	protocolICMPv6 = 58
)

// destination is the destination address of an IP packet; not valid if it has none.
func destination(b []byte) netip.Addr {
	switch {
	case len(b) >= ipv4Header && b[0]>>4 == 4:
		return netip.AddrFrom4([4]byte(b[16:20]))
	case len(b) >= ipv6Header && b[0]>>4 == 6:
		return netip.AddrFrom16([16]byte(b[24:40]))
	}
	return netip.Addr{}
}

// Examine is what a middlebox sees of an IP packet, and from where to where it goes.
func Examine(b []byte) (h wan.Header, from, to netip.Addr) {
	switch to = destination(b); {
	case to.Is4():
		from = netip.AddrFrom4([4]byte(b[12:16]))
	case to.Is6():
		from = netip.AddrFrom16([16]byte(b[8:24]))
	}
	return examine(b), from, to
}

// examine is what a middlebox sees of an IP packet.
func examine(b []byte) wan.Header {
	h := wan.Header{Size: len(b), IPv6: len(b) >= ipv6Header && b[0]>>4 == 6}
	protocol, rest := upper(b)
	switch {
	case protocol == protocolUDP && len(rest) >= udpHeader:
		h.Content = contentOf(rest[udpHeader:])
	case protocol == protocolICMP && !h.IPv6 && len(rest) > 0 && rest[0] == icmpUnreachable:
		h.Content = wan.ICMPError
	case protocol == protocolICMPv6 && h.IPv6 && len(rest) > 0 && rest[0] < icmpv6FirstQuery:
		h.Content = wan.ICMPError
	}
	return h
}

// upper is what an IP packet carries, and by which protocol; nothing of a fragment that is not the first, since no header
// of a transport is in it.
func upper(b []byte) (protocol byte, rest []byte) {
	switch {
	case len(b) >= ipv4Header && b[0]>>4 == 4 && binary.BigEndian.Uint16(b[6:])&0x1fff == 0:
		return b[9], b[min(int(b[0]&15)*4, len(b)):]
	case len(b) >= ipv6Header && b[0]>>4 == 6:
		return b[6], b[ipv6Header:]
	}
	return 0, nil
}

// contentOf is what a UDP packet carries.
func contentOf(payload []byte) wan.Content {
	switch wire.Classify(payload) {
	case wire.ClassWireGuard:
		return wan.Content(payload[0])
	case wire.ClassControl:
		return wan.Control
	case wire.ClassLabel:
		return wan.Labeled
	}
	return wan.OtherUDP
}

// The ICMP messages that matter here (RFC 792, RFC 1191, RFC 4443).
const (
	icmpUnreachable    = 3
	icmpFragNeeded     = 4 // the code
	icmpv6PacketTooBig = 2
	icmpv6FirstQuery   = 128 // the types below are errors
)

// The addresses of the routers that tell senders about too large packets.
var (
	router4 = netip.AddrFrom4([4]byte{203, 0, 113, 254})
	router6 = netip.MustParseAddr("2001:db8:ffff::254")
)

// tooBig writes into dst, and returns, the ICMP error that tells the sender of packet b what the link carries; nil if an
// error may not be answered, or b may be cut into fragments: those the emulator does not make, and the packet is lost.
func tooBig(dst, b []byte, mtu int) []byte {
	if examine(b).Content == wan.ICMPError {
		return nil
	}
	if b[0]>>4 == 4 {
		return tooBig4(dst, b, mtu)
	}
	return tooBig6(dst, b, mtu)
}

func tooBig4(dst, b []byte, mtu int) []byte {
	const dontFragment = 0x40
	if b[6]&dontFragment == 0 {
		return nil
	}
	quoted := b[:min(len(b), int(b[0]&15)*4+8)] // RFC 792: the header and eight bytes
	p := dst[:ipv4Header+icmpHeader+len(quoted)]
	clear(p)
	p[0], p[8], p[9] = 0x45, 64, protocolICMP
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	copy(p[12:], router4.AsSlice())
	copy(p[16:], b[12:16])
	binary.BigEndian.PutUint16(p[10:], checksum(0, p[:ipv4Header]))
	m := p[ipv4Header:]
	m[0], m[1] = icmpUnreachable, icmpFragNeeded
	binary.BigEndian.PutUint16(m[6:], uint16(mtu))
	copy(m[icmpHeader:], quoted)
	binary.BigEndian.PutUint16(m[2:], checksum(0, m))
	return p
}

func tooBig6(dst, b []byte, mtu int) []byte {
	quoted := b[:min(len(b), 1280-ipv6Header-icmpHeader)] // RFC 4443, 3.2: as much as fits
	p := dst[:ipv6Header+icmpHeader+len(quoted)]
	clear(p)
	m := p[ipv6Header:]
	p[0], p[6], p[7] = 0x60, protocolICMPv6, 64
	binary.BigEndian.PutUint16(p[4:], uint16(len(m)))
	copy(p[8:], router6.AsSlice())
	copy(p[24:], b[8:24])
	m[0] = icmpv6PacketTooBig
	binary.BigEndian.PutUint32(m[4:], uint32(mtu))
	copy(m[icmpHeader:], quoted)
	binary.BigEndian.PutUint16(m[2:], checksum(uint32(len(m))+protocolICMPv6, p[8:ipv6Header], m))
	return p
}

// checksum is the Internet checksum (RFC 1071) of some parts of even length, the last aside, on top of a sum.
func checksum(sum uint32, parts ...[]byte) uint16 {
	for _, b := range parts {
		for ; len(b) > 1; b = b[2:] {
			sum += uint32(binary.BigEndian.Uint16(b))
		}
		if len(b) == 1 {
			sum += uint32(b[0]) << 8
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
