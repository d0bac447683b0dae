// Package vault seals a network's root key under a passphrase and opens it again, so that the key may lie on paper, on
// a stick or in a safe. It is pure: randomness is an argument, and files belong to the caller.
//
// The sealed key is text in PEM (RFC 7468 with the headers of RFC 1421), so that a person sees what it is:
//
//	-----BEGIN OVERLAYD ROOT KEY-----
//	Network: charles
//	Network-Id: ffeeddccbbaa99887766554433221100
//
//	AQAAAAMAAQAABAiY…
//	-----END OVERLAYD ROOT KEY-----
//
// and the bytes below the headers are
//
//	version(1) passes(4) memory in KiB(4) lanes(1) salt(16) nonce(24) sealed(32+16) checksum(8)
//	└────────────────────── head ────────────────────────┘
//
// with numbers in network order. The key of the seal is Argon2id (RFC 9106) of the passphrase, the seal is
// XChaCha20-Poly1305, and its additional data are the headers and the head, so that nobody passes off the key of one
// network as that of another. The checksum is no secret: it tells a damaged file from a wrong passphrase.
package vault

import (
	"bytes"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io"

	"golang.org/x/crypto/chacha20poly1305"
)

// What Parse, Open and Seal fail with.
var (
	ErrNotVault   = errors.New("no sealed root key")
	ErrDamaged    = errors.New("sealed root key is damaged")
	ErrPassphrase = errors.New("wrong passphrase")
	ErrLabel      = errors.New("network cannot be named in a header")
)

// Sizes in bytes.
const (
	SeedLen = 32      // of a root key: the seed of an Ed25519 key (RFC 8032)
	MaxLen  = 8 << 10 // of the text

	saltLen     = 16
	headLen     = 1 + 4 + 4 + 1 + saltLen + chacha20poly1305.NonceSizeX
	sealedLen   = SeedLen + chacha20poly1305.Overhead
	checksumLen = 8
	bodyLen     = headLen + sealedLen + checksumLen

	blockType   = "OVERLAYD ROOT KEY"
	nameHeader  = "Network"
	idHeader    = "Network-Id"
	maxLabelLen = 128

	version = 1
)

// cost says how much work it is to try one passphrase.
type cost struct {
	passes uint32
	memory uint32 // KiB
	lanes  uint8
}

// recommended is the second recommended option of RFC 9106, section 4.
func recommended() cost { return cost{passes: 3, memory: 64 << 10, lanes: 4} }

// What a file may demand, so that a hostile one takes neither all memory nor all time: about ten times what Seal takes.
const (
	maxPasses = 10
	maxMemory = 256 << 10 // KiB
	maxLanes  = 16
)

func (c cost) bearable() bool {
	return c.passes >= 1 && c.passes <= maxPasses && c.lanes >= 1 && c.lanes <= maxLanes &&
		c.memory >= 8*uint32(c.lanes) && c.memory <= maxMemory
}

// Network says whose root key it is, for people and as additional data: printable ASCII of at most 128 bytes each.
type Network struct {
	Name string
	ID   string
}

// File is a sealed root key as it was read, not yet opened.
type File struct {
	Network Network
	cost    cost
	salt    []byte
	nonce   []byte
	sealed  []byte
	context []byte // additional data
}

// Seal is the text of a root key under a passphrase. It takes a tenth of a second and 64 MiB, as does Open.
func Seal(seed [SeedLen]byte, passphrase []byte, network Network, random io.Reader) ([]byte, error) {
	return seal(seed, passphrase, network, recommended(), random)
}

func seal(seed [SeedLen]byte, passphrase []byte, network Network, c cost, random io.Reader) ([]byte, error) {
	if !headerValue(network.Name) || !headerValue(network.ID) {
		return nil, fmt.Errorf("%w: %q, %q", ErrLabel, network.Name, network.ID)
	}
	headers := map[string]string{nameHeader: network.Name, idHeader: network.ID}
	body := append(make([]byte, 0, bodyLen), version)
	body = binary.BigEndian.AppendUint32(body, c.passes)
	body = binary.BigEndian.AppendUint32(body, c.memory)
	body = append(body, c.lanes)
	body = body[:headLen]
	if _, err := io.ReadFull(random, body[headLen-saltLen-chacha20poly1305.NonceSizeX:]); err != nil {
		return nil, fmt.Errorf("random bytes: %w", err)
	}
	f := read(headers, body)
	aead, err := f.aead(passphrase)
	if err != nil {
		return nil, err
	}
	body = aead.Seal(body, f.nonce, seed[:], f.context)
	body = append(body, checksum(headers, body)...)
	return pem.EncodeToMemory(&pem.Block{Type: blockType, Headers: headers, Bytes: body}), nil
}

// Parse reads the text that Seal made, among other text perhaps, as far as that goes without the passphrase. Its errors
// are ErrNotVault and ErrDamaged.
func Parse(text []byte) (File, error) {
	if len(text) > MaxLen {
		return File{}, fmt.Errorf("%w: longer than %d bytes", ErrNotVault, MaxLen)
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != blockType {
		if bytes.Contains(text, []byte("BEGIN "+blockType)) {
			return File{}, fmt.Errorf("%w: its armour is incomplete", ErrDamaged)
		}
		return File{}, ErrNotVault
	}
	if len(block.Bytes) != bodyLen {
		return File{}, fmt.Errorf("%w: %d bytes instead of %d", ErrDamaged, len(block.Bytes), bodyLen)
	}
	if name, id := block.Headers[nameHeader], block.Headers[idHeader]; len(block.Headers) != 2 || !headerValue(name) || !headerValue(id) {
		return File{}, fmt.Errorf("%w: its headers are not those of a root key", ErrDamaged)
	}
	body, sum := block.Bytes[:bodyLen-checksumLen], block.Bytes[bodyLen-checksumLen:]
	if !bytes.Equal(sum, checksum(block.Headers, body)) {
		return File{}, fmt.Errorf("%w: checksum", ErrDamaged)
	}
	f := read(block.Headers, body)
	if body[0] != version {
		return File{}, fmt.Errorf("%w: version %d is not known here", ErrDamaged, body[0])
	}
	if !f.cost.bearable() {
		return File{}, fmt.Errorf("%w: it demands too much work", ErrDamaged)
	}
	return f, nil
}

// Open is the root key in f. A wrong passphrase and a forged file look the same, and are ErrPassphrase.
func (f File) Open(passphrase []byte) ([SeedLen]byte, error) {
	aead, err := f.aead(passphrase)
	if err != nil {
		return [SeedLen]byte{}, err
	}
	plain, err := aead.Open(nil, f.nonce, f.sealed, f.context)
	if err != nil || len(plain) != SeedLen {
		return [SeedLen]byte{}, ErrPassphrase
	}
	defer clear(plain)
	return [SeedLen]byte(plain), nil
}
