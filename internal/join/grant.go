package join

import (
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"io"

	"golang.org/x/crypto/chacha20poly1305"

	"overlayd/internal/member"
	"overlayd/internal/wire"
)

// granted is what makes the newcomer a member.
type granted struct {
	Settings    []byte `cbor:"1,keyasint"`
	Certificate []byte `cbor:"2,keyasint"`
}

// grantKey is the key of a granted: of the X25519 secret of the key in the answer and the newcomer's.
func grantKey(secret []byte, network wire.NetworkID, public, newcomer []byte) cipher.AEAD {
	okm := must(hkdf.Key(sha256.New, secret, network[:], contextJoin+string(public)+string(newcomer), chacha20poly1305.KeySize))
	return must(chacha20poly1305.NewX(okm))
}

// sealGrant seals what makes a newcomer a member to its WireGuard key. The key is used once, so the nonce is constant.
func sealGrant(random io.Reader, n *member.Network, newcomer member.Key, c *member.Certificate) (public, sealed []byte, err error) {
	var seed [32]byte
	if _, err := io.ReadFull(random, seed[:]); err != nil {
		return nil, nil, fmt.Errorf("read random bytes: %w", err)
	}
	key := must(ecdh.X25519().NewPrivateKey(seed[:]))
	theirs, err := ecdh.X25519().NewPublicKey(newcomer[:])
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", member.ErrMalformed, err)
	}
	secret, err := key.ECDH(theirs)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", member.ErrMalformed, err)
	}
	public = key.PublicKey().Bytes()
	plain := member.Encode(granted{Settings: n.Raw(), Certificate: c.Raw()})
	var nonce [chacha20poly1305.NonceSizeX]byte
	return public, grantKey(secret, n.ID, public, newcomer[:]).Seal(nil, nonce[:], plain, nil), nil
}

// openGrant opens what sealGrant has sealed to the identity.
func openGrant(id member.Identity, network wire.NetworkID, public, sealed []byte) (granted, error) {
	var g granted
	if len(public) != len(member.Key{}) {
		return g, fmt.Errorf("join reply: %w", member.ErrMalformed)
	}
	secret, err := id.Shared(member.Key(public))
	if err != nil {
		return g, err
	}
	own := id.WireGuard()
	var nonce [chacha20poly1305.NonceSizeX]byte
	plain, err := grantKey(secret, network, public, own[:]).Open(nil, nonce[:], sealed, nil)
	if err != nil {
		return g, fmt.Errorf("join reply: %w", member.ErrSignature)
	}
	return g, member.Decode(plain, replyPlain, &g)
}
