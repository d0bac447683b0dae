package join

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"

	"overlayd/internal/member"
	"overlayd/internal/wire"
)

// A join is a few questions of the newcomer to any member, and their answers. The first brings the certificate; the
// second hands in the newcomer's own record, signed under it, and brings that of the member asked; the others bring
// records of more members. All can be repeated.
//
//	request, always 1200 bytes, so that no reply is larger:
//	 0    1    2       3          11         35         51
//	+----+----+-------+----------+----------+----------+--------------------------------+
//	| 4A | 03 | part  | token id | nonce 24 | proof 16 | sealed: length (2), CBOR,      |
//	|    |    | 1..3  | 8        |          |          | zeros; tag 16                  |
//	+----+----+-------+----------+----------+----------+--------------------------------+
//
//	reply:
//	+----+----+-------+----------+----------+---------------------+
//	| 4A | 03 | 80 |  | token id | nonce 24 | sealed: CBOR; tag   |
//	|    |    | part  |          |          |                     |
//	+----+----+-------+----------+----------+---------------------+
//
// The keys of the seals (XChaCha20-Poly1305, one for each direction) follow from the key in the token's Lock, which all
// members know: so whoever is asked tells cheaply who has a token. The clear bytes are additional data; for a reply also
// the nonce of the request that it answers. What comes before the sealed part of a request is the same in every version
// (version.go).
//
// That the newcomer has the token itself, it shows by a signature. That it has the private WireGuard key, it shows by
// opening the certificate, which the admin seals to that key. What it gets, the root key vouches for, which is in the
// token.
const (
	contextJoin = "overlayd join v3"

	version      = 3
	requestLen   = 1200
	headLen      = 11 // up to and with the token id
	requestHead  = stableLen
	replyHead    = headLen + chacha20poly1305.NonceSizeX
	requestPlain = requestLen - requestHead - chacha20poly1305.Overhead
	replyFlag    = 0x80
	replyPlain   = requestLen - replyHead - chacha20poly1305.Overhead

	partCertificate = 1
	partRecord      = 2
	partMore        = 3
)

// seals are the keys of both directions of a join.
type seals struct {
	request, reply cipher.AEAD
	versions       versionSeals
}

// sealsOf are those that follow from the key in a Lock.
func sealsOf(key [32]byte, network wire.NetworkID) seals {
	okm := must(hkdf.Key(sha256.New, key[:], network[:], contextJoin, 2*chacha20poly1305.KeySize))
	return seals{
		request: must(chacha20poly1305.NewX(okm[:chacha20poly1305.KeySize])),
		reply:   must(chacha20poly1305.NewX(okm[chacha20poly1305.KeySize:])),

		versions: versionSealsOf(key, network),
	}
}

// sealRequest makes a request frame.
func (s seals) sealRequest(part byte, token member.TokenID, nonce [24]byte, body requestBody) ([]byte, error) {
	b := member.Encode(body)
	if len(b) > requestPlain-2 {
		return nil, fmt.Errorf("join request: %w: %d bytes", member.ErrMalformed, len(b))
	}
	plain := make([]byte, requestPlain)
	binary.BigEndian.PutUint16(plain, uint16(len(b)))
	copy(plain[2:], b)

	frame := append(make([]byte, 0, requestLen), wire.FirstJoin, version, part)
	frame = append(frame, token[:]...)
	frame = s.versions.prove(append(frame, nonce[:]...))
	return s.request.Seal(frame, nonce[:], plain, frame[:headLen]), nil
}

// openRequest opens a request of this version with the given head.
func (s seals) openRequest(frame []byte, h head) (requestBody, error) {
	var body requestBody
	if len(frame) != requestLen || h.part < partCertificate || h.part > partMore {
		return body, fmt.Errorf("join request: %w", member.ErrMalformed)
	}
	plain, err := s.request.Open(nil, h.nonce, frame[requestHead:], frame[:headLen])
	if err != nil {
		return body, fmt.Errorf("join request: %w", member.ErrSignature)
	}
	n := int(binary.BigEndian.Uint16(plain))
	if n > len(plain)-2 {
		return body, fmt.Errorf("join request: %w", member.ErrMalformed)
	}
	if err := member.Decode(plain[2:2+n], requestPlain, &body); err != nil {
		return body, fmt.Errorf("join request: %w", err)
	}
	return body, nil
}

// sealReply makes the reply to a request; nil if it would be larger than the request.
func (s seals) sealReply(part byte, token member.TokenID, requestNonce []byte, nonce [24]byte, body replyBody) []byte {
	plain := member.Encode(body)
	if len(plain) > replyPlain {
		return nil
	}
	frame := append(make([]byte, 0, replyHead+len(plain)+chacha20poly1305.Overhead), wire.FirstJoin, version)
	frame = append(frame, part|replyFlag)
	frame = append(frame, token[:]...)
	frame = append(frame, nonce[:]...)
	return s.reply.Seal(frame, nonce[:], plain, replyAD(frame, requestNonce))
}

// openReply opens the reply to a request with the given part, token and nonce.
func (s seals) openReply(frame []byte, part byte, token member.TokenID, requestNonce []byte) (replyBody, error) {
	var body replyBody
	if len(frame) < replyHead+chacha20poly1305.Overhead || len(frame) > requestLen ||
		frame[0] != wire.FirstJoin || frame[1] != version || frame[2] != part|replyFlag ||
		member.TokenID(frame[3:headLen]) != token {
		return body, fmt.Errorf("join reply: %w", member.ErrMalformed)
	}
	plain, err := s.reply.Open(nil, frame[headLen:replyHead], frame[replyHead:], replyAD(frame, requestNonce))
	if err != nil {
		return body, fmt.Errorf("join reply: %w", member.ErrSignature)
	}
	if err := member.Decode(plain, replyPlain, &body); err != nil {
		return body, fmt.Errorf("join reply: %w", err)
	}
	return body, nil
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // a key or nonce of the wrong length
	}
	return v
}
