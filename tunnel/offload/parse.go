package offload

import (
	"bytes"
	"encoding/binary"
)

// parse looks at a packet.
func parse(b []byte) parsed {
	p := parsed{}
	if len(b) == 0 {
		return p
	}
	switch b[0] >> 4 {
	case 4:
		fragment := len(b) >= ip4Len && binary.BigEndian.Uint16(b[6:])&^0x4000 != 0 // all but "don't fragment"
		if len(b) < ip4Len || b[0] != 0x45 || fragment || int(binary.BigEndian.Uint16(b[2:])) != len(b) {
			return p
		}
		p.start = ip4Len
		p.protocol = b[9]
	case 6:
		if len(b) < ip6Len || int(binary.BigEndian.Uint16(b[4:])) != len(b)-ip6Len {
			return p
		}
		p.six = true
		p.start = ip6Len
		p.protocol = b[6]
	default:
		return p
	}
	switch p.protocol {
	case protocolTCP:
		p.tcp(b)
	case protocolUDP:
		p.udp(b)
	default:
		p.protocol = 0
	}
	return p
}

func (p *parsed) tcp(b []byte) {
	segment := b[p.start:]
	if len(segment) < tcpLen {
		p.protocol = 0
		return
	}
	length := int(segment[12]>>4) * 4
	if length < tcpLen || length > len(segment) {
		p.protocol = 0
		return
	}
	p.headers = p.start + length
	p.payload = len(segment) - length
	p.seq = binary.BigEndian.Uint32(segment[4:])
	flags := segment[13]
	p.push = flags&tcpPSH != 0
	p.data = p.payload > 0 && flags&^tcpPSH == tcpACK && segment[12]&0x0f == 0
}

func (p *parsed) udp(b []byte) {
	datagram := b[p.start:]
	if len(datagram) < udpLen {
		p.protocol = 0
		return
	}
	p.headers = p.start + udpLen
	p.payload = len(datagram) - udpLen
	p.data = p.payload > 0 && int(binary.BigEndian.Uint16(datagram[4:])) == len(datagram) &&
		datagram[udpChecksumAt]|datagram[udpChecksumAt+1] != 0
}

// sameNetwork compares what has to be equal in the IP headers besides the addresses: traffic class and flow label, time
// to live, and whether the packet may be fragmented.
func sameNetwork(a, b []byte, six bool) bool {
	if six {
		return bytes.Equal(a[:4], b[:4]) && a[7] == b[7]
	}
	return a[1] == b[1] && a[6] == b[6] && a[8] == b[8]
}

// valid checks the checksums of a packet. Joining would hide that one is wrong.
func valid(packet []byte, p parsed) bool {
	if !p.six && fold(sum(packet[:ip4Len], 0)) != 0xffff {
		return false
	}
	segment := packet[p.start:]
	return fold(sum(segment, pseudoSum(addressesOf(packet, p.six), p.protocol, len(segment)))) == 0xffff
}
