package emulator

import (
	"encoding/binary"
	"net/netip"
)

// UDP is from where to where a UDP packet goes and what it carries; false if b is no whole UDP packet.
func UDP(b []byte) (from, to netip.AddrPort, payload []byte, ok bool) {
	protocol, rest := upper(b)
	if protocol != protocolUDP || len(rest) < udpHeader {
		return from, to, nil, false
	}
	size := int(binary.BigEndian.Uint16(rest[4:]))
	if size < udpHeader || size > len(rest) {
		return from, to, nil, false
	}
	_, source, target := Examine(b)
	from = netip.AddrPortFrom(source, binary.BigEndian.Uint16(rest))
	to = netip.AddrPortFrom(target, binary.BigEndian.Uint16(rest[2:]))
	return from, to, rest[udpHeader:size], true
}

// AppendUDP appends an IP packet that carries a payload by UDP between two ends of one family.
func AppendUDP(dst []byte, from, to netip.AddrPort, payload []byte) []byte {
	size := udpHeader + len(payload)
	ends := append(from.Addr().AsSlice(), to.Addr().AsSlice()...)
	if to.Addr().Is4() {
		h := [ipv4Header]byte{0: 0x45, 6: 0x40, 8: 64, 9: protocolUDP} // do not fragment
		binary.BigEndian.PutUint16(h[2:], uint16(ipv4Header+size))
		copy(h[12:], ends)
		binary.BigEndian.PutUint16(h[10:], checksum(0, h[:]))
		dst = append(dst, h[:]...)
	} else {
		h := [ipv6Header]byte{0: 0x60, 6: protocolUDP, 7: 64}
		binary.BigEndian.PutUint16(h[4:], uint16(size))
		copy(h[8:], ends)
		dst = append(dst, h[:]...)
	}
	udp := len(dst)
	dst = binary.BigEndian.AppendUint16(dst, from.Port())
	dst = binary.BigEndian.AppendUint16(dst, to.Port())
	dst = binary.BigEndian.AppendUint16(dst, uint16(size))
	dst = append(append(dst, 0, 0), payload...)
	sum := checksum(uint32(size)+protocolUDP, ends, dst[udp:])
	if sum == 0 {
		sum = 0xffff // zero says that there is none (RFC 768)
	}
	binary.BigEndian.PutUint16(dst[udp+6:], sum)
	return dst
}
