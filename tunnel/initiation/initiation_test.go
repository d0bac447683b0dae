package initiation

import (
	"crypto/ecdh"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"golang.org/x/crypto/blake2s"
	"golang.org/x/crypto/chacha20poly1305"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tai64n"
)

func key(t testing.TB, n byte) *ecdh.PrivateKey {
	t.Helper()
	private, err := ecdh.X25519().NewPrivateKey(append(make([]byte, 31), n))
	if err != nil {
		t.Fatal(err)
	}
	return private
}

// initiate writes an initiation as the initiator does, after the paper. That of wireguard-go itself is opened in the tests
// of package tunnel.
func initiate(t testing.TB, static, ephemeral *ecdh.PrivateKey, to *ecdh.PublicKey, stamp tai64n.Timestamp) []byte {
	t.Helper()
	message := make([]byte, device.MessageInitiationSize)
	binary.LittleEndian.PutUint32(message, device.MessageInitiationType)
	copy(message[ephemeralAt:], ephemeral.PublicKey().Bytes())
	hash, chain := mix(mix(device.InitialHash, to.Bytes()), message[ephemeralAt:staticAt]), device.InitialChainKey
	device.KDF1(&chain, chain[:], message[ephemeralAt:staticAt])
	seal := func(with *ecdh.PrivateKey, plain, dst []byte) {
		secret, err := with.ECDH(to)
		if err != nil {
			t.Fatal(err)
		}
		var k [blake2s.Size]byte
		device.KDF2(&chain, &k, chain[:], secret)
		aead, err := chacha20poly1305.New(k[:])
		if err != nil {
			t.Fatal(err)
		}
		copy(dst, aead.Seal(nil, device.ZeroNonce[:], plain, hash[:]))
		hash = mix(hash, dst)
	}
	seal(ephemeral, static.PublicKey().Bytes(), message[staticAt:stampAt])
	seal(static, stamp[:], message[stampAt:stampEnd])
	return message
}

func opener(t testing.TB, private *ecdh.PrivateKey) *Opener {
	t.Helper()
	o, err := NewOpener([32]byte(private.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestOpenTellsWhoBeginsAndWhen(t *testing.T) {
	us, them := key(t, 1), key(t, 2)
	stamp := tai64n.Now()
	message := initiate(t, them, key(t, 3), us.PublicKey(), stamp)
	public, at, err := opener(t, us).Open(message)
	if err != nil || public != [32]byte(them.PublicKey().Bytes()) || at != stamp {
		t.Fatalf("%x, %v, %v", public, at, err)
	}
	if _, _, err := opener(t, key(t, 4)).Open(message); !errors.Is(err, ErrForged) {
		t.Errorf("for another key: %v", err)
	}
	for i := ephemeralAt; i < stampEnd; i++ {
		altered := append([]byte(nil), message...)
		altered[i] ^= 1
		if _, _, err := opener(t, us).Open(altered); !errors.Is(err, ErrForged) {
			t.Errorf("with byte %d altered: %v", i, err)
		}
	}
}

func FuzzOpen(f *testing.F) {
	us := key(f, 1)
	stamp := tai64n.Timestamp{}
	binary.BigEndian.PutUint64(stamp[:], uint64(time.Hour))
	f.Add(initiate(f, key(f, 2), key(f, 3), us.PublicKey(), stamp))
	f.Add(make([]byte, device.MessageInitiationSize))
	o := opener(f, us)
	f.Fuzz(func(t *testing.T, message []byte) {
		if _, _, err := o.Open(message); err != nil && !errors.Is(err, ErrForged) {
			t.Fatal(err)
		}
	})
}
