package offload

import "encoding/binary"

// Splitter hands out the packets that one large packet consists of. It refers to the packet's memory and changes it.
type Splitter struct {
	packet  []byte // nil: none
	kind    uint8
	six     bool
	tcp     bool
	start   int // of the TCP or UDP header
	headers int // length of all headers
	size    int // payload of each packet
	next    int // offset of the payload that is next
	count   uint16
	seq     uint32
	pseudo  uint64 // sum of the addresses
}

// Begin takes what was read from the interface: a virtio header and a packet.
func (s *Splitter) Begin(b []byte) error {
	*s = Splitter{}
	if len(b) <= HeaderLen {
		return ErrMalformed
	}
	h, packet := parseHeader(b), b[HeaderLen:]
	kind := h.kind &^ gsoECN
	if kind == gsoNone {
		return s.beginSingle(h, packet)
	}
	s.six = packet[0]>>4 == 6
	s.tcp = kind != gsoUDP
	s.start, s.size = int(h.start), int(h.size)
	switch {
	case kind != gsoTCP4 && kind != gsoTCP6 && kind != gsoUDP,
		packet[0]>>4 != 4 && packet[0]>>4 != 6,
		kind == gsoTCP4 && s.six, kind == gsoTCP6 && !s.six,
		s.size == 0,
		s.start < ip4Len || s.six && s.start < ip6Len,
		len(packet) > MaxPacket:
		return ErrMalformed
	}
	// The header's own figure may be that of the whole first packet, so it is not used.
	if s.tcp {
		if len(packet) < s.start+tcpLen {
			return ErrMalformed
		}
		length := int(packet[s.start+12]>>4) * 4
		if length < tcpLen {
			return ErrMalformed
		}
		s.headers = s.start + length
		s.seq = binary.BigEndian.Uint32(packet[s.start+4:])
	} else {
		s.headers = s.start + udpLen
	}
	if len(packet) <= s.headers {
		return ErrMalformed
	}
	s.pseudo = sum(addressesOf(packet, s.six), 0)
	s.packet, s.kind, s.next = packet, kind, s.headers
	return nil
}

// beginSingle takes a packet that is one already, but may lack its checksum.
func (s *Splitter) beginSingle(h header, packet []byte) error {
	if h.flags&needsChecksum != 0 {
		at := int(h.start) + int(h.offset)
		if at+2 > len(packet) {
			return ErrMalformed
		}
		// What is there is the sum of the pseudo-header, so it is summed up with the rest.
		field := packet[at : at+2]
		acc := uint64(binary.NativeEndian.Uint16(field))
		if h.offset%2 == 1 || h.start%2 == 1 {
			return ErrMalformed
		}
		clear(field)
		storeChecksum(field, sum(packet[h.start:], acc))
		if field[0]|field[1] == 0 && h.offset == udpChecksumAt {
			field[0], field[1] = 0xff, 0xff // for UDP, zero means none (RFC 768)
		}
	}
	s.packet, s.kind = packet, gsoNone
	return nil
}

// Pending reports whether there is a packet that Next has not handed out.
func (s *Splitter) Pending() bool { return s.packet != nil }

// Next writes the next packet into out and returns its length; zero if out is too small, and then that packet is lost.
func (s *Splitter) Next(out []byte) int {
	if s.kind == gsoNone {
		packet := s.packet
		s.packet = nil
		if len(packet) > len(out) {
			return 0
		}
		return copy(out, packet)
	}
	payload := s.packet[s.next:]
	last := len(payload) <= s.size
	if !last {
		payload = payload[:s.size]
	}
	length := s.headers + len(payload)
	if length <= len(out) {
		out = out[:length]
		copy(out, s.packet[:s.headers])
		copy(out[s.headers:], payload)
		s.network(out)
		s.transport(out, last)
	} else {
		length = 0
	}
	s.next += len(payload)
	s.count++
	if last {
		s.packet = nil
	}
	return length
}

// network writes what differs in the IP header.
func (s *Splitter) network(out []byte) {
	if s.six {
		binary.BigEndian.PutUint16(out[4:], uint16(len(out)-ip6Len))
		return
	}
	binary.BigEndian.PutUint16(out[2:], uint16(len(out)))
	binary.BigEndian.PutUint16(out[4:], binary.BigEndian.Uint16(out[4:])+s.count)
	out[10], out[11] = 0, 0
	storeChecksum(out[10:], sum(out[:s.start], 0))
}

// transport writes what differs in the TCP or UDP header.
func (s *Splitter) transport(out []byte, last bool) {
	segment := out[s.start:]
	acc := addOnes(s.pseudo, pseudoSum(nil, s.protocol(), len(segment)))
	if !s.tcp {
		binary.BigEndian.PutUint16(segment[4:], uint16(len(segment)))
		segment[udpChecksumAt], segment[udpChecksumAt+1] = 0, 0
		storeChecksum(segment[udpChecksumAt:], sum(segment, acc))
		if segment[udpChecksumAt]|segment[udpChecksumAt+1] == 0 {
			segment[udpChecksumAt], segment[udpChecksumAt+1] = 0xff, 0xff
		}
		return
	}
	binary.BigEndian.PutUint32(segment[4:], s.seq+uint32(s.next-s.headers))
	if !last {
		segment[13] &^= tcpFIN | tcpPSH
	}
	if s.count > 0 {
		segment[13] &^= tcpCWR
	}
	segment[tcpChecksumAt], segment[tcpChecksumAt+1] = 0, 0
	storeChecksum(segment[tcpChecksumAt:], sum(segment, acc))
}

func (s *Splitter) protocol() uint8 {
	if s.tcp {
		return protocolTCP
	}
	return protocolUDP
}

// addressesOf is the source and the destination address of a packet.
func addressesOf(packet []byte, six bool) []byte {
	if six {
		return packet[8:40]
	}
	return packet[12:20]
}
