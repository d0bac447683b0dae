package join

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"overlayd/internal/member"
)

func sampleToken(t testing.TB) (Token, string) {
	t.Helper()
	w := newWorld(t, 1)
	tok := Token{
		Root: w.net.Root, Expiry: start.Add(time.Hour),
		ID: member.TokenID{1, 2, 3}, Secret: Secret{4, 5, 6},
		Endpoints: []string{"192.0.2.1:51871", "[2001:db8::1]:7", "vpn.example.com:51871"},
	}
	return tok, ok(t, tok.Text)
}

func TestTokenIsOneLineAndComesBack(t *testing.T) {
	tok, text := sampleToken(t)
	if strings.ContainsAny(text, " \n") || !strings.HasPrefix(text, "overlayd1-") {
		t.Errorf("text %q", text)
	}
	got, err := ParseToken("  " + text + "\n")
	if err != nil {
		t.Fatal(err)
	}
	if got.Network() != tok.Network() ||
		!got.Expiry.Equal(tok.Expiry) || got.ID != tok.ID || got.Secret != tok.Secret ||
		!slices.Equal(got.Endpoints, tok.Endpoints) {
		t.Errorf("%+v, want %+v", got, tok)
	}
}

func TestTruncatedTokenIsRecognised(t *testing.T) {
	_, text := sampleToken(t)
	for i := 1; i < len(text); i++ {
		if _, err := ParseToken(text[:i]); !errors.Is(err, ErrTruncated) {
			t.Fatalf("cut after %d characters: %v", i, err)
		}
	}
}

func TestAlteredTokenIsRefused(t *testing.T) {
	_, text := sampleToken(t)
	for i := range text {
		for _, c := range []byte{'A', 'z', '0', '_', ' ', '\n', 'ÿ', 0} {
			bad := []byte(text)
			if bad[i] == c {
				continue
			}
			bad[i] = c
			if _, err := ParseToken(string(bad)); err == nil {
				t.Fatalf("character %d made %q: taken", i, c)
			}
		}
		if i < len(text)-1 {
			swapped := []byte(text)
			swapped[i], swapped[i+1] = swapped[i+1], swapped[i]
			if _, err := ParseToken(string(swapped)); err == nil && string(swapped) != text {
				t.Fatalf("characters %d and %d exchanged: taken", i, i+1)
			}
		}
	}
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"empty":          {"", ErrNotToken},
		"something else": {"ssh-ed25519 AAAA", ErrNotToken},
		"twice":          {text + text, ErrAltered},
		"one more":       {text + "A", ErrAltered},
		"later version":  {reversioned(t, text), ErrVersion},
	} {
		if _, err := ParseToken(c.text); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// reversioned is the token as a later version would write it.
func reversioned(t *testing.T, text string) string {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(text, tokenPrefix))
	if err != nil {
		t.Fatal(err)
	}
	b[2]++
	b = b[:len(b)-checksumLen]
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(append(b, checksum(b)...))
}

func TestTokenNeedsUsableEndpoints(t *testing.T) {
	tok, _ := sampleToken(t)
	long := strings.Repeat("x", 254) + ":1"
	for _, bad := range []string{"", "host", "host:0", "host:65536", ":1", "a b:1", "host:http", long} {
		tok.Endpoints = []string{bad}
		if _, err := tok.Text(); err == nil {
			t.Errorf("endpoint %q is taken", bad)
		}
	}
	tok.Endpoints = nil
	if _, err := tok.Text(); err == nil {
		t.Error("a token without endpoint is made")
	}
}

func TestTokenNamesAtMostEightMembers(t *testing.T) {
	p := newParty(t, 1)
	offer := member.Offer{TTL: time.Hour}
	many := make([]string, MaxEndpoints+1)
	for i := range many {
		many[i] = "192.0.2.1:51871"
	}
	text, _, err := Invite(start, p.registrar, p.random, offer, many)
	if err != nil {
		t.Fatal(err)
	}
	if tok := ok(t, func() (Token, error) { return ParseToken(text) }); len(tok.Endpoints) != MaxEndpoints {
		t.Errorf("%d endpoints", len(tok.Endpoints))
	}
	if _, signed, err := Invite(start, p.registrar, p.random, offer, nil); !errors.Is(err, ErrNoEndpoint) || signed != nil {
		t.Errorf("without any: %v", err)
	}
}
