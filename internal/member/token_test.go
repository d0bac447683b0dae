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
	tok := Token{
		Root: w.net.Root, Expiry: start.Add(time.Hour),
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
	if got.Network() != tok.Network() ||
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
	invite := func(o Offer) error {
		_, signed, err := p.registrar.Invite(start, o)
		if err == nil {
			p.learn(p.set, Learn{signed})
		}
		return err
	}
	for name, c := range map[string]struct {
		offer Offer
		want  error
	}{
		"no time":      {Offer{Endpoints: at}, ErrTTL},
		"a second":     {Offer{TTL: time.Second, Endpoints: at}, ErrTTL},
		"negative":     {Offer{TTL: -time.Hour, Endpoints: at}, ErrTTL},
		"a month":      {Offer{TTL: 31 * 24 * time.Hour, Endpoints: at}, ErrTTL},
		"no endpoint":  {Offer{TTL: time.Hour}, ErrNoEndpoint},
		"taken name":   {Offer{TTL: time.Hour, Endpoints: at, Name: "founder"}, ErrNameTaken},
		"no such name": {Offer{TTL: time.Hour, Endpoints: at, Name: "No!"}, ErrName},
		"many uses":    {Offer{TTL: time.Hour, Endpoints: at, Uses: MaxUses + 1}, ErrUses},
	} {
		if err := invite(c.offer); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	for range MaxInvitations {
		if err := invite(Offer{TTL: time.Hour, Endpoints: at}); err != nil {
			t.Fatal(err)
		}
	}
	if err := invite(Offer{TTL: time.Hour, Endpoints: at}); !errors.Is(err, ErrManyTokens) {
		t.Errorf("one too many: %v", err)
	}
	for _, in := range []Input{Met{Peer: p.another("boston", nil).id.ID()}, Tick{}} {
		_ = p.set.Step(start.Add(26*time.Hour), in)
	}
	_ = p.set.Step(start.Add(27*time.Hour), Tick{})
	if kept := len(p.set.Invitations()); kept != 0 {
		t.Errorf("%d expired invitations are kept", kept)
	}
}
