package vault

import (
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/chacha20poly1305"
)

// read takes headers and a body apart; the body has at least its head.
func read(headers map[string]string, body []byte) File {
	salt := headLen - saltLen - chacha20poly1305.NonceSizeX
	nonce := headLen - chacha20poly1305.NonceSizeX
	return File{
		Network: Network{Name: headers[nameHeader], ID: headers[idHeader]},
		cost: cost{
			passes: binary.BigEndian.Uint32(body[1:]), memory: binary.BigEndian.Uint32(body[5:]), lanes: body[9],
		},
		salt:    body[salt:nonce],
		nonce:   body[nonce:headLen],
		sealed:  body[headLen:],
		context: appendContext(nil, headers, body[:headLen]),
	}
}

func (f File) aead(passphrase []byte) (cipher.AEAD, error) {
	key := argon2.IDKey(passphrase, f.salt, f.cost.passes, f.cost.memory, f.cost.lanes, chacha20poly1305.KeySize)
	defer clear(key)
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return aead, nil
}

// appendContext is what a seal and a checksum are about besides the key: every header, in order, and some bytes.
func appendContext(b []byte, headers map[string]string, rest []byte) []byte {
	b = append(b, "overlayd root key\x00"...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(headers)))
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		for _, text := range []string{name, headers[name]} {
			b = binary.BigEndian.AppendUint32(b, uint32(len(text)))
			b = append(b, text...)
		}
	}
	return append(b, rest...)
}

func checksum(headers map[string]string, body []byte) []byte {
	sum := sha256.Sum256(appendContext(nil, headers, body))
	return sum[:checksumLen]
}

// headerValue reports whether PEM gives text back as it is: one line of ASCII without blanks around it.
func headerValue(text string) bool {
	return text != "" && len(text) <= maxLabelLen && text == strings.TrimSpace(text) &&
		!strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' })
}
