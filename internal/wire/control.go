package wire

import (
	"encoding/binary"
	"errors"
)

// A control frame travels between two members, sealed (package seal):
//
//	 0      1          2        6                 30
//	+------+----------+--------+-----------------+----------------------------------+--------+
//	| 0x43 | protocol | hint   | nonce, 24 bytes | ciphertext: header, body         | tag 16 |
//	+------+----------+--------+-----------------+----------------------------------+--------+
//
//	header:  sender epoch (8) | receiver epoch (8) | sequence (8) | kind (1)
//
// The hint tells the receiver whose key to try. Integers are big-endian. The first six bytes keep their meaning in every
// protocol to come: so a node can tell who speaks another one. What follows them belongs to the protocol; that of number
// zero is the version notice, whose form never changes either (package seal).
const (
	stablePrefix    = 1 + 1 + 4
	controlPrefix   = stablePrefix + NonceLen
	controlOverhead = controlPrefix + HeaderLen + tagLen

	// NonceLen is the length of the nonce of XChaCha20-Poly1305 in bytes.
	NonceLen = 24
	tagLen   = 16

	// HeaderLen is the length in bytes of a Header.
	HeaderLen = 8 + 8 + 8 + 1

	// MaxControlLen bounds a control frame, so that with a label, UDP and IPv6 it fits the 1280 bytes that every
	// IPv6 link carries.
	MaxControlLen = 1280 - 40 - 8 - LabelHeaderLen

	// MaxBodyLen is what is left of MaxControlLen for a body.
	MaxBodyLen = MaxControlLen - controlOverhead

	// MaxSizeTest bounds a frame of KindSizeTest, the only one that may be longer than MaxControlLen.
	MaxSizeTest = 1900
)

// Protocol is the number of the control protocol that this build speaks. It grows with every change that makes frames
// unreadable to the builds before it.
const Protocol uint8 = 1

// NoticeProtocol marks a version notice, which builds of every protocol read.
const NoticeProtocol uint8 = 0

// ErrProtocol means that a control frame is of another protocol.
var ErrProtocol = errors.New("control frame of another protocol")

// MaxBody is how long the body of a frame of a kind may be.
func (k Kind) MaxBody() int {
	if k == KindSizeTest {
		return MaxSizeTest - controlOverhead
	}
	return MaxBodyLen
}

// Hint tells the receiver of a control frame who may have sent it. Two members may share one.
type Hint uint32

// AppendControlPrefix appends the clear part of a control frame: the first byte, the protocol, the hint and the nonce.
func AppendControlPrefix(b []byte, hint Hint, nonce *[NonceLen]byte) []byte {
	return AppendPrefixOf(b, Protocol, hint, nonce)
}

// AppendPrefixOf is AppendControlPrefix for a protocol by number.
func AppendPrefixOf(b []byte, protocol uint8, hint Hint, nonce *[NonceLen]byte) []byte {
	b = append(b, firstControl, protocol)
	b = binary.BigEndian.AppendUint32(b, uint32(hint))
	return append(b, nonce[:]...)
}

// ParseControl splits a control frame into its hint, its clear prefix (the additional data of the seal), nonce and
// sealed part. The slices are parts of b. ErrProtocol means that it is of another protocol. A frame that is longer than
// MaxControlLen must turn out to be of KindSizeTest.
func ParseControl(b []byte) (hint Hint, prefix, nonce, sealed []byte, err error) {
	protocol, hint, ok := PeekProtocol(b)
	switch {
	case !ok:
		return 0, nil, nil, nil, ErrMalformed
	case protocol != Protocol:
		return hint, nil, nil, nil, ErrProtocol
	case len(b) < controlOverhead || len(b) > MaxSizeTest:
		return 0, nil, nil, nil, ErrMalformed
	}
	return hint, b[:stablePrefix], b[stablePrefix:controlPrefix], b[controlPrefix:], nil
}

// PeekProtocol reads of a control frame of any protocol which one it is, and who may have sent it; false if it is none.
func PeekProtocol(b []byte) (protocol uint8, hint Hint, ok bool) {
	if len(b) < stablePrefix || b[0] != firstControl {
		return 0, 0, false
	}
	return b[1], Hint(binary.BigEndian.Uint32(b[2:stablePrefix])), true
}

// ParseNotice splits a version notice as ParseControl does a control frame.
func ParseNotice(b []byte) (hint Hint, prefix, nonce, sealed []byte, err error) {
	protocol, hint, ok := PeekProtocol(b)
	if !ok || protocol != NoticeProtocol || len(b) < controlPrefix+tagLen || len(b) > MaxControlLen {
		return 0, nil, nil, nil, ErrMalformed
	}
	return hint, b[:stablePrefix], b[stablePrefix:controlPrefix], b[controlPrefix:], nil
}

// Kind says what the body of a control frame is.
type Kind uint8

// The kinds of control frame.
const (
	KindHello         Kind = 1  // Hello: the epochs in the header are the message, and what was heard
	KindPing          Kind = 2  // Ping
	KindPong          Kind = 3  // Pong
	KindBye           Kind = 4  // no body: the sender is shutting down
	KindCircuitOpen   Kind = 5  // CircuitOpen
	KindCircuitOpened Kind = 6  // CircuitOpened
	KindCircuitError  Kind = 7  // CircuitError
	KindCircuitClose  Kind = 8  // CircuitClose
	KindNeighbors     Kind = 9  // Neighbors
	KindRouteQuery    Kind = 10 // RouteQuery
	KindRouteReply    Kind = 11 // RouteReply
	KindEndpoints     Kind = 12 // Endpoints
	KindMembers       Kind = 13 // a message of package member
	KindPass          Kind = 14 // a newcomer's question on its way to an admin, or the answer: of package member
	KindDuplicate     Kind = 15 // Endpoints: where hosts were heard that run with the receiver's keys
	KindSession       Kind = 16 // no body: the receiver is to forget its WireGuard session with the sender
	KindSizeTest      Kind = 20 // SizeTest: padded to the size that is tested
	KindSizeTested    Kind = 21 // SizeTest without padding: it arrived
)

// Header is the first part of what is sealed. An epoch is the time of a node's start in microseconds since 1970, made
// strictly increasing over restarts; a frame changes state only if its receiver epoch is the receiver's own, so that
// nothing recorded before a restart can be replayed after it, whatever the clocks say. The epoch of a start is even. One
// that is odd was taken by a node that runs already, since a peer had heard of a newer one (package seal).
type Header struct {
	SenderEpoch   uint64
	ReceiverEpoch uint64 // zero while the sender does not know it
	Seq           uint64 // counts the frames from this sender to this receiver in this epoch
	Kind          Kind
}

// Hello is what its sender heard of the receiver.
type Hello struct {
	Heard uint64 // the highest Seq in the receiver epoch of the header; zero: none
}

// Append appends the body to b.
func (h Hello) Append(b []byte) []byte { return binary.BigEndian.AppendUint64(b, h.Heard) }

// ParseHello reads a body.
func ParseHello(b []byte) (Hello, error) {
	r := reader{b: b}
	h := Hello{Heard: r.uint64()}
	return h, r.done()
}

// Append appends the header to b.
func (h Header) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, h.SenderEpoch)
	b = binary.BigEndian.AppendUint64(b, h.ReceiverEpoch)
	b = binary.BigEndian.AppendUint64(b, h.Seq)
	return append(b, byte(h.Kind))
}

// ParseHeader splits opened plaintext into its header and its body, a part of b.
func ParseHeader(b []byte) (Header, []byte, error) {
	if len(b) < HeaderLen {
		return Header{}, nil, ErrMalformed
	}
	return Header{
		SenderEpoch:   binary.BigEndian.Uint64(b),
		ReceiverEpoch: binary.BigEndian.Uint64(b[8:]),
		Seq:           binary.BigEndian.Uint64(b[16:]),
		Kind:          Kind(b[24]),
	}, b[HeaderLen:], nil
}
