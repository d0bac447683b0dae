package udp

import (
	"encoding/binary"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mmsghdr is struct mmsghdr of recvmmsg(2) and sendmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
}

const (
	cmsgHeaderLen = (unix.SizeofCmsghdr + wordLen - 1) &^ (wordLen - 1)
	wordLen       = int(unsafe.Sizeof(uintptr(0)))
)

// Ancillary data is kept in words, so that the headers in it are aligned.
type (
	receiveControl [16]uint64 // room for a time stamp, a segment size, and what a later kernel may add
	sendControl    [8]uint64  // a segment size in the first three words, then an outgoing interface
)

// Where the outgoing interface stands, in bytes.
const outgoingAt = 3 * 8

// prepare fills in everything but the size and the interface.
func (c *sendControl) prepare(six bool) {
	segment := (*unix.Cmsghdr)(unsafe.Pointer(c))
	segment.Level, segment.Type = unix.SOL_UDP, unix.UDP_SEGMENT
	segment.SetLen(unix.CmsgLen(2))
	outgoing := (*unix.Cmsghdr)(unsafe.Add(unsafe.Pointer(c), outgoingAt))
	if six {
		outgoing.Level, outgoing.Type = unix.IPPROTO_IPV6, unix.IPV6_PKTINFO
		outgoing.SetLen(unix.CmsgLen(unix.SizeofInet6Pktinfo))
	} else {
		outgoing.Level, outgoing.Type = unix.IPPROTO_IP, unix.IP_PKTINFO
		outgoing.SetLen(unix.CmsgLen(unix.SizeofInet4Pktinfo))
	}
}

func (c *sendControl) setSegment(size int) {
	*(*uint16)(unsafe.Add(unsafe.Pointer(c), cmsgHeaderLen)) = uint16(size)
}

// setOutgoing names the interface and the source address. If that is unspecified the kernel takes one of the interface.
func (c *sendControl) setOutgoing(index int32, source netip.Addr) {
	data := unsafe.Add(unsafe.Pointer(c), outgoingAt+cmsgHeaderLen)
	if source.Is6() {
		*(*unix.Inet6Pktinfo)(data) = unix.Inet6Pktinfo{Addr: source.As16(), Ifindex: uint32(index)}
	} else {
		*(*unix.Inet4Pktinfo)(data) = unix.Inet4Pktinfo{Ifindex: index, Spec_dst: source.As4()}
	}
}

// attach makes what is there the ancillary data of a message.
func (c *sendControl) attach(h *unix.Msghdr, segmented, detoured, six bool) {
	from, to := outgoingAt, outgoingAt
	if segmented {
		from = 0
	}
	if detoured {
		to += outgoingSpace(six)
	}
	h.Control = (*byte)(unsafe.Add(unsafe.Pointer(c), from))
	h.SetControllen(to - from)
}

func outgoingSpace(six bool) int {
	if six {
		return unix.CmsgSpace(unix.SizeofInet6Pktinfo)
	}
	return unix.CmsgSpace(unix.SizeofInet4Pktinfo)
}

// control is what the kernel said about a message that it received.
type control struct {
	segment int   // size of the datagrams in the message; zero: it is one
	stamp   int64 // Unix nanoseconds of reception; zero: not known
}

// parseControl reads ancillary data. What it does not know or cannot read it leaves out.
func parseControl(b []byte) control {
	var c control
	for len(b) >= cmsgHeaderLen {
		length, level, kind := cmsgHeader(b)
		if length < cmsgHeaderLen || length > len(b) {
			break
		}
		data := b[cmsgHeaderLen:length]
		switch {
		case level == unix.SOL_UDP && kind == unix.UDP_GRO && len(data) >= 4:
			if n := int32(binary.NativeEndian.Uint32(data)); n > 0 {
				c.segment = int(n)
			}
		case level == unix.SOL_SOCKET && kind == unix.SO_TIMESTAMPNS && len(data) >= 2*wordLen:
			c.stamp = word(data)*int64(time.Second) + word(data[wordLen:])
		}
		b = b[min(len(b), (length+wordLen-1)&^(wordLen-1)):]
	}
	return c
}

// cmsgHeader reads a struct cmsghdr: a word of length, then level and type.
func cmsgHeader(b []byte) (length int, level, kind int32) {
	length = int(word(b))
	level = int32(binary.NativeEndian.Uint32(b[wordLen:]))
	kind = int32(binary.NativeEndian.Uint32(b[wordLen+4:]))
	return length, level, kind
}

// word reads a signed word of the machine's size.
func word(b []byte) int64 {
	if wordLen == 8 {
		return int64(binary.NativeEndian.Uint64(b))
	}
	return int64(int32(binary.NativeEndian.Uint32(b)))
}
