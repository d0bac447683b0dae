package member

import (
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"golang.org/x/crypto/chacha20poly1305"

	"overlayd/internal/wire"
)

// A join is a few questions of the newcomer to any member, and their answers. The first brings the certificate; the
// second hands in the newcomer's own record, signed under it, and brings that of the member asked; the others bring
// records of more members. All can be repeated.
//
//	request, always 1200 bytes, so that no reply is larger:
//	 0    1    2       3          11         35
//	+----+----+-------+----------+----------+--------------------------------+
//	| 4A | 02 | part  | token id | nonce 24 | sealed: length (2), CBOR,      |
//	|    |    | 1..3  | 8        |          | zeros; tag 16                  |
//	+----+----+-------+----------+----------+--------------------------------+
//
//	reply:
//	+----+----+-------+----------+----------+---------------------+
//	| 4A | 02 | 80 |  | token id | nonce 24 | sealed: CBOR; tag   |
//	|    |    | part  |          |          |                     |
//	+----+----+-------+----------+----------+---------------------+
//
// The keys of the seals (XChaCha20-Poly1305, one for each direction) follow from the JoinKey, which all members know: so
// whoever is asked tells cheaply who has a token. The clear bytes are additional data; for a reply also the nonce of the
// request that it answers.
//
// That the newcomer has the token itself, it shows by a signature. That it has the private WireGuard key, it shows by
// opening the certificate, which the admin seals to that key. What it gets, the root key vouches for, which is in the
// token.
const (
	joinVersion  = 2
	joinRequest  = 1200
	joinHead     = 11 // up to and with the token id
	requestHead  = joinHead + chacha20poly1305.NonceSizeX
	replyHead    = joinHead + chacha20poly1305.NonceSizeX
	requestPlain = joinRequest - requestHead - chacha20poly1305.Overhead
	replyFlag    = 0x80
	maxReply     = joinRequest - replyHead - chacha20poly1305.Overhead

	partCertificate = 1
	partRecord      = 2
	partMore        = 3
)

// requestBody is what the newcomer says.
type requestBody struct {
	WireGuard []byte `cbor:"1,keyasint,omitempty"` // partCertificate: its public keys
	Signing   []byte `cbor:"2,keyasint,omitempty"`
	Name      string `cbor:"3,keyasint,omitempty"` // that it wants
	Proof     []byte `cbor:"4,keyasint,omitempty"` // signature with its signing key over all of these
	Ticket    []byte `cbor:"5,keyasint,omitempty"` // signature with the token's key over the same
	Record    []byte `cbor:"6,keyasint,omitempty"` // partRecord: its record
	Index     int    `cbor:"7,keyasint,omitempty"` // partMore: which one
}

// replyBody is what a member says.
type replyBody struct {
	Status  status `cbor:"1,keyasint,omitempty"`
	Text    string `cbor:"2,keyasint,omitempty"` // for statusOtherName: the name that the token is for
	Public  []byte `cbor:"3,keyasint,omitempty"` // partCertificate: an X25519 key made for this answer
	Granted []byte `cbor:"4,keyasint,omitempty"` // and, sealed with it and the newcomer's, a granted
	Record  []byte `cbor:"5,keyasint,omitempty"` // of the member asked, or of another one
}

// granted is what makes the newcomer a member.
type granted struct {
	Settings    []byte `cbor:"1,keyasint"`
	Certificate []byte `cbor:"2,keyasint"`
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
	statusRevoked   status = 9
	statusCancelled status = 10
	statusKey       status = 11
)

// Why a newcomer is refused, besides ErrTokenUsed, ErrTokenExpired and ErrName.
var (
	ErrNameTaken = errors.New("another node has this name: choose another one with --name")
	ErrOtherName = errors.New("the token is for a node of another name")
	ErrNoRoom    = errors.New("the network has no free IPv4 address, or as many members as it can have")
	ErrInviter   = errors.New("the inviting node cannot sign certificates any more: ask for a token from another admin")
	ErrRefused   = errors.New("the network refused this node's record: check that the clocks of both are right")
	ErrComeAnew  = errors.New("this node was revoked, or has left: remove its state directory and join as a new node")
	ErrKeyTaken  = errors.New("another member has this node's key: remove the state directory, which is a copy, and join anew")
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
	case statusRevoked:
		return ErrComeAnew
	case statusCancelled:
		return ErrTokenCancelled
	case statusKey:
		return ErrKeyTaken
	default:
		return ErrRefused
	}
}

// request is the clear part of a join request; the slices are parts of the frame.
type request struct {
	part   byte
	token  TokenID
	nonce  []byte
	sealed []byte
}

// parseRequest reads the clear part of a join request.
func parseRequest(frame []byte) (request, error) {
	if len(frame) != joinRequest || frame[0] != wire.FirstJoin || frame[1] != joinVersion ||
		frame[2] < partCertificate || frame[2] > partMore {
		return request{}, fmt.Errorf("join request: %w", ErrMalformed)
	}
	return request{
		part: frame[2], token: TokenID(frame[3:joinHead]), nonce: frame[joinHead:requestHead], sealed: frame[requestHead:],
	}, nil
}

// joinKeys are the keys of both directions of a join.
type joinKeys struct{ request, reply cipher.AEAD }

// aeads makes the two keys of an invitation.
func (k JoinKey) aeads(network wire.NetworkID) joinKeys {
	okm := must(hkdf.Key(sha256.New, k[:], network[:], contextJoin, 2*chacha20poly1305.KeySize))
	return joinKeys{
		request: must(chacha20poly1305.NewX(okm[:chacha20poly1305.KeySize])),
		reply:   must(chacha20poly1305.NewX(okm[chacha20poly1305.KeySize:])),
	}
}

// ticketPayload is what a newcomer signs, to show that it has its signing key and the token.
func ticketPayload(network wire.NetworkID, token TokenID, b *requestBody) []byte {
	return signed(contextTicket, slices.Concat(network[:], token[:], b.WireGuard, b.Signing, []byte(b.Name)))
}

// genuine reports whether a request for a certificate was made by who has the token and the signing key in it.
func (b *requestBody) genuine(network wire.NetworkID, i *Invitation) bool {
	payload := ticketPayload(network, i.ID, b)
	return len(b.WireGuard) == len(Key{}) && len(b.Signing) == ed25519.PublicKeySize && len(b.Name) <= 2*maxName &&
		ed25519.Verify(i.Public, payload, b.Ticket) && ed25519.Verify(b.Signing, payload, b.Proof)
}

// sealRequest makes a request frame.
func (k joinKeys) sealRequest(part byte, token TokenID, nonce [24]byte, body requestBody) ([]byte, error) {
	b := encode(body)
	if len(b) > requestPlain-2 {
		return nil, fmt.Errorf("join request: %w: %d bytes", ErrMalformed, len(b))
	}
	plain := make([]byte, requestPlain)
	binary.BigEndian.PutUint16(plain, uint16(len(b)))
	copy(plain[2:], b)

	frame := append(make([]byte, 0, joinRequest), wire.FirstJoin, joinVersion, part)
	frame = append(frame, token[:]...)
	frame = append(frame, nonce[:]...)
	return k.request.Seal(frame, nonce[:], plain, frame[:joinHead]), nil
}

// openRequest opens what parseRequest found in frame.
func (k joinKeys) openRequest(frame []byte, r request) (requestBody, error) {
	var body requestBody
	plain, err := k.request.Open(nil, r.nonce, r.sealed, frame[:joinHead])
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
	return body, nil
}

// sealReply makes the reply to a request; nil if it would be larger than the request.
func (k joinKeys) sealReply(part byte, token TokenID, requestNonce []byte, nonce [24]byte, body replyBody) []byte {
	plain := encode(body)
	if len(plain) > maxReply {
		return nil
	}
	frame := append(make([]byte, 0, replyHead+len(plain)+chacha20poly1305.Overhead), wire.FirstJoin, joinVersion)
	frame = append(frame, part|replyFlag)
	frame = append(frame, token[:]...)
	frame = append(frame, nonce[:]...)
	return k.reply.Seal(frame, nonce[:], plain, replyAD(frame, requestNonce))
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

// grantKey is the key of a granted: of the X25519 secret of the key in the answer and the newcomer's.
func grantKey(secret []byte, network wire.NetworkID, public, newcomer []byte) cipher.AEAD {
	okm := must(hkdf.Key(sha256.New, secret, network[:], contextJoin+string(public)+string(newcomer), chacha20poly1305.KeySize))
	return must(chacha20poly1305.NewX(okm))
}

// sealGrant seals what makes a newcomer a member to its WireGuard key. The key is used once, so the nonce is constant.
func sealGrant(random io.Reader, n *Network, newcomer []byte, c *Certificate) (public, sealed []byte, err error) {
	var seed [32]byte
	if _, err := io.ReadFull(random, seed[:]); err != nil {
		return nil, nil, fmt.Errorf("read random bytes: %w", err)
	}
	key := must(ecdh.X25519().NewPrivateKey(seed[:]))
	theirs, err := ecdh.X25519().NewPublicKey(newcomer)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	secret, err := key.ECDH(theirs)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	public = key.PublicKey().Bytes()
	plain := encode(granted{Settings: n.raw, Certificate: c.raw})
	var nonce [chacha20poly1305.NonceSizeX]byte
	return public, grantKey(secret, n.ID, public, newcomer).Seal(nil, nonce[:], plain, nil), nil
}

// openGrant opens what sealGrant has sealed to the identity.
func openGrant(id Identity, network wire.NetworkID, public, sealed []byte) (granted, error) {
	var g granted
	if len(public) != len(Key{}) {
		return g, fmt.Errorf("join reply: %w", ErrMalformed)
	}
	secret, err := id.shared(Key(public))
	if err != nil {
		return g, err
	}
	own := id.WireGuard()
	var nonce [chacha20poly1305.NonceSizeX]byte
	plain, err := grantKey(secret, network, public, own[:]).Open(nil, nonce[:], sealed, nil)
	if err != nil {
		return g, fmt.Errorf("join reply: %w", ErrSignature)
	}
	return g, decode(plain, maxReply, &g)
}
