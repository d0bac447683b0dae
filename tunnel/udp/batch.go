package udp

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

const (
	batchMessages = 64
	batchVectors  = 320
)

// Batch collects datagrams to be sent with as few system calls as possible. It refers to the memory that it is given
// and copies none of it; that memory must stay as it is until Reset. A Batch belongs to one goroutine at a time and can
// be used again and again; it is 20 KB large, so keep it.
type Batch struct {
	messages, vectors int
	six               bool

	hdrs     [batchMessages]mmsghdr
	meta     [batchMessages]meta
	names    [batchMessages]sockaddr
	controls [batchMessages]sendControl
	prefixes [batchMessages][PrefixLen]byte
	iovecs   [batchVectors]unix.Iovec
	plain    *plain // made when UDP_SEGMENT is refused for the first time

	send   func(fd uintptr)
	socket *Socket
	sent   int
	err    error
}

// meta is what has to be known of a message to send it without UDP_SEGMENT.
type meta struct {
	segment  int  // size of a datagram
	segments int  // number of datagrams
	detoured bool // an outgoing interface is named
}

// NewBatch makes a Batch for datagrams of one family: that of the socket that they will be sent on.
func (s *Socket) NewBatch() *Batch {
	b := &Batch{six: s.six}
	for i := range b.hdrs {
		h := &b.hdrs[i].hdr
		h.Name = &b.names[i][0]
		b.controls[i].prepare(b.six)
	}
	b.send = b.sendAll
	return b
}

// Reset empties the batch and forgets the memory that it referred to.
func (b *Batch) Reset() {
	clear(b.iovecs[:b.vectors])
	if b.plain != nil {
		b.plain.reset()
	}
	b.messages, b.vectors = 0, 0
	b.socket = nil
}

// Empty reports whether there is nothing to send.
func (b *Batch) Empty() bool { return b.messages == 0 }

// Packets appends the datagrams of packets, as far as there is room, and returns how many it took. Each gets prefix in
// front if it is not zero. Runs of equal size, the last one possibly shorter, become one message. Datagrams to an
// address of the wrong family or without a port are taken and forgotten.
func (b *Batch) Packets(to netip.AddrPort, prefix uint64, packets [][]byte) int {
	each := 1
	if prefix != 0 {
		each = 2
	}
	for i := 0; i < len(packets); {
		if b.messages == batchMessages || b.vectors+each > batchVectors {
			return i
		}
		if !b.begin(to, prefix) {
			return len(packets)
		}
		i += b.run(prefix != 0, packets[i:])
	}
	return len(packets)
}

// run fills the message that was begun with as many packets as it can take: at least one.
func (b *Batch) run(prefixed bool, packets [][]byte) int {
	var (
		first   = b.vectors
		extra   = 0
		limit   = b.limit()
		segment int
		total   int
		n       int
	)
	if prefixed {
		extra = PrefixLen
	}
	for n < len(packets) && n < maxSegments {
		size := extra + len(packets[n])
		if n == 0 {
			segment = size
		} else if size > segment || total+size > limit || b.vectors+2 > batchVectors {
			break
		}
		if prefixed {
			b.vector(&b.prefixes[b.messages][0], PrefixLen)
		}
		if len(packets[n]) > 0 {
			b.vector(&packets[n][0], len(packets[n]))
		}
		total += size
		n++
		if size < segment {
			break
		}
	}
	b.end(first, segment, n)
	return n
}

// Packet appends one datagram, with prefix in front if that is not zero. It returns false if there is no room.
func (b *Batch) Packet(to netip.AddrPort, prefix uint64, packet []byte) bool {
	if b.messages == batchMessages || b.vectors+2 > batchVectors {
		return false
	}
	if !b.begin(to, prefix) {
		return true
	}
	first, size := b.vectors, len(packet)
	if prefix != 0 {
		b.vector(&b.prefixes[b.messages][0], PrefixLen)
		size += PrefixLen
	}
	if len(packet) > 0 {
		b.vector(&packet[0], len(packet))
	}
	b.end(first, size, 1)
	return true
}

// Segments appends the datagrams that data consists of, each of segment bytes but for the last, which may be shorter:
// what a Reader returned. Segment zero: data is one datagram. It returns how many bytes there was room for, always
// whole datagrams.
func (b *Batch) Segments(to netip.AddrPort, data []byte, segment int) int {
	if segment <= 0 || segment > len(data) {
		segment = len(data)
	}
	for done := 0; done < len(data); {
		if b.messages == batchMessages || b.vectors == batchVectors {
			return done
		}
		if !b.begin(to, 0) {
			break
		}
		left := len(data) - done
		n := min((left+segment-1)/segment, maxSegments, max(1, b.limit()/segment))
		size := min(left, n*segment)
		first := b.vectors
		b.vector(&data[done], size)
		b.end(first, segment, n)
		done += size
	}
	return len(data)
}

// begin starts a message; false if the address is none to send to.
func (b *Batch) begin(to netip.AddrPort, prefix uint64) bool {
	i := b.messages
	length := b.names[i].put(to, b.six)
	if length == 0 || to.Port() == 0 {
		return false
	}
	b.hdrs[i].hdr.Namelen = length
	if prefix != 0 {
		binary.BigEndian.PutUint64(b.prefixes[i][:], prefix)
	}
	return true
}

func (b *Batch) vector(base *byte, length int) {
	v := &b.iovecs[b.vectors]
	v.Base = base
	v.SetLen(length)
	b.vectors++
}

// end completes the message whose first vector is given.
func (b *Batch) end(first, segment, segments int) {
	h := &b.hdrs[b.messages].hdr
	h.Iov = &b.iovecs[min(first, batchVectors-1)]
	h.SetIovlen(b.vectors - first)
	b.meta[b.messages] = meta{segment: segment, segments: segments}
	if segments > 1 {
		b.controls[b.messages].setSegment(segment)
	}
	b.controls[b.messages].attach(h, segments > 1, false, b.six)
	b.messages++
}

func (b *Batch) limit() int {
	if b.six {
		return maxPayload
	}
	return maxPayload4
}
