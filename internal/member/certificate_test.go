package member

import (
	"crypto/ed25519"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"overlayd/internal/wire"
)

func TestCertificateSaysWhatWasIssued(t *testing.T) {
	w := newWorld(t, 1)
	id := w.identity()
	subnets := []netip.Prefix{netip.MustParsePrefix("192.168.0.0/16"), netip.MustParsePrefix("2001:db8::/32")}
	c := w.enrol(id, "boston", func(c *Certificate) { c.Subnets, c.Serial = subnets, 77 })
	got, err := w.net.VerifyCertificate(c.Raw(), start)
	if err != nil {
		t.Fatal(err)
	}
	if got.Node != id.ID() || got.Name != "boston" || got.IPv4 != c.IPv4 || got.Serial != 77 ||
		!slices.Equal(got.Subnets, subnets) || !got.Capabilities.Has(Relay) || got.Capabilities.Has(Admin) ||
		!got.NotBefore.Equal(start) || !got.NotAfter.Equal(start.Add(Validity)) || !got.Issuer.IsZero() {
		t.Errorf("%+v", got)
	}
	if !w.net.Prefix6.Contains(got.IPv6) || got.IPv6 != Addr6(w.net.ID, id.ID()) {
		t.Errorf("IPv6 %s", got.IPv6)
	}
}

func TestCertificateIsValidInItsTimeAndTenMinutesAround(t *testing.T) {
	w := newWorld(t, 1)
	c := w.enrol(w.identity(), "boston", nil)
	for at, want := range map[time.Duration]error{
		-11 * time.Minute: ErrExpired, -9 * time.Minute: nil, 0: nil,
		Validity + 9*time.Minute: nil, Validity + 11*time.Minute: ErrExpired,
	} {
		if _, err := w.net.VerifyCertificate(c.Raw(), start.Add(at)); !errors.Is(err, want) {
			t.Errorf("at %s: %v", at, err)
		}
	}
}

func TestAlteredCertificateIsNotBelieved(t *testing.T) {
	w := newWorld(t, 1)
	admin := w.identity()
	own := w.enrol(admin, "admin", func(c *Certificate) { c.Capabilities |= Admin })
	c := w.issue(Authority{Network: w.net, Admin: admin, Own: own}, w.identity(), "boston", nil)
	if c.Issuer != admin.ID() {
		t.Fatalf("issuer %s", c.Issuer)
	}
	for i := range c.Raw() {
		bad := slices.Clone(c.Raw())
		bad[i] ^= 1 << (i % 8)
		if _, err := w.net.VerifyCertificate(bad, start); err == nil {
			t.Fatalf("byte %d altered: believed", i)
		}
		if _, err := w.net.VerifyCertificate(c.Raw()[:i], start); err == nil {
			t.Fatalf("cut after %d bytes: believed", i)
		}
	}
}

// forge signs a certificate payload with any key, without the checks of Authority.
func (w *world) forge(signer Identity, issuer []byte, c *Certificate, adjust func(*certificatePayload)) []byte {
	p := certificatePayload{
		Network: c.Network[:], WireGuard: c.WireGuard[:], Signing: c.Signing, Name: c.Name, IPv4: c.IPv4.AsSlice(),
		Capabilities: c.Capabilities, NotBefore: c.NotBefore.Unix(), NotAfter: c.NotAfter.Unix(), Issuer: issuer,
	}
	if adjust != nil {
		adjust(&p)
	}
	key := signer.signing
	if signer.IsZero() {
		key = w.root
	}
	return seal(key, contextCertificate, Encode(p))
}

func TestChainsThatGiveNoRightAreRefused(t *testing.T) {
	w, stranger := newWorld(t, 1), newWorld(t, 2)
	admin, plain, other := w.identity(), w.identity(), w.identity()
	adminCert := w.enrol(admin, "admin", func(c *Certificate) {
		c.Capabilities |= Admin
		c.NotAfter = start.Add(Validity / 2)
	})
	plainCert := w.enrol(plain, "plain", nil)
	target := w.enrol(w.identity(), "boston", func(c *Certificate) { c.NotAfter = start.Add(Validity / 2) })
	byAdmin := w.forge(admin, adminCert.Raw(), target, nil)
	if _, err := w.net.VerifyCertificate(byAdmin, start); err != nil {
		t.Fatalf("issued by an admin: %v", err)
	}
	selfMade := w.forge(other, nil, adminCert, func(p *certificatePayload) {
		p.Signing = other.Signing()
		p.WireGuard = func() []byte { k := other.WireGuard(); return k[:] }()
	})
	for name, c := range map[string]struct {
		raw  []byte
		want error
	}{
		"by a member that is no admin":  {w.forge(plain, plainCert.Raw(), target, nil), ErrIssuer},
		"by itself":                     {w.forge(plain, nil, target, nil), ErrSignature},
		"in an admin's name":            {w.forge(plain, adminCert.Raw(), target, nil), ErrSignature},
		"by one that made itself admin": {w.forge(other, selfMade, target, nil), ErrSignature},
		"three in a chain": {
			w.forge(other, w.forge(admin, adminCert.Raw(), adminCert, nil), target, nil),
			ErrIssuer,
		},
		"an admin by an admin": {w.forge(admin, adminCert.Raw(), target, func(p *certificatePayload) {
			p.Capabilities |= Admin
		}), ErrIssuer},
		"longer than the admin's": {w.forge(admin, adminCert.Raw(), target, func(p *certificatePayload) {
			p.NotAfter++
		}), ErrIssuer},
		"of another network": {stranger.enrol(plain, "x", nil).Raw(), ErrForeign},
		"an address outside": {w.forge(Identity{}, nil, target, func(p *certificatePayload) {
			p.IPv4 = []byte{10, 72, 0, 1}
		}), ErrMalformed},
		"the first address": {w.forge(Identity{}, nil, target, func(p *certificatePayload) {
			p.IPv4 = []byte{10, 71, 0, 0}
		}), ErrMalformed},
		"the last address": {w.forge(Identity{}, nil, target, func(p *certificatePayload) {
			p.IPv4 = []byte{10, 71, 255, 255}
		}), ErrMalformed},
		"a name in capitals": {w.forge(Identity{}, nil, target, func(p *certificatePayload) {
			p.Name = "Boston"
		}), ErrMalformed},
		"times reversed": {w.forge(Identity{}, nil, target, func(p *certificatePayload) {
			p.NotAfter = p.NotBefore
		}), ErrMalformed},
		"a short key": {w.forge(Identity{}, nil, target, func(p *certificatePayload) { p.WireGuard = nil }), ErrMalformed},
	} {
		if _, err := w.net.VerifyCertificate(c.raw, start); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestAdminCannotIssueBeyondItsTime(t *testing.T) {
	w := newWorld(t, 1)
	admin := w.identity()
	own := w.enrol(admin, "admin", func(c *Certificate) {
		c.Capabilities |= Admin
		c.NotAfter = start.Add(time.Hour)
	})
	a := Authority{Network: w.net, Admin: admin, Own: own}
	if c := w.issue(a, w.identity(), "boston", nil); !c.NotAfter.Equal(own.NotAfter) {
		t.Errorf("valid until %s", c.NotAfter)
	}
	if a.May(start.Add(2 * time.Hour)) {
		t.Error("an expired admin may issue")
	}
}

func TestLargestRecordFitsAFrame(t *testing.T) {
	w := newWorld(t, 1)
	admin, id := w.identity(), w.identity()
	own := w.enrol(admin, strings.Repeat("a", 63), func(c *Certificate) { c.Capabilities |= Admin })
	c := w.issue(Authority{Network: w.net, Admin: admin, Own: own}, id, strings.Repeat("b", 63), nil)
	st := Statement{Labels: map[string]string{"site": "boston", "provider": "comcast"}}
	for i := range 20 {
		st.Endpoints = append(st.Endpoints, netip.AddrPortFrom(Addr6(w.net.ID, wire.NodeID{byte(i)}), 51871))
	}
	r := w.sign(id, c, maxSequence, st)
	if len(r.Raw()) > MaxRecordLen || len(r.Endpoints) != wire.MaxEndpoints {
		t.Errorf("%d bytes, %d endpoints", len(r.Raw()), len(r.Endpoints))
	}
	largest := []Item{{Kind: KindRecord, Raw: make([]byte, MaxRecordLen)}}
	body := message{Type: typeItems, News: true, Items: largest}.encode()
	if len(body) > wire.MaxBodyLen {
		t.Errorf("a body of %d bytes", len(body))
	}
}

func TestRecordKeepsToItsCertificate(t *testing.T) {
	w := newWorld(t, 1)
	id := w.identity()
	c := w.enrol(id, "boston", func(c *Certificate) {
		c.Subnets = []netip.Prefix{netip.MustParsePrefix("192.168.0.0/16")}
	})
	inside, outside := netip.MustParsePrefix("192.168.7.0/24"), netip.MustParsePrefix("192.0.0.0/8")
	if _, err := SignRecord(id, c, 1, Statement{Subnets: []netip.Prefix{inside}}); err != nil {
		t.Error(err)
	}
	if _, err := SignRecord(id, c, 1, Statement{Subnets: []netip.Prefix{outside}}); err == nil {
		t.Error("a subnet that is not allowed was signed")
	}
	raw := seal(id.signing, contextRecord, Encode(recordPayload{
		Certificate: c.Raw(), Sequence: 1, Subnets: encodePrefixes([]netip.Prefix{outside}),
	}))
	if _, err := w.net.VerifyRecord(raw, nil, start); !errors.Is(err, ErrMalformed) {
		t.Errorf("a subnet that is not allowed was believed: %v", err)
	}
}

// An admin's signature makes no subnet of what belongs to every host, to the overlay, or to everybody.
func TestCertificatesGrantNoSpecialPrefixes(t *testing.T) {
	w := newWorld(t, 1)
	admin := w.identity()
	own := w.enrol(admin, "admin", func(c *Certificate) {
		c.Capabilities, c.NotAfter = Admin|Relay, start.Add(AdminValidity)
	})
	authority := Authority{Network: w.net, Admin: admin, Own: own}
	for _, text := range []string{
		"0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1", "127.0.0.0/8", "169.254.7.0/24", "224.0.0.0/8", "255.255.255.255/32", "0.0.0.0/32",
		"::/0", "2000::/3", "fe80::/64", "ff02::/16", "::1/128", "10.71.0.0/16", "10.71.3.0/24", "10.0.0.0/8", w.net.Prefix6.String(),
	} {
		id := w.identity()
		want := Certificate{
			WireGuard: id.WireGuard(), Signing: id.Signing(), Name: "mallory", IPv4: netip.MustParseAddr("10.71.9.9"),
			Capabilities: Relay, Subnets: []netip.Prefix{netip.MustParsePrefix(text)},
			NotBefore: start, NotAfter: start.Add(time.Hour), Serial: 9,
		}
		if _, err := authority.Issue(want, start); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: issued, and believed: %v", text, err)
		}
		want.Subnets = []netip.Prefix{netip.MustParsePrefix("192.168.7.0/24")}
		if _, err := authority.Issue(want, start); err != nil {
			t.Fatal(err)
		}
	}
}

func TestUnusableEndpointsAreNotPublished(t *testing.T) {
	w := newWorld(t, 1)
	id := w.identity()
	list := endpoints("0.0.0.0:1", "224.0.0.1:1", "192.0.2.1:0", "[::ffff:192.0.2.1]:5", "[fe80::1%eth0]:6")
	r := w.sign(id, w.enrol(id, "boston", nil), 1, Statement{Endpoints: list})
	if want := endpoints("192.0.2.1:5", "[fe80::1]:6"); !slices.Equal(r.Endpoints, want) {
		t.Errorf("published %v, want %v", r.Endpoints, want)
	}
}

func TestLaterVersionsMayAddFields(t *testing.T) {
	w := newWorld(t, 1)
	id := w.identity()
	c := w.enrol(id, "boston", nil)
	raw := seal(id.signing, contextRecord, Encode(map[int]any{1: c.Raw(), 2: 5, 99: "new"}))
	if _, err := w.net.VerifyRecord(raw, nil, start); err != nil {
		t.Error(err)
	}
}

func TestEnvelopeHasOneEncoding(t *testing.T) {
	w := newWorld(t, 1)
	_, r := w.record("boston", 1, Statement{})
	raw := r.Raw() // 82, 58 length payload …
	if raw[0] != 0x82 || raw[1] != 0x58 {
		t.Fatalf("% x", raw[:4])
	}
	longer := append([]byte{0x82, 0x59, 0}, raw[2:]...) // the length in two bytes
	if _, err := w.net.VerifyRecord(longer, nil, start); !errors.Is(err, ErrMalformed) {
		t.Errorf("another encoding of the same record: %v", err)
	}
}

func TestNames(t *testing.T) {
	for host, want := range map[string]string{
		"boston": "boston", "Boston.example.com": "boston", "my_host": "my-host", "-a-": "a", "": "node", "日本": "node",
		strings.Repeat("x", 80): strings.Repeat("x", 63), strings.Repeat("x", 62) + "--y": strings.Repeat("x", 62),
	} {
		if got := NameFrom(host); got != want || ValidName(got) != nil {
			t.Errorf("NameFrom(%q) = %q, want %q", host, got, want)
		}
	}
	for _, bad := range []string{"", "-a", "a-", "A", "a.b", "a b", strings.Repeat("x", 64), "ä"} {
		if ValidName(bad) == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestAddressesRunOut(t *testing.T) {
	prefix := netip.MustParsePrefix("10.0.0.0/29")
	taken := map[netip.Addr]bool{}
	for range 6 {
		a, err := lowestFree(prefix, func(a netip.Addr) bool { return taken[a] })
		if err != nil {
			t.Fatal(err)
		}
		taken[a] = true
	}
	if _, err := lowestFree(prefix, func(a netip.Addr) bool { return taken[a] }); !errors.Is(err, ErrNoAddress) {
		t.Error(err)
	}
	if taken[netip.MustParseAddr("10.0.0.0")] || taken[netip.MustParseAddr("10.0.0.7")] {
		t.Error("the first or the last address was given")
	}
}

func TestSettingsAreSigned(t *testing.T) {
	w := newWorld(t, 1)
	raw := w.net.Raw()
	n, err := ParseNetwork(raw)
	if err != nil || n.ID != w.net.ID || n.Name != "test" || n.Prefix != w.net.Prefix {
		t.Fatal(n, err)
	}
	for i := range raw {
		bad := slices.Clone(raw)
		bad[i] ^= 1 << (i % 8)
		if _, err := ParseNetwork(bad); err == nil {
			t.Fatalf("byte %d altered: believed", i)
		}
	}
}

func TestOtherPackagesCannotSignWhatANodeSignsHere(t *testing.T) {
	id := newWorld(t, 1).identity()
	message := []byte("hello")
	if !ed25519.Verify(id.Signing(), Signed("test v1", message), id.Sign("test v1", message)) {
		t.Error("the signature does not match")
	}
	for _, context := range append(contexts[:], contextRecord+"\x00") {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("signed in the context %q", context)
				}
			}()
			id.Sign(context, message)
		}()
	}
}
