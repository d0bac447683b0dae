package wire

import "encoding/binary"

// Class is the kind of a datagram on the overlay port.
type Class uint8

// The classes of Classify.
const (
	ClassUnknown Class = iota
	ClassWireGuard
	ClassSTUN
	ClassLabel
	ClassControl
	ClassJoin
)

const (
	firstLabel   = 'L'
	firstControl = 'C'
	firstJoin    = 'J'

	stunCookie    = 0x2112A442 // RFC 8489, section 5
	stunHeaderLen = 20
)

// FirstJoin is the first byte of a join frame, whose rest belongs to package join.
const FirstJoin byte = firstJoin

// WireGuard message types (the first byte, followed by three zero bytes).
const (
	WireGuardInitiation = 1
	WireGuardResponse   = 2
	WireGuardCookie     = 3
	WireGuardTransport  = 4
)

// Classify tells the class of a datagram from its first bytes. WireGuard's form is tested before STUN's, because the
// receiver index of a WireGuard message may happen to equal STUN's cookie. It does not allocate.
func Classify(b []byte) Class {
	if len(b) < 4 {
		return ClassUnknown
	}
	switch {
	case b[0] >= WireGuardInitiation && b[0] <= WireGuardTransport && b[1] == 0 && b[2] == 0 && b[3] == 0:
		return ClassWireGuard
	case b[0] == firstLabel:
		if len(b) > LabelHeaderLen {
			return ClassLabel
		}
	case b[0] == firstControl:
		if len(b) >= stablePrefix { // in another protocol the rest may be shorter
			return ClassControl
		}
	case b[0] == firstJoin:
		return ClassJoin
	case b[0] < 4 && len(b) >= stunHeaderLen && binary.BigEndian.Uint32(b[4:8]) == stunCookie:
		return ClassSTUN
	}
	return ClassUnknown
}

// DataSeq is the low half of the counter in a transport message, which WireGuard makes one greater with each message of
// a session: it tells which of two messages was sent first. It is in clear, and zero if b is too short for one.
func DataSeq(b []byte) uint32 {
	if len(b) < 16 {
		return 0
	}
	return binary.LittleEndian.Uint32(b[8:])
}

// IsHandshake reports whether b, of class WireGuard, is a handshake or cookie message rather than transport data.
func IsHandshake(b []byte) bool { return len(b) > 0 && b[0] != WireGuardTransport }
