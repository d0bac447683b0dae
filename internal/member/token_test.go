package member

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

func sampleToken(t testing.TB) (Token, string) {
	t.Helper()
	w := newWorld(t, 1)
	id := w.identity()
	tok := Token{
		Root: w.net.Root, Inviter: id.ID(), WireGuard: id.WireGuard(), Expiry: start.Add(time.Hour),
		ID: TokenID{1, 2, 3}, Secret: TokenSecret{4, 5, 6},
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
	if got.Network() != tok.Network() || got.Inviter != tok.Inviter || got.WireGuard != tok.WireGuard ||
		!got.Expiry.Equal(tok.Expiry) || got.ID != tok.ID || got.Secret != tok.Secret ||
		!slices.Equal(got.Endpoints, tok.Endpoints) {
		t.Errorf("%+v, want %+v", got, tok)
	}
}

func TestTruncatedTokenIsRecognised(t *testing.T) {
	_, text := sampleToken(t)
	for i := 1; i < len(text); i++ {
		if _, err := ParseToken(text[:i]); !errors.Is(err, ErrTokenTruncated) {
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
		"twice":          {text + text, ErrTokenAltered},
		"one more":       {text + "A", ErrTokenAltered},
		"later version":  {reversioned(t, text), ErrTokenVersion},
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

func TestInvitationsAreBounded(t *testing.T) {
	p := newParty(t, 1)
	at := []string{"192.0.2.1:51871"}
	for i, ttl := range []time.Duration{0, time.Second, -time.Hour, 31 * 24 * time.Hour} {
		if _, err := p.inviter.Create(start, "", ttl, at); !errors.Is(err, ErrTTL) {
			t.Errorf("%d: ttl %s: %v", i, ttl, err)
		}
	}
	if _, err := p.inviter.Create(start, "", time.Hour, nil); !errors.Is(err, ErrNoEndpoint) {
		t.Errorf("no endpoint: %v", err)
	}
	if _, err := p.inviter.Create(start, "founder", time.Hour, at); !errors.Is(err, ErrNameTaken) {
		t.Errorf("taken name: %v", err)
	}
	for range MaxInvitations {
		if _, err := p.inviter.Create(start, "", time.Hour, at); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.inviter.Create(start, "", time.Hour, at); !errors.Is(err, ErrManyTokens) {
		t.Errorf("one too many: %v", err)
	}
	list := p.inviter.Invitations()
	if !p.inviter.Cancel(list[0].ID) || p.inviter.Cancel(list[0].ID) {
		t.Error("a token is cancelled once")
	}
	_, err := p.inviter.Create(start.Add(26*time.Hour), "", time.Hour, at)
	if kept := len(p.inviter.Invitations()); err != nil || kept != 1 {
		t.Errorf("expired tokens are kept: %d, %v", kept, err)
	}
}
