package node

import "overlayd/internal/wire"

// Message is a control message before it is sealed.
type Message struct {
	Kind wire.Kind
	Body []byte
}

// Speech is what a hostile member of a simulation says to a peer in place of a message: the same, another one, several or
// none. It is all that a member can say which keeps no rule, since its keys are its own.
type Speech func(to wire.NodeID, m Message) []Message

// utter seals a message for the peer and sends it on a path.
func (c *Core) utter(p *peer, on *path, m Message) {
	raw, err := c.box.Seal(nil, p.id, m.Kind, m.Body)
	if err != nil {
		c.refused.count(err)
		return
	}
	c.emit(Send{Hop: on.fwd.Hop, Frame: raw, Kind: m.Kind})
}
