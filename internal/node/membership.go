package node

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"overlayd/internal/control"
	"overlayd/internal/member"
	"overlayd/internal/policy"
	"overlayd/internal/state"
	"overlayd/internal/wire"
)

// leaveFor is how long a node that leaves stays to tell the others: the news goes out at once, and once more to those
// that it did not reach.
const leaveFor = time.Second

// manage runs f in the loop and carries out what comes of it; what cannot be stored fails.
func (n *Node) manage(ctx context.Context, f func(now time.Time) error) error {
	var failed error
	err := n.do(ctx, func(now time.Time) {
		if failed = f(now); failed == nil {
			failed = unstored(n.act())
		}
	})
	return errors.Join(err, explain(failed))
}

// unstored says what it means that something was done and cannot be stored; nil if err is.
func unstored(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: this was done, but this node forgets it when the daemon ends: %w; make room on the disk, or mount "+
		"the state directory writable, and repeat it", control.ErrNotStored, err)
}

// explain wraps an error of the cores by the sentinel of the API that fits.
func explain(err error) error {
	for _, row := range []struct{ of, as error }{
		{member.ErrNotAdmin, control.ErrNotAdmin},
		{member.ErrNotRoot, control.ErrNotRoot},
		{member.ErrNoToken, control.ErrUnknownInvite},
		{member.ErrOneToken, control.ErrConflict},
		{member.ErrIsOut, control.ErrRevoked},
		{member.ErrNotOut, control.ErrConflict},
		{member.ErrSelf, control.ErrConflict},
		{member.ErrStranger, control.ErrRevoked},
		{policy.ErrRule, control.ErrBadRequest},
		{policy.ErrClash, control.ErrConflict},
		{policy.ErrFull, control.ErrConflict},
		{policy.ErrNone, control.ErrUnknownRoute},
	} {
		if errors.Is(err, row.of) {
			return explained{err, row.as}
		}
	}
	for _, sentinel := range []error{control.ErrUnknownPeer, control.ErrConflict, control.ErrNotRoot, control.ErrBadRequest, control.ErrNotStored} {
		if errors.Is(err, sentinel) {
			return err
		}
	}
	if err != nil {
		return fmt.Errorf("%w: %w", control.ErrBadRequest, err)
	}
	return nil
}

// explained is an error of the cores, in their words, which also is one of the API.
type explained struct {
	error
	as error
}

func (e explained) Unwrap() []error { return []error{e.error, e.as} }

// outside says why no node of this network may advertise one of the subnets; nil if one may.
func (n *Node) outside(subnets ...netip.Prefix) error {
	for _, p := range subnets {
		if err := n.core.members.Network().CheckSubnet(p); err != nil {
			return fmt.Errorf("%w: %w", control.ErrBadRequest, err)
		}
	}
	return nil
}

// Members implements control.Backend.
func (n *Node) Members(ctx context.Context) (list []control.Member, err error) {
	err = n.do(ctx, func(now time.Time) { list = n.core.viewMembers(now) })
	return list, err
}

// Invite implements control.Backend.
func (n *Node) Invite(ctx context.Context, r control.InviteRequest) (token string, err error) {
	err = n.manage(ctx, func(now time.Time) (err error) {
		if err := n.outside(r.Subnets...); err != nil {
			return err
		}
		o := member.Offer{Name: r.Name, TTL: time.Duration(r.TTL), Uses: r.Uses, Subnets: r.Subnets}
		token, err = n.core.Invite(now, o, r.Endpoint)
		return err
	})
	return token, err
}

// Invites implements control.Backend.
func (n *Node) Invites(ctx context.Context) (list []control.Invite, err error) {
	err = n.do(ctx, func(now time.Time) {
		for _, i := range n.core.members.Invitations() {
			if v := n.core.viewInvite(i); !i.Cancelled && n.core.members.Time(now).Before(i.Expiry) {
				list = append(list, v)
			}
		}
	})
	slices.SortStableFunc(list, func(a, b control.Invite) int { return a.Expires.Compare(b.Expires) })
	return list, err
}

// CancelInvite implements control.Backend.
func (n *Node) CancelInvite(ctx context.Context, id string) (v control.Invite, err error) {
	err = n.manage(ctx, func(now time.Time) error {
		i, err := n.core.Cancel(now, id)
		if err == nil {
			v = n.core.viewInvite(i)
		}
		return err
	})
	return v, err
}

func (c *Core) viewInvite(i *member.Invitation) control.Invite {
	return control.Invite{
		ID: i.ID.String(), Name: i.Name, Uses: i.Uses, Used: c.members.Used(i.ID), Expires: i.Expiry.UTC(),
		By: c.nameOfSigner(i.By), Subnets: i.Subnets,
	}
}

// Revoke implements control.Backend.
func (n *Node) Revoke(ctx context.Context, r control.RevokeRequest) (v control.RevokeResult, err error) {
	err = n.manage(ctx, func(now time.Time) error {
		id, err := n.core.findMember(r.Node)
		if err != nil {
			return err
		}
		v = control.RevokeResult{Node: n.core.name(id), ID: id.String(), By: n.core.signerName()}
		return n.core.Revoke(now, id, r.Annul)
	})
	return v, err
}

// Reinstate implements control.Backend.
func (n *Node) Reinstate(ctx context.Context, node string) (v control.RevokeResult, err error) {
	err = n.manage(ctx, func(now time.Time) error {
		id, err := n.core.findOut(node)
		if err != nil {
			return err
		}
		v = control.RevokeResult{Node: n.core.name(id), ID: id.String(), By: n.core.signerName()}
		return n.core.Reinstate(now, id)
	})
	return v, err
}

// Revoked implements control.Backend.
func (n *Node) Revoked(ctx context.Context) (list []control.Revoked, err error) {
	err = n.do(ctx, func(time.Time) {
		for _, v := range n.core.members.Outs() {
			list = append(list, control.Revoked{
				ID: v.Target.String(), Name: n.core.members.NameOnce(v.Target), By: n.core.nameOfSigner(v.Signer),
				Since: v.Time().UTC(), Left: v.Left(),
			})
		}
	})
	slices.SortStableFunc(list, func(a, b control.Revoked) int {
		return cmp.Or(b.Since.Compare(a.Since), cmp.Compare(a.ID, b.ID))
	})
	return list, err
}

// SetAdmin implements control.Backend.
func (n *Node) SetAdmin(ctx context.Context, r control.AdminRequest) error {
	return n.manage(ctx, func(now time.Time) error {
		id, err := n.core.findMember(r.Node)
		if err != nil {
			return err
		}
		return n.core.SetAdmin(now, id, r.Grant)
	})
}

// SetSubnet implements control.Backend.
func (n *Node) SetSubnet(ctx context.Context, r control.SubnetRequest) error {
	return n.manage(ctx, func(now time.Time) error {
		id, err := n.core.findMember(r.Node)
		if err == nil && r.Grant {
			err = n.outside(r.Subnet)
		}
		if err != nil {
			return err
		}
		return n.core.SetSubnet(now, id, r.Subnet, r.Grant)
	})
}

// Leave implements control.Backend.
func (n *Node) Leave(ctx context.Context, force bool) error {
	return n.manage(ctx, func(now time.Time) error {
		switch {
		case force:
		case n.core.registrar.Root() != nil:
			return fmt.Errorf("%w: this node holds the root key: export it first (overlayctl root export FILE), and then "+
				"leave with --force", control.ErrConflict)
		case n.core.onlyAdmin():
			return fmt.Errorf("%w: this node is the only admin: make another one first (overlayctl admin grant NODE), or "+
				"leave with --force", control.ErrConflict)
		}
		if err := n.core.Leave(now); err != nil {
			return err
		}
		n.leaving = true // before anything of it is stored
		time.AfterFunc(leaveFor, func() { n.stop(errLeft) })
		if err := n.dir.Forget(); err != nil {
			return fmt.Errorf("%w: this node has left and the daemon ends, but its state is still there: %w; make %s writable and run "+
				"overlayd reset", control.ErrNotStored, err, n.dir.Path())
		}
		return nil
	})
}

// ExportRoot implements control.Backend.
func (n *Node) ExportRoot(ctx context.Context) (seed control.Seed, err error) {
	err = n.do(ctx, func(time.Time) {
		if root := n.core.registrar.Root(); root != nil {
			seed = slices.Clone(control.Seed(root.Seed()))
			n.exported = true
		}
	})
	if err == nil && seed == nil {
		err = explain(member.ErrNotRoot)
	}
	return seed, err
}

// RestoreRoot implements control.Backend.
func (n *Node) RestoreRoot(ctx context.Context, seed control.Seed) error {
	root := ed25519.NewKeyFromSeed(seed)
	return n.manage(ctx, func(now time.Time) error {
		if member.NetworkID(root.Public().(ed25519.PublicKey)) != n.core.cfg.Network.ID {
			return fmt.Errorf("%w: this is the root key of another network", control.ErrConflict)
		}
		if err := n.dir.CreateRootKey(root); err != nil && !errors.Is(err, state.ErrExists) {
			return err
		}
		return n.core.SetRoot(now, root)
	})
}

// ForgetRoot implements control.Backend.
func (n *Node) ForgetRoot(ctx context.Context, force bool) error {
	return n.manage(ctx, func(now time.Time) error {
		switch {
		case n.core.registrar.Root() == nil:
			return member.ErrNotRoot
		case !n.exported && !force:
			return fmt.Errorf("%w: the root key was not exported since overlayd started here: export it first "+
				"(overlayctl root export FILE), or use --force if there is a copy", control.ErrConflict)
		}
		if err := n.dir.RemoveRootKey(); err != nil {
			return err
		}
		return n.core.SetRoot(now, nil)
	})
}

// signerName is what people call who signs what this node signs.
func (c *Core) signerName() string {
	if c.registrar.Root() != nil {
		return control.ByRoot
	}
	return c.name(c.self)
}

// findMember is the node of a name, an identifier or an overlay address, this one too, whether it has come or not.
func (c *Core) findMember(what string) (wire.NodeID, error) {
	if id, ok := c.members.ByName(what); ok {
		return id, nil
	}
	if id, ok := c.lookup(what); ok {
		return id, nil
	}
	if _, err := c.findOut(what); err == nil {
		return wire.NodeID{}, member.ErrIsOut
	}
	return wire.NodeID{}, fmt.Errorf("%w: %q is not the name, the identifier or an address of a member; overlayctl members "+
		"lists them", control.ErrUnknownPeer, what)
}

// findOut is the node of a name or an identifier that is out.
func (c *Core) findOut(what string) (wire.NodeID, error) {
	for _, v := range c.members.Outs() {
		if v.Target.String() == what || c.members.NameOnce(v.Target) == what {
			return v.Target, nil
		}
	}
	if id, ok := c.members.ByName(what); ok {
		return id, nil // it says itself that it is not out
	}
	return wire.NodeID{}, fmt.Errorf("%w: no revoked node is called %q; overlayctl revoked lists them",
		control.ErrUnknownPeer, what)
}
