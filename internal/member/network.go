package member

import (
	"crypto/ed25519"
	"fmt"
	"net/netip"
	"time"

	"overlayd/internal/wire"
)

// maxSettingsLen bounds the encoded settings of a network in bytes.
const maxSettingsLen = 256

// Network is the settings of a network, signed by its root key. It is immutable.
type Network struct {
	ID       wire.NetworkID
	Root     ed25519.PublicKey
	Name     string
	Prefix   netip.Prefix // IPv4
	Prefix6  netip.Prefix // follows from ID
	Sequence uint64       // newest wins

	payload []byte
	raw     []byte
	memory  *memory
}

type settingsPayload struct {
	Root     []byte `cbor:"1,keyasint"`
	Name     string `cbor:"2,keyasint"`
	Prefix   []byte `cbor:"3,keyasint"`
	Sequence uint64 `cbor:"4,keyasint"`
}

// NewNetwork signs the settings of a new network.
func NewNetwork(root ed25519.PrivateKey, name string, prefix netip.Prefix, now time.Time) (*Network, error) {
	return signNetwork(root, name, prefix, micros(now))
}

// Renamed signs the settings anew with another name.
func (n *Network) Renamed(root ed25519.PrivateKey, name string, now time.Time) (*Network, error) {
	return signNetwork(root, name, n.Prefix, max(micros(now), n.Sequence+1))
}

func signNetwork(root ed25519.PrivateKey, name string, prefix netip.Prefix, sequence uint64) (*Network, error) {
	if err := ValidName(name); err != nil {
		return nil, err
	}
	if err := ValidPrefix(prefix); err != nil {
		return nil, err
	}
	return ParseNetwork(seal(root, contextSettings, Encode(settingsPayload{
		Root: root.Public().(ed25519.PublicKey), Name: name, Prefix: encodePrefix(prefix), Sequence: sequence,
	})))
}

// ParseNetwork reads and verifies settings. Whether it is the right network, the caller must tell by the ID.
func ParseNetwork(raw []byte) (*Network, error) {
	n, e, err := parseSettings(raw)
	if err != nil {
		return nil, err
	}
	if err := e.verify(n.Root, contextSettings); err != nil {
		return nil, fmt.Errorf("network settings: %w", err)
	}
	return n, nil
}

// parseSettings reads settings without looking at the signature.
func parseSettings(raw []byte) (*Network, envelope, error) {
	e, err := open(raw, maxSettingsLen)
	if err != nil {
		return nil, e, fmt.Errorf("network settings: %w", err)
	}
	var p settingsPayload
	if err := Decode(e.Payload, maxSettingsLen, &p); err != nil {
		return nil, e, fmt.Errorf("network settings: %w", err)
	}
	if err := ValidName(p.Name); err != nil {
		return nil, e, fmt.Errorf("network settings: %w: %w", ErrMalformed, err)
	}
	prefix, err := decodePrefix(p.Prefix)
	if err != nil {
		return nil, e, fmt.Errorf("network settings: %w", err)
	}
	if err := ValidPrefix(prefix); err != nil {
		return nil, e, fmt.Errorf("network settings: %w", err)
	}
	id := NetworkID(p.Root)
	return &Network{
		ID: id, Root: p.Root, Name: p.Name, Prefix: prefix, Prefix6: Prefix6(id), Sequence: p.Sequence,
		payload: e.Payload, raw: raw,
	}, e, nil
}

// Raw is the signed encoding, which ParseNetwork reads. The caller must not change it.
func (n *Network) Raw() []byte { return n.raw }

// micros is t in microseconds since 1970, from which sequences are made; never zero.
func micros(t time.Time) uint64 { return uint64(max(t.UnixMicro(), 1)) }
