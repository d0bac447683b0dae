package join

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/blake2s"

	"overlayd/internal/member"
	"overlayd/internal/wire"
)

// Why a text is not taken for a token. Each is a sentence for the person who has it.
var (
	ErrNotToken  = errors.New("this is no token: overlayctl invite prints one, and it begins with " + tokenPrefix)
	ErrTruncated = errors.New("the token is incomplete: copy the whole line that overlayctl invite printed")
	ErrAltered   = errors.New("the token was altered: copy again exactly what overlayctl invite printed")
	ErrVersion   = errors.New("the token is from another version of overlayd: install the same version on both nodes")
)

const (
	tokenPrefix  = "overlayd1-"
	tokenVersion = 2

	// MaxEndpoints bounds the endpoints in a token.
	MaxEndpoints = 8

	maxHost     = 253     // RFC 1035, section 2.3.4, as text
	maxExpiry   = 1 << 40 // Unix; far beyond any token, and far from the end of time.Time
	tokenFixed  = 2 + 1 + ed25519.PublicKeySize + 8 + 8 + 16 + 1
	checksumLen = 4
)

// Secret is what only the holders of a token know.
type Secret [16]byte

// Token is an invitation as the newcomer holds it. Its text is tokenPrefix and, in base64url:
//
//	length (2) | version (1) | root key (32) | expiry, Unix (8) | token id (8) | secret (16) |
//	number of endpoints (1) | endpoints | checksum (4)
//
// The length counts all bytes and tells a truncated token from an altered one. An endpoint is a byte 4 or 16, an
// address of so many bytes and a port, or a byte 0, a length, a host name and a port. Any member is at an endpoint: all
// know the invitation.
type Token struct {
	Root      ed25519.PublicKey
	Expiry    time.Time
	ID        member.TokenID
	Secret    Secret
	Endpoints []string // HOST:PORT
}

// key seals requests to members, and all of them know it. It does not tell the secret.
func (s Secret) key() [32]byte { return hash("overlayd join key v2", s[:]) }

// signing is the key whose public half all members know: only who has the token can sign with it.
func (s Secret) signing() ed25519.PrivateKey {
	seed := hash("overlayd join signature v2", s[:])
	return ed25519.NewKeyFromSeed(seed[:])
}

// Lock is what members are to know of the token.
func (t *Token) Lock() member.Lock {
	public := t.Secret.signing().Public().(ed25519.PublicKey)
	return member.Lock{ID: t.ID, Key: t.Secret.key(), Public: [ed25519.PublicKeySize]byte(public)}
}

// hash is BLAKE2s-256 over the context and b.
func hash(context string, b []byte) [blake2s.Size]byte {
	return blake2s.Sum256(append([]byte(context), b...))
}

// Network is the network that the token invites to.
func (t *Token) Network() wire.NetworkID { return member.NetworkID(t.Root) }

// validEndpoint says why s is not HOST:PORT; nil if it is.
func validEndpoint(s string) error {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Errorf("endpoint %q is not of the form HOST:PORT", clip(s))
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("endpoint %q needs a port between 1 and 65535", clip(s))
	}
	if host == "" || len(host) > maxHost || strings.ContainsAny(host, " \t\r\n%/") {
		return fmt.Errorf("endpoint %q needs the name or address of a host", clip(s))
	}
	return nil
}

// Text is the token in one line. It fails if an endpoint is not valid or there are too many.
func (t *Token) Text() (string, error) {
	if len(t.Endpoints) == 0 || len(t.Endpoints) > MaxEndpoints {
		return "", fmt.Errorf("a token needs 1 to %d endpoints, not %d", MaxEndpoints, len(t.Endpoints))
	}
	b := append(make([]byte, 2, 256), tokenVersion)
	b = append(b, t.Root...)
	b = binary.BigEndian.AppendUint64(b, uint64(t.Expiry.Unix()))
	b = append(b, t.ID[:]...)
	b = append(b, t.Secret[:]...)
	b = append(b, byte(len(t.Endpoints)))
	for _, e := range t.Endpoints {
		if err := validEndpoint(e); err != nil {
			return "", err
		}
		b = appendEndpoint(b, e)
	}
	binary.BigEndian.PutUint16(b, uint16(len(b)+checksumLen))
	b = append(b, checksum(b)...)
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(b), nil
}

func checksum(b []byte) []byte {
	sum := hash("overlayd token v1", b)
	return sum[:checksumLen]
}

// clip is as much of s as is shown to a person.
func clip(s string) string { return s[:min(len(s), 126)] }

// appendEndpoint appends a valid endpoint.
func appendEndpoint(b []byte, s string) []byte {
	host, portText, _ := net.SplitHostPort(s)
	port, _ := strconv.ParseUint(portText, 10, 16)
	if a, err := netip.ParseAddr(host); err == nil {
		raw := a.Unmap().AsSlice()
		b = append(append(b, byte(len(raw))), raw...)
	} else {
		b = append(append(b, 0, byte(len(host))), host...)
	}
	return binary.BigEndian.AppendUint16(b, uint16(port))
}

// cutEndpoint takes an endpoint off the front of b.
func cutEndpoint(b []byte) (string, []byte, error) {
	if len(b) < 2 {
		return "", nil, member.ErrMalformed
	}
	size, b := int(b[0]), b[1:]
	named := size == 0
	if named {
		size, b = int(b[0]), b[1:]
	}
	if len(b) < size+2 {
		return "", nil, member.ErrMalformed
	}
	host := string(b[:size])
	if !named {
		a, ok := netip.AddrFromSlice(b[:size])
		if !ok {
			return "", nil, member.ErrMalformed
		}
		host = a.String()
	}
	s := net.JoinHostPort(host, strconv.Itoa(int(binary.BigEndian.Uint16(b[size:]))))
	return s, b[size+2:], validEndpoint(s)
}

// ParseToken reads the text of a token, spaces around it left aside. It says what is wrong with a bad one; whether it
// has expired, the caller compares.
func ParseToken(text string) (Token, error) {
	text = strings.TrimSpace(text)
	body, ok := strings.CutPrefix(text, tokenPrefix)
	switch {
	case text != "" && strings.HasPrefix(tokenPrefix, text):
		return Token{}, ErrTruncated
	case !ok:
		return Token{}, ErrNotToken
	case len(body) < 4:
		return Token{}, ErrTruncated
	case strings.ContainsAny(body, "\r\n"):
		return Token{}, ErrAltered
	}
	head, err := base64.RawURLEncoding.DecodeString(body[:4])
	if err != nil {
		return Token{}, ErrAltered
	}
	want := base64.RawURLEncoding.EncodedLen(int(binary.BigEndian.Uint16(head)))
	if len(body) < want {
		return Token{}, ErrTruncated
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(body)
	if err != nil || len(body) > want || len(b) < tokenFixed+checksumLen {
		return Token{}, ErrAltered
	}
	b, sum := b[:len(b)-checksumLen], b[len(b)-checksumLen:]
	if string(checksum(b)) != string(sum) {
		return Token{}, ErrAltered
	}
	if b[2] != tokenVersion {
		return Token{}, ErrVersion
	}
	return parseTokenFields(b[3:])
}

func parseTokenFields(b []byte) (Token, error) {
	take := func(n int) []byte {
		head := b[:n]
		b = b[n:]
		return head
	}
	var t Token
	t.Root = append(t.Root, take(ed25519.PublicKeySize)...)
	t.Expiry = time.Unix(int64(min(binary.BigEndian.Uint64(take(8)), maxExpiry)), 0)
	copy(t.ID[:], take(len(t.ID)))
	copy(t.Secret[:], take(len(t.Secret)))
	count := int(take(1)[0])
	if count == 0 || count > MaxEndpoints {
		return Token{}, ErrAltered
	}
	for range count {
		var e string
		var err error
		if e, b, err = cutEndpoint(b); err != nil {
			return Token{}, ErrAltered
		}
		t.Endpoints = append(t.Endpoints, e)
	}
	if len(b) != 0 {
		return Token{}, ErrAltered
	}
	return t, nil
}
