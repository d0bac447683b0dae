package member

import (
	"cmp"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"overlayd/internal/wire"
)

// Why a Registrar refuses.
var (
	ErrNotAdmin   = errors.New("this node is no admin: ask on one that is (overlayctl members)")
	ErrNotRoot    = errors.New("this needs the root key: ask on the node that holds it, or restore it (overlayctl root restore)")
	ErrManyTokens = errors.New("too many tokens are outstanding: wait until some expire")
	ErrTTL        = errors.New("a token can be used for between one minute and 30 days")
	ErrUses       = errors.New("a token can be used by between 1 and 1000 nodes")
	ErrNoToken    = errors.New("there is no such invitation: overlayctl invite list shows them")
	ErrOneToken   = errors.New("more than one invitation begins like this: give more of its identifier")
	ErrNotOut     = errors.New("this node is not revoked")
	ErrIsOut      = errors.New("this node is revoked already")
	ErrSelf       = errors.New("a node does not revoke itself: use overlayctl leave")
)

// Registrar signs what makes others members, or no members any more. It reads the Set, and returns what it has signed,
// for the Set to Learn; that must be stored before anybody is told. It belongs to one goroutine.
type Registrar struct {
	id   Identity
	root ed25519.PrivateKey // nil on most nodes
	set  *Set
}

// NewRegistrar is the registrar of the node with the given identity, whose set it reads. Root may be nil.
func NewRegistrar(set *Set, id Identity, root ed25519.PrivateKey) *Registrar {
	return &Registrar{id: id, root: root, set: set}
}

// Network is the one that it signs for.
func (g *Registrar) Network() *Network { return g.set.network }

// SetRoot gives the node the root key, or takes it away.
func (g *Registrar) SetRoot(root ed25519.PrivateKey) { g.root = root }

// Root is the root key, or nil. It must not be logged.
func (g *Registrar) Root() ed25519.PrivateKey { return g.root }

// May reports whether this node can sign others in and out.
func (g *Registrar) May(now time.Time) bool {
	return g.root != nil || (g.set.admin(g.set.cert) && !g.set.past(now).After(g.set.cert.NotAfter))
}

// signer is the key that statements are signed with, and its certificate; nil for the root's.
func (g *Registrar) signer() (ed25519.PrivateKey, *Certificate) {
	if g.root != nil {
		return g.root, nil
	}
	return g.id.signing, g.set.cert
}

func (g *Registrar) authority() Authority {
	return Authority{Network: g.set.network, Root: g.root, Admin: g.id, Own: g.set.cert}
}

// Offer is what an invitation is to be.
type Offer struct {
	Name    string // that the newcomer must have; empty: any
	TTL     time.Duration
	Uses    int // zero: one
	Subnets []netip.Prefix
}

// Invite signs the invitation for a token, of which it need not know more than the lock.
func (g *Registrar) Invite(now time.Time, lock Lock, o Offer) ([]Item, error) {
	uses := max(o.Uses, 1)
	switch {
	case !g.May(now):
		return nil, ErrNotAdmin
	case o.TTL < time.Minute || o.TTL > MaxInvitationTTL:
		return nil, ErrTTL
	case o.Uses < 0 || uses > MaxUses:
		return nil, ErrUses
	case o.Name != "" && uses > 1:
		return nil, fmt.Errorf("a token for %d nodes cannot be bound to one name: leave out --name", uses)
	}
	if o.Name != "" {
		if err := ValidName(o.Name); err != nil {
			return nil, err
		}
		if _, taken := g.set.ByName(o.Name); taken {
			return nil, fmt.Errorf("the name %q is refused: %w", o.Name, ErrNameTaken)
		}
	}
	if err := g.validSubnets(o.Subnets); err != nil {
		return nil, err
	}
	key, cert := g.signer()
	by, _ := nodeOf(cert)
	if g.set.crowded(by) && !slices.ContainsFunc(g.set.Invitations(), func(i *Invitation) bool { return i.gone(g.set.Time(now)) }) {
		return nil, ErrManyTokens
	}
	return []Item{signInvitation(g.set.network, key, cert, Invitation{
		Lock: lock, Name: o.Name, Uses: uses, Expiry: g.set.Time(now).Add(o.TTL), Subnets: o.Subnets, Sequence: micros(g.set.Time(now)),
	})}, nil
}

func (g *Registrar) validSubnets(list []netip.Prefix) error {
	if len(list) > MaxSubnets {
		return fmt.Errorf("a node can have at most %d networks behind it, not %d", MaxSubnets, len(list))
	}
	for _, p := range list {
		if err := g.set.network.CheckSubnet(p); err != nil {
			return err
		}
	}
	return nil
}

// Cancel voids the invitation whose identifier begins with the given digits.
func (g *Registrar) Cancel(now time.Time, prefix string) (TokenID, []Item, error) {
	if !g.May(now) {
		return TokenID{}, nil, ErrNotAdmin
	}
	var found *Invitation
	for _, i := range g.set.Invitations() {
		if !strings.HasPrefix(i.ID.String(), strings.ToLower(prefix)) || prefix == "" {
			continue
		}
		if found != nil {
			return TokenID{}, nil, ErrOneToken
		}
		found = i
	}
	if found == nil {
		return TokenID{}, nil, ErrNoToken
	}
	void := *found
	void.Cancelled, void.Sequence = true, max(micros(g.set.Time(now)), found.Sequence+1)
	key, cert := g.signer()
	return found.ID, []Item{signInvitation(g.set.network, key, cert, void)}, nil
}

// Revoke puts a node out. With annul, which needs the root key, nothing that an admin has signed against others is
// adopted: otherwise, where the root puts an admin out, whom that admin had put out stays out.
func (g *Registrar) Revoke(now time.Time, target wire.NodeID, annul bool) ([]Item, error) {
	switch {
	case !g.May(now):
		return nil, ErrNotAdmin
	case annul && g.root == nil:
		return nil, ErrNotRoot
	case target == g.set.self:
		return nil, ErrSelf
	case g.set.out(target) && (g.root == nil || (!annul && g.set.struck(target))):
		return nil, ErrIsOut // whom an admin has put out, the root can still strike
	}
	return g.demote(now, target, Out, annul)
}

// Withdraw makes an admin an ordinary member.
func (g *Registrar) Withdraw(now time.Time, target wire.NodeID) ([]Item, error) {
	switch {
	case g.root == nil:
		return nil, ErrNotRoot
	case !g.set.IsAdmin(target):
		return nil, fmt.Errorf("this node is no admin")
	}
	items, err := g.demote(now, target, Ordinary, false)
	if err != nil {
		return nil, err
	}
	ordinary := *g.set.certificate(target)
	ordinary.Capabilities &^= Admin
	more, err := g.reissue(now, ordinary)
	return append(items, more...), err
}

// demote passes a verdict that takes rights away.
func (g *Registrar) demote(now time.Time, target wire.NodeID, rank Rank, annul bool) ([]Item, error) {
	items, err := g.rule(now, target, rank, g.broughtBy(target))
	if err != nil || g.root == nil || annul {
		return items, err
	}
	for _, v := range g.set.Outs() { // that count until now, and would be void with the rights of their signer
		if v.Signer == target && v.Target != target {
			more, err := g.rule(now, v.Target, Out, g.broughtBy(v.Target))
			if err != nil {
				return nil, err
			}
			items = append(items, more...)
		}
	}
	return items, nil
}

// broughtBy are the nodes whose certificate an admin has signed.
func (g *Registrar) broughtBy(admin wire.NodeID) (list []wire.NodeID) {
	for _, id := range g.set.holders() {
		if c := g.set.certificate(id); c != nil && c.Issuer == admin {
			list = append(list, id)
		}
	}
	return list
}

// rule signs a verdict that is newer than all others on the node.
func (g *Registrar) rule(now time.Time, target wire.NodeID, rank Rank, stay []wire.NodeID) ([]Item, error) {
	key, cert := g.signer()
	var token TokenID
	if c := cmp.Or(g.set.certificate(target), g.set.exiled(target)); c != nil {
		token = c.Token
	}
	return signVerdictOf(g.set.network, key, cert, target, token, rank, g.after(now, target), stay)
}

// after is a sequence that is later than those of all verdicts on the node.
func (g *Registrar) after(now time.Time, target wire.NodeID) uint64 {
	sequence := micros(g.set.Time(now))
	for _, v := range g.set.on(target) {
		sequence = max(sequence, v.Sequence+1)
	}
	return sequence
}

// Reinstate takes a node back that is out. It needs the root key.
func (g *Registrar) Reinstate(now time.Time, target wire.NodeID) ([]Item, error) {
	switch {
	case g.root == nil:
		return nil, ErrNotRoot
	case !g.set.out(target):
		return nil, ErrNotOut
	}
	rank, stay := Ordinary, g.broughtBy(target)
	if c := g.set.exiled(target); c != nil && c.rootMadeAdmin() {
		rank, stay = AsAdmin, nil
	}
	return g.rule(now, target, rank, stay)
}

// Grant makes a member an admin. It needs the root key.
func (g *Registrar) Grant(now time.Time, target wire.NodeID) ([]Item, error) {
	c := g.set.certificate(target)
	switch {
	case g.root == nil:
		return nil, ErrNotRoot
	case c == nil || g.set.out(target):
		return nil, ErrStranger
	case g.set.IsAdmin(target):
		return nil, fmt.Errorf("this node is an admin already")
	}
	items, err := g.rule(now, target, AsAdmin, nil)
	if err != nil {
		return nil, err
	}
	admin := *c
	admin.Capabilities |= Admin
	more, err := g.reissue(now, admin)
	return append(items, more...), err
}

// SetSubnet allows a node to advertise a network, or forbids it.
func (g *Registrar) SetSubnet(now time.Time, target wire.NodeID, subnet netip.Prefix, allow bool) ([]Item, error) {
	c := g.set.certificate(target)
	switch {
	case !g.May(now):
		return nil, ErrNotAdmin
	case c == nil || g.set.out(target):
		return nil, ErrStranger
	case g.root == nil && c.Capabilities.Has(Admin):
		return nil, fmt.Errorf("the certificate of an admin must be signed by the root: %w", ErrNotRoot)
	case allow && slices.Contains(c.Subnets, subnet):
		return nil, fmt.Errorf("this node may advertise %s already", subnet)
	case !allow && !slices.Contains(c.Subnets, subnet):
		return nil, fmt.Errorf("this node may not advertise %s anyway", subnet)
	}
	changed := *c
	changed.Subnets = slices.DeleteFunc(slices.Clone(c.Subnets), func(p netip.Prefix) bool { return p == subnet })
	if allow {
		changed.Subnets = append(changed.Subnets, subnet)
	}
	if err := g.validSubnets(changed.Subnets); allow && err != nil {
		return nil, err
	}
	return g.reissue(now, changed)
}

// Rename gives the network another name. It needs the root key.
func (g *Registrar) Rename(now time.Time, name string) ([]Item, error) {
	if g.root == nil {
		return nil, ErrNotRoot
	}
	n, err := g.set.network.Renamed(g.root, name, g.set.Time(now))
	if err != nil {
		return nil, err
	}
	return []Item{{Kind: KindSettings, Raw: n.raw}}, nil
}

// Leave is this node's own verdict that it is out.
func (g *Registrar) Leave(now time.Time) ([]Item, error) {
	self := g.set.self
	var stay []wire.NodeID
	if g.set.cert.rootMadeAdmin() {
		stay = g.broughtBy(self)
	}
	return signVerdict(g.set.network, g.id.signing, g.set.cert, self, Out, g.after(now, self), stay)
}

// reissue signs a node's present certificate anew, as it was changed.
func (g *Registrar) reissue(now time.Time, c Certificate) ([]Item, error) {
	date := g.set.Time(now)
	c.Serial, c.NotAfter = max(micros(date), c.Serial+1), date.Add(validityOf(&c))
	issued, err := g.authority().Issue(c, date)
	if err != nil {
		return nil, err
	}
	return []Item{{Kind: KindCertificate, Raw: issued.raw}}, nil
}

// validityOf is how long a certificate like c is issued for.
func validityOf(c *Certificate) time.Duration {
	if c.Capabilities.Has(Admin) {
		return AdminValidity
	}
	return Validity
}
