package node

import (
	"context"
	"time"

	"overlayd/internal/wire"
)

// Message is a control message before it is sealed.
type Message struct {
	Kind wire.Kind
	Body []byte
}

// Speech is what a hostile member in the lab says to a peer in place of a message: the same, another one, several or
// none. It is all that a member can say which keeps no rule, since its keys are its own.
type Speech func(to wire.NodeID, m Message) []Message

// Option changes what a Node makes its Core from, beyond its configuration: the lab makes hostile members so.
type Option func(*CoreConfig)

// Do lets f use the Core between two inputs, and carries out what that wants then. It ends with ctx, or with the node.
func (n *Node) Do(ctx context.Context, f func(c *Core, now time.Time)) error {
	return n.do(ctx, func(now time.Time) { f(n.core, now) })
}

// utter seals a message for the peer and sends it on a path.
func (c *Core) utter(p *peer, on *path, m Message) {
	raw, err := c.box.Seal(nil, p.id, m.Kind, m.Body)
	if err != nil {
		c.refused.count(err)
		return
	}
	c.emit(Send{Hop: on.fwd.Hop, Frame: raw, Kind: m.Kind})
}
