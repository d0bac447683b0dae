package lan

import (
	"encoding/binary"
	"net/netip"
)

// An ARP packet for IPv4 over Ethernet (RFC 826):
//
//	0      2      4    5    6         8            14           18           24           28
//	+------+------+----+----+---------+------------+------------+------------+------------+
//	| 1    | 0800 | 6  | 4  | request | sender MAC | sender     | target MAC | target     |
//	+------+------+----+----+---------+------------+------------+------------+------------+
const (
	arpLen = 28

	arpRequest = 1
	arpReply   = 2
)

// arpHead is what all of them begin with.
var arpHead = [6]byte{0, 1, 0x08, 0x00, 6, 4}

type arp struct {
	senderMAC, targetMAC MAC
	sender, target       netip.Addr // IPv4
}

func parseARP(b []byte) (Message, error) {
	if len(b) < arpLen || [6]byte(b[:6]) != arpHead {
		return Message{}, ErrFrame
	}
	sender, target := netip.AddrFrom4([4]byte(b[14:])), netip.AddrFrom4([4]byte(b[24:]))
	m := Message{Station: MAC(b[8:]), Source: sender}
	if !m.Station.unicast() || sender.IsMulticast() {
		return Message{}, ErrFrame
	}
	if !sender.IsUnspecified() {
		m.Claims = sender
	}
	switch binary.BigEndian.Uint16(b[6:]) {
	case arpRequest:
		m.Asks = target
	case arpReply:
	default:
		return Message{}, ErrFrame
	}
	return m, nil
}

func appendARP(b []byte, to MAC, operation uint16, p arp) []byte {
	b = appendEthernet(b, to, p.senderMAC, typeARP)
	b = append(b, arpHead[:]...)
	b = binary.BigEndian.AppendUint16(b, operation)
	b = append(b, p.senderMAC[:]...)
	b = append(b, p.sender.AsSlice()...)
	b = append(b, p.targetMAC[:]...)
	return append(b, p.target.AsSlice()...)
}
