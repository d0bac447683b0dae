package lan

import (
	"encoding/binary"
	"net/netip"
)

// A neighbour solicitation or advertisement (RFC 4861), in an IPv6 packet:
//
//	0               40     41     42         44      48       64
//	+---------------+------+------+----------+-------+--------+---------+
//	| IPv6 header   | type | 0    | checksum | flags | target | options |    option: type, length / 8, MAC
//	+---------------+------+------+----------+-------+--------+---------+
const (
	ipv6Len    = 40
	ndLen      = 24 // without options
	optionUnit = 8

	nextHeaderICMPv6 = 58
	hopLimit         = 255 // so that nobody beyond the LAN can have sent it

	solicitation  = 135
	advertisement = 136

	optionSource = 1
	optionTarget = 2

	flagRouter    = 0x80
	flagSolicited = 0x40
	flagOverride  = 0x20
)

var (
	allNodes    = netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 15: 1})
	allNodesMAC = multicastMAC(allNodes)
)

// solicitedNode is the multicast group that solicitations for an address go to (RFC 4291, section 2.7.1).
func solicitedNode(a netip.Addr) netip.Addr {
	b := a.As16()
	return netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 11: 1, 12: 0xff, 13: b[13], 14: b[14], 15: b[15]})
}

// multicastMAC is the hardware address of a multicast group (RFC 2464).
func multicastMAC(group netip.Addr) MAC {
	b := group.As16()
	return MAC{0x33, 0x33, b[12], b[13], b[14], b[15]}
}

// parseND reads an IPv6 packet that came from a hardware address.
func parseND(b []byte, from MAC) (Message, error) {
	if len(b) < ipv6Len+ndLen || b[0]>>4 != 6 || b[6] != nextHeaderICMPv6 || b[7] != hopLimit {
		return Message{}, ErrFrame
	}
	source, to := netip.AddrFrom16([16]byte(b[8:])), netip.AddrFrom16([16]byte(b[24:]))
	size := int(binary.BigEndian.Uint16(b[4:]))
	if size < ndLen || size > len(b)-ipv6Len || source.IsMulticast() {
		return Message{}, ErrFrame
	}
	body := b[ipv6Len : ipv6Len+size]
	target := netip.AddrFrom16([16]byte(body[8:]))
	if body[1] != 0 || target.IsMulticast() || checksum(source, to, body) != 0 {
		return Message{}, ErrFrame
	}
	switch body[0] {
	case solicitation:
		station, given, err := linkLayer(body[ndLen:], optionSource)
		if err != nil || source.IsUnspecified() && (given || to != solicitedNode(target)) {
			return Message{}, ErrFrame
		}
		m := Message{Station: from, Source: source, Asks: target}
		if given {
			m.Station, m.Claims = station, source
		}
		return m, nil
	case advertisement:
		station, given, err := linkLayer(body[ndLen:], optionTarget)
		if err != nil || to.IsMulticast() && body[4]&flagSolicited != 0 {
			return Message{}, ErrFrame
		}
		if !given {
			station = from
		}
		return Message{Station: station, Source: source, Claims: target}, nil
	}
	return Message{}, ErrFrame
}

// linkLayer finds the hardware address in options.
func linkLayer(options []byte, kind byte) (mac MAC, given bool, err error) {
	for len(options) > 0 {
		if len(options) < optionUnit || options[1] == 0 || int(options[1])*optionUnit > len(options) {
			return MAC{}, false, ErrFrame
		}
		if options[0] == kind && !given {
			mac, given = MAC(options[2:]), true
			if !mac.unicast() {
				return MAC{}, false, ErrFrame
			}
		}
		options = options[int(options[1])*optionUnit:]
	}
	return mac, given, nil
}

func appendAdvertisement(b []byte, station, toMAC MAC, target, to netip.Addr, flags byte) []byte {
	body := [ndLen + optionUnit]byte{0: advertisement, 4: flags, ndLen: optionTarget, ndLen + 1: 1}
	copy(body[8:], target.AsSlice())
	copy(body[ndLen+2:], station[:])
	b = appendEthernet(b, toMAC, station, typeIPv6)
	return appendICMPv6(b, target, to, body[:])
}

func appendSolicitation(b []byte, station MAC, target netip.Addr) []byte {
	body := [ndLen]byte{0: solicitation}
	copy(body[8:], target.AsSlice())
	group := solicitedNode(target)
	b = appendEthernet(b, multicastMAC(group), station, typeIPv6)
	return appendICMPv6(b, netip.IPv6Unspecified(), group, body[:])
}

// appendICMPv6 appends an IPv6 packet, and sets the checksum of its body.
func appendICMPv6(b []byte, from, to netip.Addr, body []byte) []byte {
	binary.BigEndian.PutUint16(body[2:], checksum(from, to, body))
	b = append(b, 0x60, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(len(body)))
	b = append(b, nextHeaderICMPv6, hopLimit)
	b = append(b, from.AsSlice()...)
	b = append(b, to.AsSlice()...)
	return append(b, body...)
}

// checksum is that of RFC 4443, section 2.3. It is 0 over a body that has the right one.
func checksum(from, to netip.Addr, body []byte) uint16 {
	sum := uint32(len(body)) + nextHeaderICMPv6
	add := func(b []byte) {
		for ; len(b) >= 2; b = b[2:] {
			sum += uint32(b[0])<<8 | uint32(b[1])
		}
		if len(b) == 1 {
			sum += uint32(b[0]) << 8
		}
	}
	add(from.AsSlice())
	add(to.AsSlice())
	add(body)
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
