package member

import (
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"net/netip"
	"time"

	"overlayd/internal/wire"
)

const (
	// MaxUses bounds the nodes that one invitation is for.
	MaxUses = 1000

	// MaxInvitations bounds the invitations of one signer that are not forgotten yet.
	MaxInvitations = 256

	// maxAllInvitations bounds those of all admins.
	maxAllInvitations = 4 * MaxInvitations

	// MaxInvitationTTL bounds how long a token can be used.
	MaxInvitationTTL = 30 * 24 * time.Hour

	// InvitationGrace is how long an invitation is known after its time: so a newcomer is told that it has expired, and a
	// join that broke off can be repeated.
	InvitationGrace = 24 * time.Hour
)

// TokenID names an invitation, and the token that it is about.
type TokenID [8]byte

// Lock is what all members know of a token: enough to tell who has it, and not enough to use it.
type Lock struct {
	ID     TokenID
	Key    [32]byte                    // seals join requests
	Public [ed25519.PublicKeySize]byte // of the key pair whose private key only who has the token knows
}

// Invitation is the Lock of a token and what the token is good for. An admin or the root signs it, and signs it anew to
// cancel it.
type Invitation struct {
	Lock
	Name      string // that the newcomer must have; empty: any
	Uses      int
	Expiry    time.Time
	Subnets   []netip.Prefix // that newcomers may advertise
	Cancelled bool
	Sequence  uint64      // newest wins
	By        wire.NodeID // zero: the root

	payload []byte
}

type invitationPayload struct {
	Network   []byte   `cbor:"1,keyasint"`
	ID        []byte   `cbor:"2,keyasint"`
	Key       []byte   `cbor:"3,keyasint"`
	Public    []byte   `cbor:"4,keyasint"`
	Name      string   `cbor:"5,keyasint,omitempty"`
	Uses      int      `cbor:"6,keyasint"`
	Expiry    int64    `cbor:"7,keyasint"`
	Subnets   [][]byte `cbor:"8,keyasint,omitempty"`
	Cancelled bool     `cbor:"9,keyasint,omitempty"`
	Sequence  uint64   `cbor:"10,keyasint"`
	By        []byte   `cbor:"11,keyasint,omitempty"` // the signer's certificate; absent: the root
}

// String is the identifier in 16 hexadecimal digits.
func (t TokenID) String() string { return hex.EncodeToString(t[:]) }

// IsZero reports whether t is unset.
func (t TokenID) IsZero() bool { return t == TokenID{} }

// item names the invitation in the set.
func (t TokenID) item() (id wire.NodeID) {
	copy(id[:], t[:])
	return id
}

// gone reports whether the invitation has expired so long ago that nobody needs to know of it.
func (i *Invitation) gone(now time.Time) bool { return now.After(i.Expiry.Add(InvitationGrace)) }

func parseInvitation(raw []byte) (*Invitation, envelope, invitationPayload, error) {
	var p invitationPayload
	e, err := open(raw, MaxItemLen)
	if err != nil {
		return nil, e, p, err
	}
	if err := Decode(e.Payload, MaxItemLen, &p); err != nil {
		return nil, e, p, err
	}
	if len(p.Network) != 16 || len(p.ID) != len(TokenID{}) || len(p.Key) != len(Lock{}.Key) ||
		len(p.Public) != len(Lock{}.Public) || p.Uses < 1 || p.Uses > MaxUses || p.Expiry <= 0 || p.Expiry > maxUnix ||
		p.Sequence == 0 || p.Sequence > maxSequence {
		return nil, e, p, fmt.Errorf("%w: invitation", ErrMalformed)
	}
	if TokenID(p.ID).IsZero() || (p.Name != "" && ValidName(p.Name) != nil) {
		return nil, e, p, fmt.Errorf("%w: invitation", ErrMalformed)
	}
	subnets, err := decodePrefixes(p.Subnets, MaxSubnets)
	if err != nil {
		return nil, e, p, err
	}
	i := &Invitation{
		Lock: Lock{ID: TokenID(p.ID), Key: [32]byte(p.Key), Public: [32]byte(p.Public)}, Name: p.Name, Uses: p.Uses,
		Expiry: time.Unix(p.Expiry, 0), Subnets: subnets, Cancelled: p.Cancelled, Sequence: p.Sequence,
		payload: e.Payload,
	}
	if len(p.By) > 0 {
		c, _, _, err := parseCertificate(p.By)
		if err != nil {
			return nil, e, p, fmt.Errorf("signer: %w", err)
		}
		i.By = c.Node
	}
	return i, e, p, nil
}

// VerifyInvitation reads an invitation and believes it only if it is signed by the root or by somebody whom the root made
// an admin. Whether that one has lost its rights since, the Set knows.
func (n *Network) VerifyInvitation(raw []byte) (*Invitation, error) {
	i, e, p, err := parseInvitation(raw)
	if err != nil {
		return nil, fmt.Errorf("invitation: %w", err)
	}
	if wire.NetworkID(p.Network) != n.ID {
		return nil, fmt.Errorf("invitation: %w", ErrForeign)
	}
	key := n.Root
	if len(p.By) > 0 {
		c, err := n.checkCertificate(p.By)
		if err != nil {
			return nil, fmt.Errorf("invitation: signer: %w", err)
		}
		if !c.rootMadeAdmin() {
			return nil, fmt.Errorf("invitation: %w", ErrIssuer)
		}
		key = c.Signing
	}
	if err := e.verify(key, contextInvitation); err != nil {
		return nil, fmt.Errorf("invitation: %w", err)
	}
	return i, nil
}

// signInvitation signs i by the root, or by the admin with the given certificate.
func signInvitation(n *Network, key ed25519.PrivateKey, signer *Certificate, i Invitation) Item {
	p := invitationPayload{
		Network: n.ID[:], ID: i.ID[:], Key: i.Key[:], Public: i.Public[:], Name: i.Name, Uses: i.Uses,
		Expiry: i.Expiry.Unix(), Subnets: encodePrefixes(i.Subnets), Cancelled: i.Cancelled, Sequence: i.Sequence,
	}
	if signer != nil {
		p.By = signer.raw
	}
	return Item{Kind: KindInvitation, Raw: seal(key, contextInvitation, Encode(p))}
}
