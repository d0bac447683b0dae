package member

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

	"overlayd/internal/wire"
)

// Why a token is not taken. Each is a sentence for the person who has the token.
var (
	ErrNotToken       = errors.New("this is no token: overlayctl invite prints one, and it begins with " + tokenPrefix)
	ErrTokenTruncated = errors.New("the token is incomplete: copy the whole line that overlayctl invite printed")
	ErrTokenAltered   = errors.New("the token was altered: copy again exactly what overlayctl invite printed")
	ErrTokenVersion   = errors.New("the token is from another version of overlayd: install the same version on both nodes")
	ErrTokenExpired   = errors.New("the token has expired: ask for a new one (overlayctl invite)")
	ErrTokenCancelled = errors.New("the token was cancelled: ask for a new one (overlayctl invite)")
	ErrTokenUsed      = errors.New("the token was used already: ask for a new one (overlayctl invite)")
)

const (
	tokenPrefix  = "overlayd1-"
	tokenVersion = 2

	// MaxTokenEndpoints bounds the endpoints in a token.
	MaxTokenEndpoints = 8

	maxHost     = 253 // RFC 1035, section 2.3.4, as text
	tokenFixed  = 2 + 1 + ed25519.PublicKeySize + 8 + 8 + 16 + 1
	checksumLen = 4
)

// TokenID names an invitation; TokenSecret proves that one has the token.
type (
	TokenID     [8]byte
	TokenSecret [16]byte
)

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
	ID        TokenID
	Secret    TokenSecret
	Endpoints []string // HOST:PORT
}

// JoinKey seals join requests to members. It follows from the secret of a token and does not tell it.
type JoinKey [32]byte

// joinKey is the key that all members know.
func (s TokenSecret) joinKey() JoinKey { return JoinKey(hash("overlayd join key v2", s[:])) }

// signing is the key whose public half all members know: only who has the token can sign with it.
func (s TokenSecret) signing() ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(hash("overlayd join signature v2", s[:]))
}

// Network is the network that the token invites to.
func (t *Token) Network() wire.NetworkID { return NetworkID(t.Root) }

// ValidEndpoint says why s is not HOST:PORT; nil if it is.
func ValidEndpoint(s string) error {
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
	if len(t.Endpoints) == 0 || len(t.Endpoints) > MaxTokenEndpoints {
		return "", fmt.Errorf("a token needs 1 to %d endpoints, not %d", MaxTokenEndpoints, len(t.Endpoints))
	}
	b := append(make([]byte, 2, 256), tokenVersion)
	b = append(b, t.Root...)
	b = binary.BigEndian.AppendUint64(b, uint64(t.Expiry.Unix()))
	b = append(b, t.ID[:]...)
	b = append(b, t.Secret[:]...)
	b = append(b, byte(len(t.Endpoints)))
	for _, e := range t.Endpoints {
		if err := ValidEndpoint(e); err != nil {
			return "", err
		}
		b = appendEndpoint(b, e)
	}
	binary.BigEndian.PutUint16(b, uint16(len(b)+checksumLen))
	b = append(b, checksum(b)...)
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(b), nil
}

func checksum(b []byte) []byte { return hash("overlayd token v1", b)[:checksumLen] }

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
		return "", nil, ErrMalformed
	}
	size, b := int(b[0]), b[1:]
	named := size == 0
	if named {
		size, b = int(b[0]), b[1:]
	}
	if len(b) < size+2 {
		return "", nil, ErrMalformed
	}
	host := string(b[:size])
	if !named {
		a, ok := netip.AddrFromSlice(b[:size])
		if !ok {
			return "", nil, ErrMalformed
		}
		host = a.String()
	}
	s := net.JoinHostPort(host, strconv.Itoa(int(binary.BigEndian.Uint16(b[size:]))))
	return s, b[size+2:], ValidEndpoint(s)
}

// ParseToken reads the text of a token, spaces around it left aside. It says what is wrong with a bad one; whether it
// has expired, the caller compares.
func ParseToken(text string) (Token, error) {
	text = strings.TrimSpace(text)
	body, ok := strings.CutPrefix(text, tokenPrefix)
	switch {
	case text != "" && strings.HasPrefix(tokenPrefix, text):
		return Token{}, ErrTokenTruncated
	case !ok:
		return Token{}, ErrNotToken
	case len(body) < 4:
		return Token{}, ErrTokenTruncated
	case strings.ContainsAny(body, "\r\n"):
		return Token{}, ErrTokenAltered
	}
	head, err := base64.RawURLEncoding.DecodeString(body[:4])
	if err != nil {
		return Token{}, ErrTokenAltered
	}
	want := base64.RawURLEncoding.EncodedLen(int(binary.BigEndian.Uint16(head)))
	if len(body) < want {
		return Token{}, ErrTokenTruncated
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(body)
	if err != nil || len(body) > want || len(b) < tokenFixed+checksumLen {
		return Token{}, ErrTokenAltered
	}
	b, sum := b[:len(b)-checksumLen], b[len(b)-checksumLen:]
	if string(checksum(b)) != string(sum) {
		return Token{}, ErrTokenAltered
	}
	if b[2] != tokenVersion {
		return Token{}, ErrTokenVersion
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
	t.Expiry = time.Unix(int64(min(binary.BigEndian.Uint64(take(8)), maxUnix)), 0)
	copy(t.ID[:], take(len(t.ID)))
	copy(t.Secret[:], take(len(t.Secret)))
	count := int(take(1)[0])
	if count == 0 || count > MaxTokenEndpoints {
		return Token{}, ErrTokenAltered
	}
	for range count {
		var e string
		var err error
		if e, b, err = cutEndpoint(b); err != nil {
			return Token{}, ErrTokenAltered
		}
		t.Endpoints = append(t.Endpoints, e)
	}
	if len(b) != 0 {
		return Token{}, ErrTokenAltered
	}
	return t, nil
}
