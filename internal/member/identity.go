package member

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"io"
	"slices"
	"strings"

	"golang.org/x/crypto/blake2s"

	"overlayd/internal/wire"
)

// Key is a public X25519 key, in the form that WireGuard uses.
type Key [32]byte

// String is the key in base64, as `wg` prints it.
func (k Key) String() string { return base64.StdEncoding.EncodeToString(k[:]) }

// IsZero reports whether k is unset.
func (k Key) IsZero() bool { return k == Key{} }

// Identity is what makes a node itself: its two private keys. It must never be logged or copied to another node.
type Identity struct {
	wireguard *ecdh.PrivateKey
	signing   ed25519.PrivateKey
}

// NewIdentity draws the keys of a new node from random.
func NewIdentity(random io.Reader) (Identity, error) {
	var private, seed [32]byte
	if _, err := io.ReadFull(random, private[:]); err != nil {
		return Identity{}, fmt.Errorf("draw a WireGuard key: %w", err)
	}
	if _, err := io.ReadFull(random, seed[:]); err != nil {
		return Identity{}, fmt.Errorf("draw a signing key: %w", err)
	}
	return IdentityFromKeys(private, seed), nil
}

// IdentityFromKeys is the identity with the given private X25519 key and Ed25519 seed.
func IdentityFromKeys(private, seed [32]byte) Identity {
	wireguard := must(ecdh.X25519().NewPrivateKey(private[:])) // any 32 bytes are a private key
	return Identity{wireguard: wireguard, signing: ed25519.NewKeyFromSeed(seed[:])}
}

// NewRootKey draws the root key of a new network from random.
func NewRootKey(random io.Reader) (ed25519.PrivateKey, error) {
	var seed [ed25519.SeedSize]byte
	if _, err := io.ReadFull(random, seed[:]); err != nil {
		return nil, fmt.Errorf("draw a root key: %w", err)
	}
	return ed25519.NewKeyFromSeed(seed[:]), nil
}

// IsZero reports whether the identity is unset.
func (i Identity) IsZero() bool { return i.wireguard == nil }

// PrivateKeys are the private X25519 key and the Ed25519 seed, for the state directory, the seal and WireGuard.
func (i Identity) PrivateKeys() (private, seed [32]byte) {
	copy(private[:], i.wireguard.Bytes())
	copy(seed[:], i.signing.Seed())
	return private, seed
}

// WireGuard is the public X25519 key.
func (i Identity) WireGuard() Key { return Key(i.wireguard.PublicKey().Bytes()) }

// Signing is the public signing key. The caller must not change it.
func (i Identity) Signing() ed25519.PublicKey { return i.signing.Public().(ed25519.PublicKey) }

// ID is the node that has these keys.
func (i Identity) ID() wire.NodeID { return NodeID(i.WireGuard(), i.Signing()) }

// Sign signs a message in a context: the signature is over Signed. A context of this package panics, since with it the
// message would be taken for a record, or for whatever else a node signs.
func (i Identity) Sign(context string, message []byte) []byte {
	if slices.Contains(contexts[:], context) || strings.ContainsRune(context, 0) {
		panic("member: signed in a context that is taken: " + context)
	}
	return ed25519.Sign(i.signing, Signed(context, message))
}

// Shared is the X25519 secret of the identity and a public key; it fails for keys of small order.
func (i Identity) Shared(public Key) ([]byte, error) {
	p, err := ecdh.X25519().NewPublicKey(public[:])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	secret, err := i.wireguard.ECDH(p)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return secret, nil
}

// NodeID names the node with the given public keys: the first 16 bytes of BLAKE2s-256("overlayd node v1" ||
// wireguard || signing). So nobody chooses an identifier, and it binds both keys.
func NodeID(wireguard Key, signing ed25519.PublicKey) wire.NodeID {
	return wire.NodeID(hash("overlayd node v1", wireguard[:], signing)[:16])
}

// NetworkID names the network with the given root key: the first 16 bytes of BLAKE2s-256("overlayd network v1" ||
// root).
func NetworkID(root ed25519.PublicKey) wire.NetworkID {
	return wire.NetworkID(hash("overlayd network v1", root)[:16])
}

// hash is BLAKE2s-256 over the context and the parts, which all but the last must be of fixed length.
func hash(context string, parts ...[]byte) []byte {
	h := must(blake2s.New256(nil))
	h.Write([]byte(context))
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}
