// Package initiation reads what WireGuard keeps to itself: who begins a handshake, and when by his clock. The device
// remembers the latest such time of each peer for as long as it has the peer; with this, somebody else can remember it for
// longer, or forget it sooner. It opens the first message of Noise IKpsk2 as its responder does (WireGuard, section 5.4.2).
//
//	 0      4        8             40                 88                     116    132    148
//	+------+--------+-------------+------------------+----------------------+------+------+
//	| type | sender | ephemeral   | static, sealed   | time stamp, sealed   | mac1 | mac2 |
//	+------+--------+-------------+------------------+----------------------+------+------+
package initiation

import (
	"crypto/ecdh"
	"errors"
	"fmt"

	"golang.org/x/crypto/blake2s"
	"golang.org/x/crypto/chacha20poly1305"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tai64n"
)

// ErrForged means that a message is no initiation for this key.
var ErrForged = errors.New("initiation does not open")

const (
	ephemeralAt, staticAt, stampAt = 8, 40, 88
	stampEnd                       = stampAt + tai64n.TimestampSize + chacha20poly1305.Overhead
)

// Opener opens the initiations for one private key. It may be used from several goroutines.
type Opener struct {
	private *ecdh.PrivateKey
	hash    [blake2s.Size]byte
}

// NewOpener makes the opener of a private X25519 key.
func NewOpener(private [32]byte) (*Opener, error) {
	key, err := ecdh.X25519().NewPrivateKey(private[:])
	if err != nil {
		return nil, fmt.Errorf("private key: %w", err)
	}
	return &Opener{private: key, hash: mix(device.InitialHash, key.PublicKey().Bytes())}, nil
}

// Open returns the public key of the initiator and its time stamp. It costs two public-key operations. That they belong
// together is proved, not that the message is new.
func (o *Opener) Open(message []byte) (public [32]byte, at tai64n.Timestamp, err error) {
	if len(message) != device.MessageInitiationSize {
		return public, at, ErrForged
	}
	ephemeral := message[ephemeralAt:staticAt]
	hash, chain := mix(o.hash, ephemeral), device.InitialChainKey
	device.KDF1(&chain, chain[:], ephemeral)
	static, err := o.unseal(&chain, hash, ephemeral, message[staticAt:stampAt])
	if err != nil {
		return public, at, err
	}
	hash = mix(hash, message[staticAt:stampAt])
	stamp, err := o.unseal(&chain, hash, static, message[stampAt:stampEnd])
	if err != nil {
		return public, at, err
	}
	return [32]byte(static), tai64n.Timestamp(stamp), nil
}

// unseal opens a part that is sealed under the secret with another key.
func (o *Opener) unseal(chain *[blake2s.Size]byte, hash [blake2s.Size]byte, with, sealed []byte) ([]byte, error) {
	theirs, err := ecdh.X25519().NewPublicKey(with)
	if err != nil {
		return nil, ErrForged
	}
	secret, err := o.private.ECDH(theirs)
	if err != nil {
		return nil, ErrForged
	}
	var key [chacha20poly1305.KeySize]byte
	device.KDF2(chain, &key, chain[:], secret)
	aead, err := chacha20poly1305.New(key[:])
	if err != nil {
		return nil, ErrForged
	}
	plain, err := aead.Open(nil, device.ZeroNonce[:], sealed, hash[:])
	if err != nil {
		return nil, ErrForged
	}
	return plain, nil
}

func mix(hash [blake2s.Size]byte, data []byte) [blake2s.Size]byte {
	return blake2s.Sum256(append(hash[:], data...))
}
