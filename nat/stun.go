package nat

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/pion/stun/v3"
)

// ErrSTUN is returned for anything that is not the STUN message that was expected.
var ErrSTUN = errors.New("not a usable STUN message")

// TransactionID ties a STUN response to its request. It must be hard to guess: who knows it can answer in the name of
// the server.
type TransactionID = [stun.TransactionIDSize]byte

const (
	stunHeaderLen  = 20
	stunAttrLen    = 4
	maxSTUNRequest = 548 // RFC 8489, section 6.1: what any IPv4 path carries

	// paddingLen makes our request as long as the longest answer, which holds family, port and an IPv6 address.
	paddingLen = 4 + 16

	// comprehensionOptional is the first attribute type that may be ignored (RFC 8489, section 14).
	comprehensionOptional = 0x8000
)

// AnswerSTUN appends the answer to a STUN message that came from the given address to dst, and reports whether there is
// one. Only a Binding request (RFC 8489) gets one, a success response with XOR-MAPPED-ADDRESS, and only if it is at least
// as long as the answer: nobody can use this node to send more bytes to a victim than he sends himself. A client fills
// up its request with PADDING (RFC 5780, section 7.6).
func AnswerSTUN(dst, request []byte, from netip.AddrPort) ([]byte, bool) {
	m, err := decodeSTUN(request)
	if err != nil || m.Type != stun.BindingRequest || !from.IsValid() || !understood(m) {
		return dst, false
	}
	addr := from.Addr().Unmap()
	if len(request) < stunHeaderLen+stunAttrLen+4+addr.BitLen()/8 {
		return dst, false
	}
	mapped := stun.XORMappedAddress{IP: net.IP(addr.AsSlice()), Port: int(from.Port())}
	answer, err := stun.Build(stun.BindingSuccess, stun.NewTransactionIDSetter(m.TransactionID), &mapped)
	if err != nil || len(answer.Raw) > len(request) {
		return dst, false
	}
	return append(dst, answer.Raw...), true
}

// understood reports whether a request asks for nothing but what AnswerSTUN does: no attribute that must be understood
// except PADDING. One that asks for authentication, or an answer from another address, is not for this node.
func understood(m *stun.Message) bool {
	for _, a := range m.Attributes {
		if a.Type < comprehensionOptional && a.Type != stun.AttrPadding {
			return false
		}
	}
	return true
}

// AppendSTUNRequest appends a Binding request to dst that is just long enough for AnswerSTUN to answer.
func AppendSTUNRequest(dst []byte, id TransactionID) []byte {
	m := stun.New()
	m.SetType(stun.BindingRequest)
	m.TransactionID = id
	m.WriteHeader()
	m.Add(stun.AttrPadding, make([]byte, paddingLen))
	return append(dst, m.Raw...)
}

// ParseSTUNResponse reads a Binding success response: the address that the server saw, and the transaction that it
// answers, which the caller has to compare with its own.
func ParseSTUNResponse(b []byte) (netip.AddrPort, TransactionID, error) {
	m, err := decodeSTUN(b)
	if err != nil {
		return netip.AddrPort{}, TransactionID{}, err
	}
	if m.Type != stun.BindingSuccess {
		return netip.AddrPort{}, TransactionID{}, fmt.Errorf("%w: %v", ErrSTUN, m.Type)
	}
	value, err := m.Get(stun.AttrXORMappedAddress)
	if err != nil || (len(value) != 8 && len(value) != 20) {
		return netip.AddrPort{}, TransactionID{}, fmt.Errorf("%w: no mapped address", ErrSTUN)
	}
	var mapped stun.XORMappedAddress
	if err := mapped.GetFrom(m); err != nil {
		return netip.AddrPort{}, TransactionID{}, fmt.Errorf("%w: %v", ErrSTUN, err)
	}
	addr, _ := netip.AddrFromSlice(mapped.IP)
	if len(mapped.IP)+4 != len(value) || addr.Is4In6() {
		return netip.AddrPort{}, TransactionID{}, fmt.Errorf("%w: odd address family", ErrSTUN)
	}
	return netip.AddrPortFrom(addr, uint16(mapped.Port)), m.TransactionID, nil
}

// decodeSTUN reads a message that fills b exactly. If it has a fingerprint, that is its last attribute and is right.
func decodeSTUN(b []byte) (*stun.Message, error) {
	if len(b) < stunHeaderLen || len(b) > maxSTUNRequest || b[0]&0xC0 != 0 || len(b)%4 != 0 {
		return nil, ErrSTUN
	}
	m := &stun.Message{Raw: bytes.Clone(b)}
	if err := m.Decode(); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrSTUN, err)
	}
	if int(m.Length)+stunHeaderLen != len(b) {
		return nil, fmt.Errorf("%w: wrong length", ErrSTUN)
	}
	for i, a := range m.Attributes {
		if a.Type != stun.AttrFingerprint {
			continue
		}
		if i != len(m.Attributes)-1 || stun.Fingerprint.Check(m) != nil {
			return nil, fmt.Errorf("%w: wrong fingerprint", ErrSTUN)
		}
	}
	return m, nil
}
