package node

import (
	"crypto/ed25519"
	"net/netip"
	"slices"
	"time"

	"overlayd/internal/join"
	"overlayd/internal/member"
	"overlayd/internal/wire"
)

// What a person asks of the membership. Whatever is signed comes out as SaveMembers first: the caller carries out what
// Drain gives before it answers.

// Invite makes a token. It names the endpoint given, or without one those that this node publishes, and of members that it
// reaches: newcomers may ask any of them.
func (c *Core) Invite(now time.Time, o member.Offer, endpoint string) (string, error) {
	var own []string
	if endpoint != "" {
		own = append(own, endpoint)
	} else {
		for _, e := range c.endpoints[:min(len(c.endpoints), join.MaxEndpoints/2)] {
			own = append(own, e.String())
		}
	}
	var reached []wire.NodeID
	for _, n := range c.reached(now) {
		reached = append(reached, n.id)
	}
	endpoints := join.Endpoints(c.members, own, reached)
	token, signed, err := join.Invite(now, c.registrar, c.cfg.Secret, o, endpoints)
	c.signed(now, signed, err)
	return token, err
}

// Cancel voids the invitation whose identifier begins so.
func (c *Core) Cancel(now time.Time, id string) (*member.Invitation, error) {
	token, signed, err := c.registrar.Cancel(now, id)
	if err != nil {
		return nil, err
	}
	i := c.members.Invitation(token)
	c.signed(now, signed, nil)
	return i, nil
}

// Revoke puts a node out.
func (c *Core) Revoke(now time.Time, id wire.NodeID, annul bool) error {
	signed, err := c.registrar.Revoke(now, id, annul)
	c.signed(now, signed, err)
	return err
}

// Reinstate takes a node back.
func (c *Core) Reinstate(now time.Time, id wire.NodeID) error {
	signed, err := c.registrar.Reinstate(now, id)
	c.signed(now, signed, err)
	return err
}

// SetAdmin makes a node an admin, or an ordinary member.
func (c *Core) SetAdmin(now time.Time, id wire.NodeID, grant bool) error {
	act := c.registrar.Withdraw
	if grant {
		act = c.registrar.Grant
	}
	signed, err := act(now, id)
	c.signed(now, signed, err)
	return err
}

// SetSubnet allows a node to advertise a network, or forbids it.
func (c *Core) SetSubnet(now time.Time, id wire.NodeID, subnet netip.Prefix, grant bool) error {
	signed, err := c.registrar.SetSubnet(now, id, subnet, grant)
	c.signed(now, signed, err)
	return err
}

// Leave tells the others that this node is out.
func (c *Core) Leave(now time.Time) error {
	signed, err := c.registrar.Leave(now)
	c.signed(now, signed, err)
	return err
}

// SetRoot gives this node the root key, or takes it away. With the key it makes itself an admin, so that others know.
func (c *Core) SetRoot(now time.Time, root ed25519.PrivateKey) error {
	c.registrar.SetRoot(root)
	if root == nil || c.members.IsAdmin(c.self) {
		return nil
	}
	signed, err := c.registrar.Grant(now, c.self)
	c.signed(now, signed, err)
	return err
}

func (c *Core) signed(now time.Time, items []member.Item, err error) {
	if err == nil {
		c.learn(now, items)
		c.settle(now)
	}
}

// onlyAdmin reports whether no other member is an admin.
func (c *Core) onlyAdmin() bool {
	return c.members.IsAdmin(c.self) && !slices.ContainsFunc(c.members.IDs(), func(id wire.NodeID) bool {
		return id != c.self && c.members.IsAdmin(id)
	})
}
