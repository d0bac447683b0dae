package lan

import (
	"encoding/binary"
	"net/netip"
)

// An Ethernet frame, as it is read from and written to a packet socket:
//
//	0        6       12     14
//	+--------+--------+------+---------+
//	|   to   |  from  | type | payload |
//	+--------+--------+------+---------+
const (
	ethernetLen = 14

	typeARP  = 0x0806
	typeIPv6 = 0x86dd
)

var broadcast = MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// Message is what an ARP packet or a neighbour discovery message says.
type Message struct {
	Station MAC        // who says it, and has Claims
	Source  netip.Addr // the address that an answer goes to; unspecified if it has none yet
	Asks    netip.Addr // the address that is asked for; invalid if none
	Claims  netip.Addr // the address that the station says it has; invalid if none
}

// Parse reads an Ethernet frame with ARP for IPv4, or with a neighbour solicitation or advertisement. Anything else,
// and what RFC 826 and RFC 4861 (section 7.1) want ignored, is ErrFrame.
func Parse(frame []byte) (Message, error) {
	if len(frame) < ethernetLen {
		return Message{}, ErrFrame
	}
	from := MAC(frame[6:12])
	if !from.unicast() {
		return Message{}, ErrFrame
	}
	switch payload := frame[ethernetLen:]; binary.BigEndian.Uint16(frame[12:]) {
	case typeARP:
		return parseARP(payload)
	case typeIPv6:
		return parseND(payload, from)
	}
	return Message{}, ErrFrame
}

// AppendAnnouncement appends the frame that tells all hosts that a station has an address.
func AppendAnnouncement(b []byte, station MAC, addr netip.Addr) []byte {
	if addr.Is4() {
		return appendARP(b, broadcast, arpRequest, arp{senderMAC: station, sender: addr, target: addr})
	}
	return appendAdvertisement(b, station, allNodesMAC, addr, allNodes, flagRouter|flagOverride)
}

// AppendAnswer appends the frame that tells who has asked that a station has the address.
func AppendAnswer(b []byte, station MAC, asked Message) []byte {
	if asked.Asks.Is4() {
		return appendARP(b, asked.Station, arpReply, arp{
			senderMAC: station, sender: asked.Asks, targetMAC: asked.Station, target: asked.Source,
		})
	}
	if asked.Source.IsUnspecified() { // it wants the address for itself: all have to hear that it is taken
		return AppendAnnouncement(b, station, asked.Asks)
	}
	const flags = flagRouter | flagSolicited | flagOverride
	return appendAdvertisement(b, station, asked.Station, asked.Asks, asked.Source, flags)
}

// AppendQuestion appends the frame that asks who has an address, as one does who has none in that network himself: it
// changes no host's cache (RFC 5227, section 1.1; RFC 4862, section 5.4.2).
func AppendQuestion(b []byte, station MAC, addr netip.Addr) []byte {
	if addr.Is4() {
		return appendARP(b, broadcast, arpRequest, arp{senderMAC: station, sender: netip.IPv4Unspecified(), target: addr})
	}
	return appendSolicitation(b, station, addr)
}

func appendEthernet(b []byte, to, from MAC, kind uint16) []byte {
	b = append(b, to[:]...)
	b = append(b, from[:]...)
	return binary.BigEndian.AppendUint16(b, kind)
}
