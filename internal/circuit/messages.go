package circuit

import (
	"fmt"
	"slices"
	"time"

	"overlayd/internal/wire"
)

// open begins a circuit of our own.
func (m *Machine) open(now time.Time, route []wire.NodeID) error {
	if err := m.checkRoute(m.self, route); err != nil {
		return err
	}
	c := &circuit{opener: m.self, route: slices.Clone(route), began: now, used: now}
	switch {
	case m.routeInUse(route):
		m.refuseOwn(c, "already open")
	case m.counts.own >= m.cfg.Own:
		m.refuseOwn(c, wire.ReasonFull.String())
	case !m.reachable[route[0]]:
		m.refuseOwn(c, wire.ReasonUnreachable.String())
	default:
		c.id = m.drawID()
		c.forth = side{node: route[0], in: m.drawLabel()}
		if c.resends = m.cfg.Retries; c.resends > 0 {
			c.resend = now.Add(m.cfg.Retry)
		}
		m.add(c)
		m.sendOpen(c, 0)
	}
	return nil
}

func (m *Machine) refuseOwn(c *circuit, reason string) {
	m.emit(Failed{Peer: c.peer(), Via: c.via(), By: m.self, Reason: reason})
}

func (m *Machine) routeInUse(route []wire.NodeID) bool {
	for _, c := range m.circuits {
		if c.openedHere() && slices.Equal(c.route, route) {
			return true
		}
	}
	return false
}

// checkRoute holds the rules: one to three relays and a far end, all different, none of them the opener.
func (m *Machine) checkRoute(opener wire.NodeID, route []wire.NodeID) error {
	if len(route) < 2 || len(route) > wire.MaxRelays+1 {
		return fmt.Errorf("%w: %d relays", ErrRoute, len(route)-1)
	}
	for i, id := range route {
		if id.IsZero() || id == opener || slices.Contains(route[:i], id) {
			return fmt.Errorf("%w: %s stands in it twice", ErrRoute, id.Short())
		}
	}
	return nil
}

// receiveOpen accepts a circuit that ends here, passes one on, or answers a repeated request.
func (m *Machine) receiveOpen(now time.Time, from wire.NodeID, o wire.CircuitOpen) error {
	if err := m.checkOpen(from, o); err != nil {
		return err
	}
	if c := m.circuits[o.ID]; c != nil {
		return m.receiveRepeated(now, c, from, o)
	}
	if g, ended := m.graveyard.byID[o.ID]; ended {
		if g.back == from && g.reason != 0 { // our Error was lost, or is still under way
			m.sendError(from, wire.CircuitError{ID: o.ID, Reason: g.reason, By: g.by})
		}
		return nil
	}
	if reason := m.refuse(from, o); reason != 0 {
		m.sendError(from, wire.CircuitError{ID: o.ID, Reason: reason, By: m.self})
		return nil
	}
	c := &circuit{
		id: o.ID, opener: o.Opener, route: slices.Clone(o.Route), began: now, used: now,
		back: side{node: from, in: m.drawLabel(), out: o.Label},
	}
	if int(o.Hop) < len(o.Route)-1 {
		c.forth = side{node: o.Route[o.Hop+1], in: m.drawLabel()}
		m.add(c)
		m.sendOpen(c, o.Hop+1)
		return nil
	}
	c.up = true
	m.add(c)
	m.sendOpened(c)
	m.emitOpened(c)
	return nil
}

// checkOpen refuses what an honest neighbour never sends, and what comes from one that we do not reach directly: its
// open is repeated, so nothing is lost if its path is only just being validated.
func (m *Machine) checkOpen(from wire.NodeID, o wire.CircuitOpen) error {
	if err := m.checkRoute(o.Opener, o.Route); err != nil {
		return err
	}
	previous := o.Opener
	if o.Hop > 0 && int(o.Hop) < len(o.Route) {
		previous = o.Route[o.Hop-1]
	}
	if o.ID == 0 || o.Label == 0 || o.Label > wire.MaxLabel || int(o.Hop) >= len(o.Route) || o.Route[o.Hop] != m.self {
		return fmt.Errorf("%w: it is not for us", ErrRoute)
	}
	if from != previous || !m.reachable[from] {
		return ErrStranger
	}
	return nil
}

// refuse says why a new circuit is not taken; zero if it is.
func (m *Machine) refuse(from wire.NodeID, o wire.CircuitOpen) wire.Reason {
	last := int(o.Hop) == len(o.Route)-1
	switch {
	case !last && !m.relays:
		return wire.ReasonRefused
	case !last && m.full,
		m.counts.others >= m.cfg.Total,
		m.counts.neighbor[from] >= m.share(),
		m.counts.opener[[2]wire.NodeID{from, o.Opener}] >= m.cfg.PerOpener:
		return wire.ReasonFull
	case !last && !m.reachable[o.Route[o.Hop+1]]:
		return wire.ReasonUnreachable
	}
	return 0
}

// share is how many circuits may be opened through one neighbor. When half of all are taken it is an eighth of what it was,
// so that a few greedy neighbors leave room for others.
func (m *Machine) share() int {
	if m.counts.others >= m.cfg.Total/2 {
		return m.cfg.PerNeighbor / 8
	}
	return m.cfg.PerNeighbor
}

// receiveRepeated answers an Open for a circuit that exists. One that differs from the first is not the same circuit:
// from a stranger it is refused; from the neighbour it means that the neighbour has lost what it had.
func (m *Machine) receiveRepeated(now time.Time, c *circuit, from wire.NodeID, o wire.CircuitOpen) error {
	if c.openedHere() || c.back.node != from {
		m.sendError(from, wire.CircuitError{ID: o.ID, Reason: wire.ReasonRefused, By: m.self})
		return nil
	}
	switch {
	case c.back.out != o.Label || c.opener != o.Opener || !slices.Equal(c.route, o.Route):
		m.fail(now, c, failure{by: m.self, reason: wire.ReasonUnknownLabel, text: "opened anew"})
	case c.up:
		m.sendOpened(c)
	default:
		m.sendOpen(c, o.Hop+1)
	}
	return nil
}

// receiveOpened completes a circuit on the side of the far end.
func (m *Machine) receiveOpened(now time.Time, from wire.NodeID, o wire.CircuitOpened) error {
	if o.ID == 0 || o.Label == 0 || o.Label > wire.MaxLabel {
		return ErrMessage
	}
	c := m.circuits[o.ID]
	if c == nil {
		m.sendClose(from, o.ID) // we have given it up; they need not wait
		return nil
	}
	if c.endsHere() || c.forth.node != from {
		return ErrStranger
	}
	if c.up {
		if c.forth.out != o.Label { // the neighbour has lost the circuit and was asked again
			m.fail(now, c, failure{by: m.self, reason: wire.ReasonUnknownLabel, text: "opened anew"})
		}
		return nil
	}
	c.up, c.used = true, now
	m.setForthLabel(c, o.Label)
	m.reschedule(c)
	if c.openedHere() {
		m.emitOpened(c)
		return nil
	}
	m.counts.relayed++
	m.emit(Install{
		ID: c.id, A: c.back.node, B: c.forth.node,
		LabelFromA: c.back.in, LabelToA: c.back.out, LabelFromB: c.forth.in, LabelToB: c.forth.out,
	})
	m.sendOpened(c)
	return nil
}

func (m *Machine) receiveClose(now time.Time, from wire.NodeID, message wire.CircuitClose) error {
	c := m.circuits[message.ID]
	if c == nil {
		return nil
	}
	if c.nextTo(from) == nil {
		return ErrStranger
	}
	m.close(now, c, from, "closed by the other side")
	return nil
}

// receiveError ends a circuit that a neighbour names by its identifier, or by the label that we send to it.
func (m *Machine) receiveError(now time.Time, from wire.NodeID, e wire.CircuitError) error {
	c := m.circuits[e.ID]
	if e.ID == 0 {
		c = m.sent[hop{from, e.Label}]
	}
	if c == nil {
		return nil
	}
	if c.nextTo(from) == nil {
		return ErrStranger
	}
	m.fail(now, c, failure{from: from, by: e.By, reason: e.Reason})
	return nil
}

func (m *Machine) emitOpened(c *circuit) {
	near := c.sides()[0]
	m.emit(Opened{
		ID: c.id, Peer: c.peer(), Via: c.via(), FirstHop: near.node,
		SendLabel: near.out, ReceiveLabel: near.in, Initiator: c.openedHere(),
	})
}

// sendOpen asks the next node, which is route[index].
func (m *Machine) sendOpen(c *circuit, index uint8) {
	message := wire.CircuitOpen{ID: c.id, Opener: c.opener, Route: c.route, Hop: index, Label: c.forth.in}
	m.emit(Send{To: c.forth.node, Kind: wire.KindCircuitOpen, Body: message.Append(nil)})
}

func (m *Machine) sendOpened(c *circuit) {
	message := wire.CircuitOpened{ID: c.id, Label: c.back.in}
	m.emit(Send{To: c.back.node, Kind: wire.KindCircuitOpened, Body: message.Append(nil)})
}

func (m *Machine) sendClose(to wire.NodeID, id wire.CircuitID) {
	message := wire.CircuitClose{ID: id}
	m.emit(Send{To: to, Kind: wire.KindCircuitClose, Body: message.Append(nil)})
}

func (m *Machine) sendError(to wire.NodeID, message wire.CircuitError) {
	m.emit(Send{To: to, Kind: wire.KindCircuitError, Body: message.Append(nil)})
}
