// Package offload does for a TUN interface what network cards do: it splits what the kernel hands over as one large
// packet, and joins packets of one flow so that the kernel takes them as one. It is pure; the caller does the I/O.
//
//	kernel ──▶ Splitter │virtio header│ IP │ TCP │ ............ payload ............ │
//	             out:     │ IP │ TCP │ payload │   │ IP │ TCP │ payload │   …
//
//	Joiner ──▶ kernel   │virtio header│ IP │ TCP │ payload │   │ payload │   │ payload │   gathered, not copied
//
// The virtio header is struct virtio_net_hdr of linux/virtio_net.h, in the byte order of the machine:
//
//	flags(1)  gso type(1)  header length(2)  gso size(2)  checksum start(2)  checksum offset(2)
package offload

import (
	"encoding/binary"
	"errors"
)

// HeaderLen is the length in bytes of the virtio header.
const HeaderLen = 10

// MaxPacket is the largest IP packet.
const MaxPacket = 1<<16 - 1

// ErrMalformed is what Splitter returns for a packet that its header does not fit.
var ErrMalformed = errors.New("malformed packet of a TUN interface")

const (
	needsChecksum = 1 // flag: the checksum is that of the pseudo-header, so far

	gsoNone = 0
	gsoTCP4 = 1
	gsoTCP6 = 4
	gsoUDP  = 5    // UDP_L4: datagrams of equal size
	gsoECN  = 0x80 // flag in the type: the first segment has CWR set

	protocolTCP = 6
	protocolUDP = 17

	ip4Len = 20 // without options
	ip6Len = 40
	tcpLen = 20 // without options
	udpLen = 8

	tcpFIN = 0x01
	tcpPSH = 0x08
	tcpACK = 0x10
	tcpCWR = 0x80

	tcpChecksumAt = 16
	udpChecksumAt = 6
)

// header is the virtio header.
type header struct {
	flags, kind                  uint8
	headers, size, start, offset uint16
}

func parseHeader(b []byte) header {
	return header{
		flags:   b[0],
		kind:    b[1],
		headers: binary.NativeEndian.Uint16(b[2:]),
		size:    binary.NativeEndian.Uint16(b[4:]),
		start:   binary.NativeEndian.Uint16(b[6:]),
		offset:  binary.NativeEndian.Uint16(b[8:]),
	}
}

func (h header) put(b []byte) {
	b[0], b[1] = h.flags, h.kind
	binary.NativeEndian.PutUint16(b[2:], h.headers)
	binary.NativeEndian.PutUint16(b[4:], h.size)
	binary.NativeEndian.PutUint16(b[6:], h.start)
	binary.NativeEndian.PutUint16(b[8:], h.offset)
}
