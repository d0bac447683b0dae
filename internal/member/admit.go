package member

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"overlayd/internal/wire"
)

// Why a newcomer is refused, besides ErrName and OtherNameError. Each is a sentence for the person who has the token.
var (
	ErrTokenExpired   = errors.New("the token has expired: ask for a new one (overlayctl invite)")
	ErrTokenCancelled = errors.New("the token was cancelled: ask for a new one (overlayctl invite)")
	ErrTokenUsed      = errors.New("the token was used already: ask for a new one (overlayctl invite)")
	ErrNameTaken      = errors.New("another node has this name: choose another one with --name")
	ErrNoRoom         = errors.New("the network has no free IPv4 address, or as many members as it can have")
	ErrInviter        = errors.New("the inviting node cannot sign certificates any more: ask for a token from another admin")
	ErrComeAnew       = errors.New("this node was revoked, or has left: remove its state directory and join as a new node")
	ErrKeyTaken       = errors.New("another member has this node's key: remove the state directory, which is a copy, and join anew")
)

// OtherNameError refuses a newcomer that does not want the name that the token is for.
type OtherNameError struct{ Name string }

// Error says which name.
func (e OtherNameError) Error() string {
	return fmt.Sprintf("the token is for a node of another name: join with --name %q", clip(e.Name))
}

// Applicant is who asks for a certificate. Whoever hands one to Admit has made sure that it has the token and the
// private signing key.
type Applicant struct {
	WireGuard Key
	Signing   ed25519.PublicKey
	Name      string // that it wants
}

func (a Applicant) node() wire.NodeID { return NodeID(a.WireGuard, a.Signing) }

// Admit is the certificate for a newcomer that came with an invitation, and what was signed for it: nothing, if it has
// its certificate already and asks again. Only a node that May asks it. The certificate is for the applicant alone: it
// has not shown yet that it has the private WireGuard key.
func (g *Registrar) Admit(now time.Time, i *Invitation, a Applicant) (*Certificate, []Item, error) {
	id := a.node()
	known := g.set.certificate(id)
	if known != nil && known.Token == i.ID && !g.set.out(id) { // a request that is repeated
		if known.Name != a.Name {
			return nil, nil, OtherNameError{known.Name}
		}
		return known, nil, nil
	}
	if err := g.refuses(now, i, a); err != nil {
		return nil, nil, err
	}
	if _, err := g.id.Shared(a.WireGuard); err != nil { // nobody could speak with it, and the token would be used up
		return nil, nil, err
	}
	date := g.set.Time(now)
	want := Certificate{
		WireGuard: a.WireGuard, Signing: a.Signing, Name: a.Name, Capabilities: Relay, Subnets: i.Subnets,
		NotBefore: date, NotAfter: date.Add(Validity), Serial: micros(date), Token: i.ID, Uses: i.Uses,
	}
	if known != nil { // it lost its certificate and keeps its place
		want.IPv4, want.NotBefore, want.Serial = known.IPv4, known.NotBefore, max(want.Serial, known.Serial+1)
	} else if former, free := g.formerAddress(a.Name); free {
		want.IPv4 = former
	} else {
		addr, err := g.freeAddress(nil)
		if err != nil {
			return nil, nil, ErrNoRoom
		}
		want.IPv4 = addr
	}
	c, err := g.authority().Issue(want, date)
	if err != nil {
		return nil, nil, ErrInviter
	}
	signed := []Item{{Kind: KindCertificate, Raw: c.raw}}
	if known != nil {
		signed = append(signed, g.spend(now, known.Token)...)
	}
	return c, signed, nil
}

// spend takes one use from an invitation, of which the only trace is a certificate that another one replaces.
func (g *Registrar) spend(now time.Time, id TokenID) []Item {
	i := g.set.Invitation(id)
	if i == nil || i.Cancelled {
		return nil
	}
	left := *i
	left.Uses, left.Sequence = i.Uses-1, max(micros(g.set.Time(now)), i.Sequence+1)
	if left.Uses == 0 {
		left.Uses, left.Cancelled = i.Uses, true
	}
	key, cert := g.signer()
	return []Item{signInvitation(g.set.network, key, cert, left)}
}

// formerAddress is the address of the last node of a name that was revoked or has left; false if there was none, or
// another one has it now. People write addresses down.
func (g *Registrar) formerAddress(name string) (addr netip.Addr, free bool) {
	var last uint64
	for _, v := range g.set.Outs() {
		if c := g.set.exiled(v.Target); c != nil && c.Name == name && v.Sequence > last {
			addr, last = c.IPv4, v.Sequence
		}
	}
	_, taken := g.set.ByIPv4(addr)
	return addr, last != 0 && !taken
}

// refuses says why a newcomer gets no certificate; nil if it gets one.
func (g *Registrar) refuses(now time.Time, i *Invitation, a Applicant) error {
	id := a.node()
	holder, taken := g.set.ByName(a.Name)
	owner, keyTaken := g.set.ByKey(a.WireGuard)
	switch {
	case i.Cancelled:
		return ErrTokenCancelled
	case !g.set.Time(now).Before(i.Expiry):
		return ErrTokenExpired
	case g.set.out(id):
		return ErrComeAnew
	case g.set.Used(i.ID) >= i.Uses:
		return ErrTokenUsed
	case ValidName(a.Name) != nil:
		return ErrName
	case i.Name != "" && i.Name != a.Name:
		return OtherNameError{i.Name}
	case taken && holder != id:
		return ErrNameTaken
	case keyTaken && owner != id:
		return ErrKeyTaken
	case g.set.certificate(id) == nil && g.set.Len() >= MaxMembers:
		return ErrNoRoom
	case !g.May(now), g.root == nil && g.set.IsAdmin(id):
		return ErrInviter
	}
	return nil
}

// freeAddress is an IPv4 address for a newcomer. Every admin begins in a block of its own, so that two of them on two
// sides of a partition hand out different ones; who holds the root key begins with the first. Those given are handed out
// already, and not in the set yet.
func (g *Registrar) freeAddress(given map[netip.Addr]bool) (netip.Addr, error) {
	prefix := g.set.network.Prefix
	taken := func(a netip.Addr) bool { _, taken := g.set.ByIPv4(a); return taken || given[a] }
	if g.root == nil {
		if start, ok := blockOf(prefix, g.set.self); ok {
			for a := start; usable(prefix, a); a = a.Next() {
				if !taken(a) {
					return a, nil
				}
			}
		}
	}
	return lowestFree(prefix, taken)
}

// blockOf is the first address of a node's block; false if the prefix is too small for blocks. The first block is left
// to the root.
func blockOf(prefix netip.Prefix, id wire.NodeID) (netip.Addr, bool) {
	const blockBits = 8
	bits := 32 - prefix.Bits() - blockBits
	if bits < 1 {
		return netip.Addr{}, false
	}
	blocks := uint32(1) << bits
	sum := hash("overlayd block v1", id[:])
	block := 1 + (uint32(sum[0])<<16|uint32(sum[1])<<8|uint32(sum[2]))%(blocks-1)
	a := prefix.Addr().As4()
	binary.BigEndian.PutUint32(a[:], binary.BigEndian.Uint32(a[:])|block<<blockBits)
	return netip.AddrFrom4(a).Next(), true
}
