package member

import (
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/blake2s"
	"golang.org/x/crypto/chacha20poly1305"

	"overlayd/internal/wire"
)

// A join is two questions of the newcomer and their answers. The first brings the certificate; the second hands in the
// newcomer's own record, signed under it, and brings the inviter's. Both can be repeated.
//
//	request, always 1200 bytes, so that no reply is larger:
//	 0    1    2       3          11                  43         67                     1184
//	+----+----+-------+----------+-------------------+----------+----------------------+--------+
//	| 4A | 01 | part  | token id | newcomer's X25519 | nonce 24 | sealed: length (2),  | MAC 16 |
//	|    |    | 1, 2  | 8        | key, 32           |          | CBOR, zeros; tag 16  |        |
//	+----+----+-------+----------+-------------------+----------+----------------------+--------+
//
//	reply:
//	 0    1    2       3          11         35
//	+----+----+-------+----------+----------+---------------------+
//	| 4A | 01 | 80 |  | token id | nonce 24 | sealed: CBOR; tag   |
//	|    |    | part  |          |          |                     |
//	+----+----+-------+----------+----------+---------------------+
//
// The MAC is keyed BLAKE2s-128 under the token's secret over everything before it: it is checked before anything that
// costs more. The key of the seals (XChaCha20-Poly1305) is derived from X25519 of the newcomer's and the inviter's
// static keys, the token's secret and the network. The clear bytes are additional data; for a reply also the nonce of
// the request that it answers.
const (
	joinVersion  = 1
	joinRequest  = 1200
	joinHead     = 11 // up to and with the token id
	requestHead  = joinHead + 32 + chacha20poly1305.NonceSizeX
	replyHead    = joinHead + chacha20poly1305.NonceSizeX
	macLen       = 16
	requestPlain = joinRequest - requestHead - chacha20poly1305.Overhead - macLen
	replyFlag    = 0x80
	maxReply     = joinRequest - replyHead - chacha20poly1305.Overhead

	partCertificate = 1
	partRecord      = 2
)

// requestBody is what the newcomer says.
type requestBody struct {
	Signing []byte `cbor:"1,keyasint"` // its public signing key
	Name    string `cbor:"2,keyasint"` // that it wants
	Proof   []byte `cbor:"3,keyasint"` // signature with that key over network, X25519 key and token id
	Record  []byte `cbor:"4,keyasint,omitempty"`
}

// replyBody is what the inviter says.
type replyBody struct {
	Status      status `cbor:"1,keyasint,omitempty"`
	Settings    []byte `cbor:"2,keyasint,omitempty"` // with partCertificate
	Certificate []byte `cbor:"3,keyasint,omitempty"`
	Record      []byte `cbor:"4,keyasint,omitempty"` // the inviter's, with partRecord
	Text        string `cbor:"5,keyasint,omitempty"` // for statusOtherName: the name that the token is for
}

type status uint8

const (
	statusOK        status = 0
	statusUsed      status = 1
	statusExpired   status = 2
	statusTaken     status = 3
	statusName      status = 4
	statusOtherName status = 5
	statusFull      status = 6
	statusIssuer    status = 7
	statusRecord    status = 8
)

// Why the inviter refuses a newcomer, besides ErrTokenUsed, ErrTokenExpired and ErrName.
var (
	ErrNameTaken = errors.New("another node has this name: choose another one with --name")
	ErrOtherName = errors.New("the token is for a node of another name")
	ErrNoRoom    = errors.New("the network has no free IPv4 address, or as many members as it can have")
	ErrInviter   = errors.New("the inviting node cannot sign certificates any more: ask for a token from another admin")
	ErrRefused   = errors.New("the inviting node refused this node's record: check that the clocks of both are right")
)

func (s status) err(name, text string) error {
	switch s {
	case statusOK:
		return nil
	case statusUsed:
		return ErrTokenUsed
	case statusExpired:
		return ErrTokenExpired
	case statusTaken:
		return fmt.Errorf("the name %q is refused: %w", name, ErrNameTaken)
	case statusName:
		return fmt.Errorf("the name %q is refused: %w", name, ErrName)
	case statusOtherName:
		return fmt.Errorf("%w: join with --name %q", ErrOtherName, clip(text))
	case statusFull:
		return ErrNoRoom
	case statusIssuer:
		return ErrInviter
	default:
		return ErrRefused
	}
}

// request is the clear part of a join request; the slices are parts of the frame.
type request struct {
	part     byte
	token    TokenID
	newcomer Key
	nonce    []byte
	sealed   []byte
}

// parseRequest reads the clear part of a join request.
func parseRequest(frame []byte) (request, error) {
	if len(frame) != joinRequest || frame[0] != wire.FirstJoin || frame[1] != joinVersion ||
		(frame[2] != partCertificate && frame[2] != partRecord) {
		return request{}, fmt.Errorf("join request: %w", ErrMalformed)
	}
	return request{
		part: frame[2], token: TokenID(frame[3:joinHead]), newcomer: Key(frame[joinHead : joinHead+32]),
		nonce: frame[joinHead+32 : requestHead], sealed: frame[requestHead : joinRequest-macLen],
	}, nil
}

func joinMAC(secret TokenSecret, b []byte) []byte {
	h := must(blake2s.New128(secret[:]))
	h.Write(b)
	return h.Sum(nil)
}

// joinKeys are the keys of both directions of a join.
type joinKeys struct{ request, reply cipher.AEAD }

// deriveJoin makes the keys. own is either end's identity, other the other end's public key; both come to the same.
func deriveJoin(own Identity, newcomer, inviter Key, secret TokenSecret, network wire.NetworkID) (joinKeys, error) {
	other := inviter
	if own.WireGuard() == inviter {
		other = newcomer
	}
	shared, err := own.shared(other)
	if err != nil {
		return joinKeys{}, err
	}
	info := contextJoin + string(newcomer[:]) + string(inviter[:])
	okm, err := hkdf.Key(sha256.New, append(shared, secret[:]...), network[:], info, 2*chacha20poly1305.KeySize)
	if err != nil {
		return joinKeys{}, fmt.Errorf("join keys: %w", err)
	}
	return joinKeys{
		request: must(chacha20poly1305.NewX(okm[:chacha20poly1305.KeySize])),
		reply:   must(chacha20poly1305.NewX(okm[chacha20poly1305.KeySize:])),
	}, nil
}

// proofPayload is what a newcomer signs to show that it has the signing key.
func proofPayload(network wire.NetworkID, newcomer Key, token TokenID) []byte {
	return signed(contextJoin, slices.Concat(network[:], newcomer[:], token[:]))
}

// sealRequest makes a request frame.
func (k joinKeys) sealRequest(part byte, t *Token, newcomer Key, nonce [24]byte, body requestBody) ([]byte, error) {
	b := encode(body)
	if len(b) > requestPlain-2 {
		return nil, fmt.Errorf("join request: %w: %d bytes", ErrMalformed, len(b))
	}
	plain := make([]byte, requestPlain)
	binary.BigEndian.PutUint16(plain, uint16(len(b)))
	copy(plain[2:], b)

	frame := append(make([]byte, 0, joinRequest), wire.FirstJoin, joinVersion, part)
	frame = append(frame, t.ID[:]...)
	frame = append(frame, newcomer[:]...)
	frame = append(frame, nonce[:]...)
	frame = k.request.Seal(frame, nonce[:], plain, frame[:joinHead+32])
	return append(frame, joinMAC(t.Secret, frame)...), nil
}

// openRequest opens what parseRequest found in frame.
func (k joinKeys) openRequest(frame []byte, r request) (requestBody, error) {
	var body requestBody
	plain, err := k.request.Open(nil, r.nonce, r.sealed, frame[:joinHead+32])
	if err != nil {
		return body, fmt.Errorf("join request: %w", ErrSignature)
	}
	n := int(binary.BigEndian.Uint16(plain))
	if n > len(plain)-2 {
		return body, fmt.Errorf("join request: %w", ErrMalformed)
	}
	if err := decode(plain[2:2+n], requestPlain, &body); err != nil {
		return body, fmt.Errorf("join request: %w", err)
	}
	if len(body.Signing) != ed25519.PublicKeySize {
		return body, fmt.Errorf("join request: %w", ErrMalformed)
	}
	return body, nil
}

// sealReply makes the reply to the request r; nil if it would be larger than the request.
func (k joinKeys) sealReply(r request, nonce [24]byte, body replyBody) []byte {
	plain := encode(body)
	if len(plain) > maxReply {
		return nil
	}
	frame := append(make([]byte, 0, replyHead+len(plain)+chacha20poly1305.Overhead), wire.FirstJoin, joinVersion)
	frame = append(frame, r.part|replyFlag)
	frame = append(frame, r.token[:]...)
	frame = append(frame, nonce[:]...)
	return k.reply.Seal(frame, nonce[:], plain, replyAD(frame, r.nonce))
}

func replyAD(frame, requestNonce []byte) []byte { return slices.Concat(frame[:joinHead], requestNonce) }

// openReply opens the reply to a request with the given part, token and nonce.
func (k joinKeys) openReply(frame []byte, part byte, token TokenID, requestNonce []byte) (replyBody, error) {
	var body replyBody
	if len(frame) < replyHead+chacha20poly1305.Overhead || len(frame) > joinRequest ||
		frame[0] != wire.FirstJoin || frame[1] != joinVersion || frame[2] != part|replyFlag ||
		TokenID(frame[3:joinHead]) != token {
		return body, fmt.Errorf("join reply: %w", ErrMalformed)
	}
	plain, err := k.reply.Open(nil, frame[joinHead:replyHead], frame[replyHead:], replyAD(frame, requestNonce))
	if err != nil {
		return body, fmt.Errorf("join reply: %w", ErrSignature)
	}
	if err := decode(plain, maxReply, &body); err != nil {
		return body, fmt.Errorf("join reply: %w", err)
	}
	return body, nil
}
