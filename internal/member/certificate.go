package member

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"overlayd/internal/wire"
)

const (
	// MaxCertificateLen bounds an encoded certificate, with its issuer's inside, in bytes.
	MaxCertificateLen = 720

	// MaxSubnets bounds the subnets of a certificate or record.
	MaxSubnets = 8

	// Validity is how long a certificate of a node is issued for. It is renewed once RenewBefore is left, so that a node
	// that was off for a month still has a valid one.
	Validity    = 90 * 24 * time.Hour
	RenewBefore = 60 * 24 * time.Hour

	// AdminValidity is how long a certificate of an admin is issued for: only the root renews it, and the root key may lie
	// in a safe.
	AdminValidity = 10 * 365 * 24 * time.Hour

	// ClockTolerance is how wrong the clocks of two nodes may be without harm.
	ClockTolerance = 10 * time.Minute

	maxUnix = 1 << 40 // seconds; far beyond any certificate, and far from the end of time.Time
)

// Capabilities are what a certificate allows besides being a member.
type Capabilities uint32

// The capabilities.
const (
	Admin Capabilities = 1 << iota // may issue certificates; only in one that the root signed
	Relay                          // may relay for others
)

// Has reports whether all of want are allowed.
func (c Capabilities) Has(want Capabilities) bool { return c&want == want }

// Certificate makes a node a member. It is immutable; one in hand has been verified.
type Certificate struct {
	Network      wire.NetworkID
	Node         wire.NodeID // follows from the two keys
	WireGuard    Key
	Signing      ed25519.PublicKey
	Name         string
	IPv4         netip.Addr
	IPv6         netip.Addr // follows from Network and Node
	Capabilities Capabilities
	Subnets      []netip.Prefix // that the node may advertise
	NotBefore    time.Time      // kept when a certificate is renewed: the elder keeps a disputed name or address
	NotAfter     time.Time
	Serial       uint64      // of two certificates of a node the higher counts; microseconds since 1970 when issued
	Token        TokenID     // of the invitation that the node came by; zero: by none
	Uses         int         // how many nodes that invitation was for
	Issuer       wire.NodeID // zero: the root

	payload []byte
	raw     []byte
}

type certificatePayload struct {
	Network      []byte       `cbor:"1,keyasint"`
	WireGuard    []byte       `cbor:"2,keyasint"`
	Signing      []byte       `cbor:"3,keyasint"`
	Name         string       `cbor:"4,keyasint"`
	IPv4         []byte       `cbor:"5,keyasint"`
	Capabilities Capabilities `cbor:"6,keyasint,omitempty"`
	Subnets      [][]byte     `cbor:"7,keyasint,omitempty"`
	NotBefore    int64        `cbor:"8,keyasint"`
	NotAfter     int64        `cbor:"9,keyasint"`
	Serial       uint64       `cbor:"10,keyasint"`
	Issuer       []byte       `cbor:"11,keyasint,omitempty"` // the issuer's own certificate; absent: the root
	Token        []byte       `cbor:"12,keyasint,omitempty"`
	Uses         int          `cbor:"13,keyasint,omitempty"`
}

// Raw is the signed encoding, with the issuer's certificate inside. The caller must not change it.
func (c *Certificate) Raw() []byte { return c.raw }

// ValidAt reports whether the certificate is valid at now, clocks being a little wrong.
func (c *Certificate) ValidAt(now time.Time) bool {
	return !now.Before(c.NotBefore.Add(-ClockTolerance)) && now.Before(c.NotAfter.Add(ClockTolerance))
}

// elder orders two certificates that claim the same name or address: the one that keeps it comes first.
func (c *Certificate) elder(other *Certificate) int {
	if d := c.NotBefore.Compare(other.NotBefore); d != 0 {
		return d
	}
	return c.Node.Compare(other.Node)
}

// rootMadeAdmin reports whether the root has signed that the node is an admin. Whether it still is, the Set knows.
func (c *Certificate) rootMadeAdmin() bool { return c.Issuer.IsZero() && c.Capabilities.Has(Admin) }

// allows reports whether the node may advertise subnet.
func (c *Certificate) allows(subnet netip.Prefix) bool {
	return slices.ContainsFunc(c.Subnets, func(p netip.Prefix) bool {
		return p.Bits() <= subnet.Bits() && p.Contains(subnet.Addr())
	})
}

// VerifyCertificate reads a certificate and believes it only if it belongs to the network, is valid at now, and is
// signed by the root or by an admin that the root signed.
func (n *Network) VerifyCertificate(raw []byte, now time.Time) (*Certificate, error) {
	c, err := n.checkCertificate(raw)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	if err := c.timely(now); err != nil {
		return nil, err
	}
	return c, nil
}

// CheckCertificate is VerifyCertificate whatever the time: a clock may be wrong, and one that has ended can be renewed.
func (n *Network) CheckCertificate(raw []byte) (*Certificate, error) {
	c, err := n.checkCertificate(raw)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	return c, nil
}

// timely says that the certificate is not valid at now; nil if it is.
func (c *Certificate) timely(now time.Time) error {
	if c.ValidAt(now) {
		return nil
	}
	return fmt.Errorf("certificate of %s, from %s to %s: %w", c.Name,
		c.NotBefore.UTC().Format(time.DateTime), c.NotAfter.UTC().Format(time.DateTime), ErrExpired)
}

// checkCertificate is CheckCertificate. A chain has at most two certificates.
func (n *Network) checkCertificate(raw []byte) (*Certificate, error) {
	return remembered(n.memory.certificates(), raw, func() (*Certificate, error) { return n.checkChain(raw) })
}

func (n *Network) checkChain(raw []byte) (*Certificate, error) {
	c, e, issuerRaw, err := parseCertificate(raw)
	if err != nil {
		return nil, err
	}
	if c.Network != n.ID {
		return nil, ErrForeign
	}
	if !usable(n.Prefix, c.IPv4) {
		return nil, fmt.Errorf("%w: address %s is not of the network", ErrMalformed, c.IPv4)
	}
	for _, subnet := range c.Subnets {
		if err := n.CheckSubnet(subnet); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
		}
	}
	if len(issuerRaw) == 0 {
		return c, e.verify(n.Root, contextCertificate)
	}
	issuer, ie, above, err := parseCertificate(issuerRaw)
	switch {
	case err != nil:
		return nil, fmt.Errorf("issuer: %w", err)
	case issuer.Network != n.ID:
		return nil, fmt.Errorf("issuer: %w", ErrForeign)
	case len(above) > 0 || !issuer.Capabilities.Has(Admin):
		return nil, ErrIssuer
	case c.Capabilities.Has(Admin), c.NotAfter.After(issuer.NotAfter):
		return nil, fmt.Errorf("%w beyond its own rights", ErrIssuer)
	}
	if err := ie.verify(n.Root, contextCertificate); err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}
	c.Issuer = issuer.Node
	return c, e.verify(issuer.Signing, contextCertificate)
}

// parseCertificate reads a certificate without believing it, and its issuer's certificate, unread.
func parseCertificate(raw []byte) (*Certificate, envelope, []byte, error) {
	e, err := open(raw, MaxCertificateLen)
	if err != nil {
		return nil, e, nil, err
	}
	var p certificatePayload
	if err := Decode(e.Payload, MaxCertificateLen, &p); err != nil {
		return nil, e, nil, err
	}
	if len(p.Network) != 16 || len(p.WireGuard) != 32 || len(p.Signing) != ed25519.PublicKeySize || len(p.IPv4) != 4 {
		return nil, e, nil, fmt.Errorf("%w: a field has the wrong length", ErrMalformed)
	}
	if err := ValidName(p.Name); err != nil {
		return nil, e, nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if len(p.Token) != 0 && len(p.Token) != len(TokenID{}) || p.Uses < 0 || p.Uses > MaxUses {
		return nil, e, nil, fmt.Errorf("%w: invitation", ErrMalformed)
	}
	if p.NotBefore < 0 || p.NotAfter <= p.NotBefore || p.NotAfter > maxUnix {
		return nil, e, nil, fmt.Errorf("%w: validity", ErrMalformed)
	}
	subnets, err := decodePrefixes(p.Subnets, MaxSubnets)
	if err != nil {
		return nil, e, nil, err
	}
	c := &Certificate{
		Network: wire.NetworkID(p.Network), WireGuard: Key(p.WireGuard), Signing: p.Signing, Name: p.Name,
		IPv4: netip.AddrFrom4([4]byte(p.IPv4)), Capabilities: p.Capabilities, Subnets: subnets,
		NotBefore: time.Unix(p.NotBefore, 0), NotAfter: time.Unix(p.NotAfter, 0), Serial: p.Serial, Uses: p.Uses,
		payload: e.Payload, raw: raw,
	}
	copy(c.Token[:], p.Token)
	c.Node = NodeID(c.WireGuard, c.Signing)
	c.IPv6 = Addr6(c.Network, c.Node)
	return c, e, p.Issuer, nil
}

// Authority is a key that issues certificates: the root's, or an admin's with its own certificate.
type Authority struct {
	Network *Network
	Root    ed25519.PrivateKey // preferred, if set
	Admin   Identity           // otherwise: the admin's keys
	Own     *Certificate       // and its certificate
}

// May reports whether the authority can issue certificates at now.
func (a Authority) May(now time.Time) bool {
	if a.Root != nil {
		return true
	}
	return !a.Admin.IsZero() && a.Own != nil && a.Own.rootMadeAdmin() && a.Own.ValidAt(now)
}

// Issue signs a certificate for what want says: keys, name, IPv4, capabilities, subnets, NotBefore, NotAfter (brought
// down to the authority's own), Serial and the invitation. The other fields follow.
func (a Authority) Issue(want Certificate, now time.Time) (*Certificate, error) {
	if !a.May(now) {
		return nil, ErrIssuer
	}
	p := certificatePayload{
		Network: a.Network.ID[:], WireGuard: want.WireGuard[:], Signing: want.Signing, Name: want.Name,
		IPv4: want.IPv4.AsSlice(), Capabilities: want.Capabilities, Subnets: encodePrefixes(want.Subnets),
		NotBefore: want.NotBefore.Unix(), NotAfter: want.NotAfter.Unix(), Serial: want.Serial, Uses: want.Uses,
	}
	if !want.Token.IsZero() {
		p.Token = want.Token[:]
	}
	key := a.Root
	if key == nil {
		key = a.Admin.signing
		p.Issuer = a.Own.raw
		p.NotAfter = min(p.NotAfter, a.Own.NotAfter.Unix())
	}
	return a.Network.VerifyCertificate(seal(key, contextCertificate, Encode(p)), now)
}

// Found issues the certificate of the node that makes the network: an admin and relay with the first address.
func Found(root ed25519.PrivateKey, n *Network, id Identity, name string, now time.Time) (*Certificate, error) {
	first, err := lowestFree(n.Prefix, func(netip.Addr) bool { return false })
	if err != nil {
		return nil, err
	}
	if err := ValidName(name); err != nil {
		return nil, err
	}
	return Authority{Network: n, Root: root}.Issue(Certificate{
		WireGuard: id.WireGuard(), Signing: id.Signing(), Name: name, IPv4: first, Capabilities: Admin | Relay,
		NotBefore: now, NotAfter: now.Add(AdminValidity), Serial: micros(now),
	}, now)
}

// sameRaw reports whether raw is the certificate c, which has been verified.
func (c *Certificate) sameRaw(raw []byte) bool { return c != nil && bytes.Equal(c.raw, raw) }
