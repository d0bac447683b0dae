package member

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"slices"
	"time"

	"overlayd/internal/wire"
)

// Rank is what a verdict says that a node is.
type Rank uint8

// The ranks, lowest first.
const (
	Out      Rank = 1 // no member: revoked, or it has left
	Ordinary Rank = 2 // a member without the rights of an admin
	AsAdmin  Rank = 3 // a member with them, if its certificate says so too
)

const (
	// verdictFor is how long a verdict is kept: longer than any certificate that it speaks of makes a member, with the time
	// that it can be renewed after its end, and that of an admin is for years. leftFor is the same where a node left by
	// itself, which many do that come for a while: from then, or from the end of the certificate that it left with.
	verdictFor = AdminValidity + 2*Lapse
	leftFor    = Validity + 2*Lapse

	// tooEarly is how far ahead of the clock a verdict, a certificate or an invitation may be dated.
	tooEarly = time.Hour

	maxVerdictParts = (MaxMembers + keepsAPart - 1) / keepsAPart
	keepsAPart      = 48 // of keepLen bytes, so that a verdict fits one datagram beside an admin's certificate
	keepLen         = 10

	maxVerdicts       = 8192 // of all admins, in parts; those of the root have room beyond
	maxAdminsVerdicts = 4096 // of one admin, and of the nodes that it let in and that left
)

// Verdict says what a node is: a revocation, or its reversal. The root and admins sign verdicts on others, and a node one
// on itself when it leaves. Of the verdicts of one signer on one node the newest counts; standing.go says which signer
// does.
//
// A verdict that takes the rights of an admin away lists the nodes that this admin had let in and that stay members: who
// holds its key could otherwise go on to sign certificates, dated back. A long list is divided into parts, which are
// signed each by itself.
type Verdict struct {
	Target   wire.NodeID
	Rank     Rank
	Sequence uint64      // microseconds since 1970
	Signer   wire.NodeID // zero: the root
	Part     int
	Parts    int     // at least one
	Token    TokenID // of the invitation that the target came by, so that its use stays used; zero: none, or not said

	keeps []byte    // sorted prefixes of node identifiers, of keepLen bytes each
	until time.Time // when it can be forgotten

	signedBy *Certificate // of the signer; nil: the root

	raw []byte
}

type verdictPayload struct {
	Network  []byte `cbor:"1,keyasint"`
	Target   []byte `cbor:"2,keyasint"`
	Rank     Rank   `cbor:"3,keyasint"`
	Sequence uint64 `cbor:"4,keyasint"`
	Part     int    `cbor:"5,keyasint,omitempty"`
	Parts    int    `cbor:"6,keyasint"`
	Keeps    []byte `cbor:"7,keyasint,omitempty"`
	Signer   []byte `cbor:"8,keyasint,omitempty"` // the signer's certificate; absent: the root
	Token    []byte `cbor:"9,keyasint,omitempty"`
}

// Time is when the verdict was passed, by its signer's clock.
func (v *Verdict) Time() time.Time { return time.UnixMicro(int64(v.Sequence)) }

// Left reports whether the node left by itself.
func (v *Verdict) Left() bool { return v.Signer == v.Target && v.Rank == Out }

// charged is whose share of the set the verdict takes: its signer's, or for an ordinary node that leaves, that of who let
// it in. Zero: the root's.
func (v *Verdict) charged() wire.NodeID {
	if v.signedBy != nil && !v.signedBy.rootMadeAdmin() {
		return v.signedBy.Issuer
	}
	return v.Signer
}

// id names the verdicts of one signer on one node, part by part.
func (v *Verdict) id() wire.NodeID { return verdictID(v.Signer, v.Target, v.Part) }

func verdictID(signer, target wire.NodeID, part int) wire.NodeID {
	return wire.NodeID(hash("overlayd verdict id v1", signer[:], target[:], []byte{byte(part)})[:16])
}

// parseVerdict reads a verdict without believing it.
func parseVerdict(raw []byte) (*Verdict, envelope, verdictPayload, error) {
	var p verdictPayload
	e, err := open(raw, MaxItemLen)
	if err != nil {
		return nil, e, p, err
	}
	if err := Decode(e.Payload, MaxItemLen, &p); err != nil {
		return nil, e, p, err
	}
	if len(p.Network) != 16 || len(p.Target) != 16 || p.Rank < Out || p.Rank > AsAdmin ||
		p.Sequence == 0 || p.Sequence > maxSequence || p.Parts < 1 || p.Parts > maxVerdictParts ||
		p.Part < 0 || p.Part >= p.Parts || len(p.Keeps)%keepLen != 0 || (len(p.Token) != 0 && len(p.Token) != len(TokenID{})) {
		return nil, e, p, fmt.Errorf("%w: verdict", ErrMalformed)
	}
	v := &Verdict{
		Target: wire.NodeID(p.Target), Rank: p.Rank, Sequence: p.Sequence, Part: p.Part, Parts: p.Parts,
		keeps: p.Keeps, raw: raw,
	}
	copy(v.Token[:], p.Token)
	if len(p.Signer) > 0 {
		c, _, _, err := parseCertificate(p.Signer)
		if err != nil {
			return nil, e, p, fmt.Errorf("signer: %w", err)
		}
		v.Signer = c.Node
		if v.Left() {
			v.Token = c.Token
		}
		v.until = v.Time().Add(leftFor)
		if end := c.NotAfter.Add(2 * Lapse); end.After(v.until) {
			v.until = end
		}
	}
	if !v.Left() {
		v.until = v.Time().Add(verdictFor)
	}
	return v, e, p, nil
}

// VerifyVerdict reads a verdict and believes it only if it is signed by the root, by somebody whom the root made an
// admin, or, if it puts its target out, by the target. Whether the signer has lost its rights since, the Set knows. The
// time does not matter: a verdict outlives the certificate of its signer.
func (n *Network) VerifyVerdict(raw []byte) (*Verdict, error) {
	v, e, p, err := parseVerdict(raw)
	if err != nil {
		return nil, fmt.Errorf("verdict: %w", err)
	}
	if wire.NetworkID(p.Network) != n.ID {
		return nil, fmt.Errorf("verdict: %w", ErrForeign)
	}
	key := n.Root
	if len(p.Signer) > 0 {
		c, err := n.checkCertificate(p.Signer)
		if err != nil {
			return nil, fmt.Errorf("verdict: signer: %w", err)
		}
		if v.Rank != Out || !(c.rootMadeAdmin() || (v.Left() && v.Parts == 1)) {
			return nil, fmt.Errorf("verdict: %w", ErrIssuer)
		}
		key, v.signedBy = c.Signing, c
	}
	if err := e.verify(key, contextVerdict); err != nil {
		return nil, fmt.Errorf("verdict: %w", err)
	}
	return v, nil
}

// signVerdict signs a verdict by the root, or by the node with the given certificate, in as many parts as the list of
// those who stay needs.
func signVerdict(
	n *Network, key ed25519.PrivateKey, signer *Certificate, target wire.NodeID, rank Rank, sequence uint64,
	stay []wire.NodeID,
) ([]Item, error) {
	return signVerdictOf(n, key, signer, target, TokenID{}, rank, sequence, stay)
}

// signVerdictOf is signVerdict on a node that came by an invitation.
func signVerdictOf(
	n *Network, key ed25519.PrivateKey, signer *Certificate, target wire.NodeID, token TokenID, rank Rank, sequence uint64,
	stay []wire.NodeID,
) ([]Item, error) {
	parts := max(1, (len(stay)+keepsAPart-1)/keepsAPart)
	if parts > maxVerdictParts {
		return nil, fmt.Errorf("%w: %d nodes were let in by this admin", ErrFull, len(stay))
	}
	slices.SortFunc(stay, wire.NodeID.Compare)
	var items []Item
	for part := range parts {
		p := verdictPayload{
			Network: n.ID[:], Target: target[:], Rank: rank, Sequence: sequence, Part: part, Parts: parts,
		}
		for _, id := range stay[part*keepsAPart : min(len(stay), (part+1)*keepsAPart)] {
			p.Keeps = append(p.Keeps, id[:keepLen]...)
		}
		if signer != nil {
			p.Signer = signer.raw
		}
		if part == 0 && !token.IsZero() {
			p.Token = token[:]
		}
		items = append(items, Item{Kind: KindVerdict, Raw: seal(key, contextVerdict, Encode(p))})
	}
	return items, nil
}

// keepsNode reports whether this part says that a node stays.
func (v *Verdict) keepsNode(id wire.NodeID) bool {
	low, high := 0, len(v.keeps)/keepLen
	for low < high {
		mid := (low + high) / 2
		switch bytes.Compare(v.keeps[mid*keepLen:(mid+1)*keepLen], id[:keepLen]) {
		case 0:
			return true
		case -1:
			low = mid + 1
		default:
			high = mid
		}
	}
	return false
}
