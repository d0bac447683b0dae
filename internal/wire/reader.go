package wire

import (
	"encoding/binary"
	"net/netip"
)

// reader takes values off the front of a body. After the first value that is missing it only returns zeros, and done
// tells.
type reader struct {
	b      []byte
	failed bool
}

func (r *reader) take(n int) []byte {
	if r.failed || len(r.b) < n {
		r.failed = true
		return nil
	}
	head := r.b[:n]
	r.b = r.b[n:]
	return head
}

func (r *reader) uint8() uint8 {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint16() uint16 {
	if b := r.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *reader) nodeID() (id NodeID) {
	copy(id[:], r.take(len(id)))
	return id
}

// label reads a label; one above MaxLabel is malformed.
func (r *reader) label() Label {
	l := Label(r.uint64())
	if l > MaxLabel {
		r.failed = true
		return 0
	}
	return l
}

// nodeIDs reads a count and that many identifiers, at most limit.
func (r *reader) nodeIDs(limit int) []NodeID {
	n := r.count(limit)
	if n == 0 {
		return nil
	}
	ids := make([]NodeID, 0, n)
	for range n {
		ids = append(ids, r.nodeID())
	}
	return ids
}

// count reads a count of at most limit things.
func (r *reader) count(limit int) int {
	n := int(r.uint8())
	if n > limit {
		r.failed = true
		return 0
	}
	return n
}

func (r *reader) bool() bool {
	switch r.uint8() {
	case 0:
		return false
	case 1:
		return true
	default:
		r.failed = true
		return false
	}
}

func (r *reader) addrPort() netip.AddrPort {
	var addr netip.Addr
	switch r.uint8() {
	case 0:
		return netip.AddrPort{}
	case 4:
		var a [4]byte
		copy(a[:], r.take(4))
		addr = netip.AddrFrom4(a)
	case 16:
		var a [16]byte
		copy(a[:], r.take(16))
		addr = netip.AddrFrom16(a)
		if addr.Is4In6() {
			r.failed = true
		}
	default:
		r.failed = true
	}
	return netip.AddrPortFrom(addr, r.uint16())
}

// done is ErrMalformed if anything was missing, or anything is left.
func (r *reader) done() error {
	if r.failed || len(r.b) != 0 {
		return ErrMalformed
	}
	return nil
}

func appendAddrPort(b []byte, ap netip.AddrPort) []byte {
	if !ap.IsValid() {
		return append(b, 0)
	}
	addr := ap.Addr().Unmap().WithZone("")
	raw := addr.AsSlice()
	b = append(b, byte(len(raw)))
	b = append(b, raw...)
	return binary.BigEndian.AppendUint16(b, ap.Port())
}

func appendNodeIDs(b []byte, ids []NodeID) []byte {
	b = append(b, byte(len(ids)))
	for i := range ids {
		b = append(b, ids[i][:]...)
	}
	return b
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}
