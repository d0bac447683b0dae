package circuit

import (
	"cmp"
	"container/heap"
	"time"

	"overlayd/internal/wire"
)

// counts is what is held against the bounds.
type counts struct {
	own      int
	others   int
	relayed  int                    // installed switches
	neighbor map[wire.NodeID]int    // circuits of others by the neighbour that they came through
	opener   map[[2]wire.NodeID]int // by that neighbour and the opener
}

// add makes a circuit known.
func (m *Machine) add(c *circuit) {
	m.circuits[c.id] = c
	for _, s := range c.sides() {
		m.received[s.in] = s
	}
	if c.back.out != 0 {
		m.sent[hop{c.back.node, c.back.out}] = c
	}
	m.count(c, +1)
	c.deadline = c.due(&m.cfg)
	heap.Push(&m.agenda, c)
}

func (m *Machine) count(c *circuit, n int) {
	if c.openedHere() {
		m.counts.own += n
		return
	}
	m.counts.others += n
	neighbor, opener := c.back.node, [2]wire.NodeID{c.back.node, c.opener}
	m.counts.neighbor[neighbor] += n
	m.counts.opener[opener] += n
	if m.counts.neighbor[neighbor] == 0 {
		delete(m.counts.neighbor, neighbor)
	}
	if m.counts.opener[opener] == 0 {
		delete(m.counts.opener, opener)
	}
}

func (m *Machine) setForthLabel(c *circuit, label wire.Label) {
	c.forth.out = label
	m.sent[hop{c.forth.node, label}] = c
}

// remove forgets a circuit; its labels and identifier rest for a while. The grave says how it ended.
func (m *Machine) remove(now time.Time, c *circuit, g grave) {
	delete(m.circuits, c.id)
	heap.Remove(&m.agenda, c.index)
	m.count(c, -1)
	g.id, g.back, g.until = c.id, c.back.node, now.Add(graveFor)
	for i, s := range c.sides() {
		m.received[s.in] = nil
		g.labels[i] = s.in
		if key := (hop{s.node, s.out}); m.sent[key] == c { // a neighbour may have given us one label twice
			delete(m.sent, key)
		}
	}
	if c.relayed() && c.up {
		m.counts.relayed--
		m.emit(Uninstall{ID: c.id})
	}
	m.graveyard.bury(g)
	m.graveyard.expire(now, func(l wire.Label) { delete(m.received, l) })
}

// failure says how a circuit came to its end.
type failure struct {
	from   wire.NodeID // the neighbour that told us, and needs not be told; zero: we found out ourselves
	by     wire.NodeID // who found out
	reason wire.Reason
	text   string // in place of the reason, for this node
}

// fail ends a circuit that is broken: the neighbours on it are told, and, at an end, so is the caller.
func (m *Machine) fail(now time.Time, c *circuit, f failure) {
	for _, s := range c.sides() {
		if s.node != f.from {
			m.sendError(s.node, wire.CircuitError{ID: c.id, Reason: f.reason, By: f.by})
		}
	}
	m.remove(now, c, grave{reason: f.reason, by: f.by})
	if !c.relayed() {
		m.emit(Failed{ID: c.id, Peer: c.peer(), Via: c.via(), By: f.by, Reason: cmp.Or(f.text, f.reason.String())})
	}
}

// close ends a circuit in good order: the neighbours on it are told, but for the one that told us.
func (m *Machine) close(now time.Time, c *circuit, from wire.NodeID, why string) {
	for _, s := range c.sides() {
		if s.node != from {
			m.sendClose(s.node, c.id)
		}
	}
	m.remove(now, c, grave{})
	switch {
	case c.relayed():
	case c.up:
		m.emit(Closed{ID: c.id, Peer: c.peer(), Why: why})
	default:
		m.emit(Failed{ID: c.id, Peer: c.peer(), Via: c.via(), By: from, Reason: why})
	}
}

// drawLabel draws a label that is neither in use nor was so a short while ago.
func (m *Machine) drawLabel() wire.Label {
	for {
		l := wire.Label(m.rng.Uint64()) & wire.MaxLabel
		if _, taken := m.received[l]; l != 0 && !taken {
			m.received[l] = nil // nobody else draws it; add says whose it is
			return l
		}
	}
}

// drawID draws an identifier that no circuit known here has.
func (m *Machine) drawID() wire.CircuitID {
	for {
		id := wire.CircuitID(m.rng.Uint64())
		_, ended := m.graveyard.byID[id]
		if id != 0 && m.circuits[id] == nil && !ended {
			return id
		}
	}
}
