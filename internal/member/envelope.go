package member

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// Why something is not believed. What a parser of this package returns wraps one of these.
var (
	ErrMalformed = errors.New("malformed")                                // not in the form that it should have
	ErrSignature = errors.New("signature does not match")                 // altered, or signed by somebody else
	ErrForeign   = errors.New("belongs to another network")               // another root key
	ErrExpired   = errors.New("certificate is expired or not valid yet")  // by this node's clock
	ErrIssuer    = errors.New("issuer has no right to sign certificates") // chain, capability, validity or standing
	ErrRevoked   = errors.New("the node was revoked")
)

// What is signed begins with one of these and a zero byte, so that no signature can stand for two things.
const (
	contextSettings    = "overlayd settings v1"
	contextCertificate = "overlayd certificate v1"
	contextRecord      = "overlayd record v1"
	contextVerdict     = "overlayd verdict v1"
	contextInvitation  = "overlayd invitation v1"
)

// contexts are all of them.
var contexts = [...]string{contextSettings, contextCertificate, contextRecord, contextVerdict, contextInvitation}

// envelope is a signed payload, kept as the very bytes that were signed.
type envelope struct {
	_         struct{} `cbor:",toarray"`
	Payload   []byte
	Signature []byte
}

// codec is how this package and those who build on it read and write CBOR. The modes are immutable.
var (
	encoder = must(cbor.CoreDetEncOptions().EncMode())
	decoder = must(cbor.DecOptions{
		DupMapKey:        cbor.DupMapKeyEnforcedAPF,
		IndefLength:      cbor.IndefLengthForbidden,
		TagsMd:           cbor.TagsForbidden,
		MaxNestedLevels:  8,
		MaxArrayElements: 128,
		MaxMapPairs:      32,
	}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // a constant of this package is wrong
	}
	return v
}

// Encode is v in deterministic CBOR. It panics if v cannot be encoded, which is a matter of its type.
func Encode(v any) []byte { return must(encoder.Marshal(v)) }

// Decode reads b, of at most limit bytes, into v, and refuses what is not plain: duplicate keys, indefinite lengths, tags.
// What it returns wraps ErrMalformed.
func Decode(b []byte, limit int, v any) error {
	if len(b) > limit {
		return fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrMalformed, len(b), limit)
	}
	if err := decoder.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return nil
}

// Signed is what a signature of a message in a context is over: the context, a zero byte and the message.
func Signed(context string, payload []byte) []byte {
	b := make([]byte, 0, len(context)+1+len(payload))
	b = append(b, context...)
	b = append(b, 0)
	return append(b, payload...)
}

// seal signs payload and returns the envelope.
func seal(key ed25519.PrivateKey, context string, payload []byte) []byte {
	return Encode(envelope{Payload: payload, Signature: ed25519.Sign(key, Signed(context, payload))})
}

// open reads an envelope of at most limit bytes. There is only one encoding of it: otherwise somebody who is not the
// signer could make another one of the same value.
func open(raw []byte, limit int) (envelope, error) {
	var e envelope
	if err := Decode(raw, limit, &e); err != nil {
		return envelope{}, err
	}
	if len(e.Signature) != ed25519.SignatureSize || !bytes.Equal(Encode(e), raw) {
		return envelope{}, fmt.Errorf("%w: not a signed envelope", ErrMalformed)
	}
	return e, nil
}

func (e envelope) verify(key ed25519.PublicKey, context string) error {
	if len(key) != ed25519.PublicKeySize || !ed25519.Verify(key, Signed(context, e.Payload), e.Signature) {
		return ErrSignature
	}
	return nil
}
