package offload

import (
	"bytes"
	"encoding/binary"
	"slices"
)

const (
	maxJoined = 64 // packets in one
	maxSearch = 8  // groups that are looked at for the flow of a packet
)

// Joiner groups packets that go to the kernel as one. Those of one flow keep their order. It refers to the packets'
// memory: the headers of the first of each group are changed, and the HeaderLen bytes in front of it.
type Joiner struct {
	udp     bool // the kernel takes joined UDP datagrams
	offset  int
	packets [][]byte
	next    []int // packet that follows in the same group; zero: none
	groups  []group
}

// group is one packet, or several that are written as one.
type group struct {
	parsed
	first, last int
	count       int
	total       int    // length of all: headers once, and every payload
	nextSeq     uint32 // of TCP
	closed      bool   // nothing may follow
	checked     bool   // the checksums of the first packet are right
}

// parsed is what a packet is if it can be joined at all, or can stand in the way of others of its flow.
type parsed struct {
	protocol uint8 // zero: not TCP or UDP, or too odd to look into
	six      bool
	data     bool // has payload and nothing that forbids joining
	push     bool // TCP: to be delivered at once
	start    int  // of the TCP or UDP header
	headers  int
	payload  int
	seq      uint32
}

// NewJoiner makes a Joiner; udp says whether the kernel takes joined datagrams (Linux 6.2).
func NewJoiner(udp bool) *Joiner { return &Joiner{udp: udp} }

// Join groups packets, each of which begins at offset, at least HeaderLen. It returns the number of groups, which are
// good until the next call.
func (j *Joiner) Join(packets [][]byte, offset int) int {
	j.packets, j.offset, j.groups = packets, offset, j.groups[:0]
	j.next = slices.Grow(j.next[:0], len(packets))[:len(packets)]
	clear(j.next)
	for i := range packets {
		j.add(i)
	}
	return len(j.groups)
}

// Reset forgets the packets.
func (j *Joiner) Reset() { j.packets = nil }

func (j *Joiner) packet(i int) []byte { return j.packets[i][j.offset:] }

func (j *Joiner) add(i int) {
	p := parse(j.packet(i))
	if p.protocol != 0 {
		if g := j.find(i, p); g != nil && !g.closed {
			if p.data && j.fits(g, i, p) {
				j.append(g, i, p)
				return
			}
			g.closed = true
		}
	}
	j.groups = append(j.groups, group{
		parsed:  p,
		first:   i,
		last:    i,
		count:   1,
		total:   p.headers + p.payload,
		nextSeq: p.seq + uint32(p.payload),
		closed:  !p.data || p.push || p.protocol == protocolUDP && !j.udp,
	})
}

// find is the last group of a packet's flow, nil if there is none among the last few.
func (j *Joiner) find(i int, p parsed) *group {
	packet := j.packet(i)
	for k := len(j.groups) - 1; k >= max(0, len(j.groups)-maxSearch); k-- {
		g := &j.groups[k]
		if g.protocol != p.protocol || g.six != p.six {
			continue
		}
		first := j.packet(g.first)
		if bytes.Equal(addressesOf(first, g.six), addressesOf(packet, p.six)) &&
			bytes.Equal(first[g.start:g.start+4], packet[p.start:p.start+4]) {
			return g
		}
	}
	return nil
}

// fits decides whether a packet continues a group so that the kernel, if it splits the whole again, gets what came.
func (j *Joiner) fits(g *group, i int, p parsed) bool {
	first, packet := j.packet(g.first), j.packet(i)
	if p.payload > g.payload || p.headers != g.headers || g.count >= maxJoined || g.total+p.payload > MaxPacket ||
		!sameNetwork(first, packet, g.six) {
		return false
	}
	if g.protocol == protocolTCP {
		a, b := first[g.start:g.headers], packet[p.start:p.headers]
		if p.seq != g.nextSeq || !bytes.Equal(a[8:13], b[8:13]) || (a[13]^b[13])&^tcpPSH != 0 ||
			!bytes.Equal(a[14:16], b[14:16]) || !bytes.Equal(a[18:], b[18:]) {
			// acknowledgement and header length, flags, window, urgent pointer and options
			return false
		}
	}
	if !g.checked {
		if !valid(first[:g.headers+g.payload], g.parsed) {
			g.closed = true
			return false
		}
		g.checked = true
	}
	return valid(packet, p)
}

func (j *Joiner) append(g *group, i int, p parsed) {
	j.next[g.last] = i
	g.last = i
	g.count++
	g.total += p.payload
	g.nextSeq += uint32(p.payload)
	g.push = g.push || p.push
	g.closed = p.push || p.payload < g.payload
}

// Vectors appends what is to be written for the i-th group: a virtio header with the first packet, then payloads.
func (j *Joiner) Vectors(dst [][]byte, i int) [][]byte {
	g := &j.groups[i]
	whole := j.packets[g.first][j.offset-HeaderLen:]
	if g.count == 1 {
		clear(whole[:HeaderLen])
		return append(dst, whole)
	}
	j.finish(g, whole)
	dst = append(dst, whole)
	for k := j.next[g.first]; k != 0; k = j.next[k] {
		dst = append(dst, j.packet(k)[g.headers:])
	}
	return dst
}

// finish makes the headers of a group's first packet those of the whole.
func (j *Joiner) finish(g *group, whole []byte) {
	packet := whole[HeaderLen:]
	if g.six {
		binary.BigEndian.PutUint16(packet[4:], uint16(g.total-ip6Len))
	} else {
		binary.BigEndian.PutUint16(packet[2:], uint16(g.total))
		packet[10], packet[11] = 0, 0
		storeChecksum(packet[10:], sum(packet[:ip4Len], 0))
	}
	h := header{
		flags:   needsChecksum,
		headers: uint16(g.headers),
		size:    uint16(g.payload),
		start:   uint16(g.start),
	}
	segment := packet[g.start:]
	switch {
	case g.protocol == protocolUDP:
		h.kind, h.offset = gsoUDP, udpChecksumAt
		binary.BigEndian.PutUint16(segment[4:], uint16(g.total-g.start))
	case g.six:
		h.kind, h.offset = gsoTCP6, tcpChecksumAt
	default:
		h.kind, h.offset = gsoTCP4, tcpChecksumAt
	}
	if g.push && g.protocol == protocolTCP {
		segment[13] |= tcpPSH
	}
	pseudo := pseudoSum(addressesOf(packet, g.six), g.protocol, g.total-g.start)
	binary.NativeEndian.PutUint16(segment[h.offset:], fold(pseudo))
	h.put(whole)
}
