package circuit

import (
	"cmp"
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"overlayd/internal/wire"
)

// Machine holds the circuits that start at, end at and run through one node. It is a value of one goroutine.
type Machine struct {
	self wire.NodeID
	cfg  Config
	rng  *rand.Rand

	relays    bool
	full      bool // no further circuits are relayed for now
	reachable map[wire.NodeID]bool

	circuits  map[wire.CircuitID]*circuit
	received  map[wire.Label]*side // by the label on which we receive; nil while the label rests
	sent      map[hop]*circuit     // by the label that we send
	agenda    agenda
	graveyard graveyard
	limiter   limiter
	counts    counts
	out       []Output
}

// hop is a label as a neighbour knows it.
type hop struct {
	to    wire.NodeID
	label wire.Label
}

// New makes the machine of the node self. Labels and identifiers are drawn from rng, whose source must be
// cryptographic in production: who guesses a label may put frames on a circuit.
func New(self wire.NodeID, cfg Config, rng *rand.Rand) *Machine {
	return &Machine{
		self: self, cfg: cfg, rng: rng,
		reachable: make(map[wire.NodeID]bool),
		circuits:  make(map[wire.CircuitID]*circuit),
		received:  make(map[wire.Label]*side),
		sent:      make(map[hop]*circuit),
		graveyard: graveyard{byID: make(map[wire.CircuitID]grave)},
		limiter:   limiter{allowances: make(map[wire.NodeID]allowance)},
		counts:    counts{neighbor: make(map[wire.NodeID]int), opener: make(map[[2]wire.NodeID]int)},
	}
}

// Step takes one input at the time now, which never runs backwards. An error says that the input was refused: nothing
// changed.
func (m *Machine) Step(now time.Time, in Input) error {
	m.graveyard.expire(now, func(l wire.Label) { delete(m.received, l) })
	switch in := in.(type) {
	case Open:
		return m.open(now, in.Route)
	case Close:
		if c := m.circuits[in.ID]; c != nil && !c.relayed() {
			m.close(now, c, m.self, "closed by this node")
		}
	case Received:
		return m.receive(now, in.From, in.Message)
	case UnknownLabel:
		m.unknownLabel(now, in.From, in.Label)
	case Used:
		m.used(now, in)
	case NeighborRestarted:
		m.neighborLost(now, in.ID, wire.ReasonUnknownLabel, "neighbour restarted")
	case NeighborGone:
		delete(m.reachable, in.ID)
		m.neighborLost(now, in.ID, wire.ReasonUnreachable, "neighbour is gone")
	case SetRelay:
		m.setRelay(now, in.Allowed)
	case Admit:
		m.full = !in.Circuits
	case Reachable:
		if in.Direct {
			m.reachable[in.ID] = true
		} else {
			delete(m.reachable, in.ID)
		}
	case Tick:
		m.tick(now)
	}
	return nil
}

// NextDeadline is when Tick is due, if ever.
func (m *Machine) NextDeadline() (time.Time, bool) {
	if len(m.agenda) == 0 {
		return time.Time{}, false
	}
	return m.agenda[0].deadline, true
}

// Drain appends what is to be done to dst, in order, and forgets it.
func (m *Machine) Drain(dst []Output) []Output {
	dst = append(dst, m.out...)
	clear(m.out)
	m.out = m.out[:0]
	return dst
}

// Relayed is the number of circuits that this node switches for others now.
func (m *Machine) Relayed() int { return m.counts.relayed }

func (m *Machine) receive(now time.Time, from wire.NodeID, message any) error {
	if from == m.self || from.IsZero() {
		return ErrStranger
	}
	switch message := message.(type) {
	case wire.CircuitOpen:
		return m.receiveOpen(now, from, message)
	case wire.CircuitOpened:
		return m.receiveOpened(now, from, message)
	case wire.CircuitClose:
		return m.receiveClose(now, from, message)
	case wire.CircuitError:
		return m.receiveError(now, from, message)
	default:
		return fmt.Errorf("%w: %T", ErrMessage, message)
	}
}

// unknownLabel tells a neighbour that its label means nothing here, so that it forgets the circuit. A label that is
// known is only not in the forwarding table yet.
func (m *Machine) unknownLabel(now time.Time, from wire.NodeID, label wire.Label) {
	if s := m.received[label]; s != nil && s.node == from {
		return
	}
	if label != 0 && from != m.self && !from.IsZero() && m.limiter.allow(now, from, label) {
		m.sendError(from, wire.CircuitError{Label: label, Reason: wire.ReasonUnknownLabel, By: m.self})
	}
}

// used keeps a circuit alive. A time later than now, which the data plane may have seen, counts as now.
func (m *Machine) used(now time.Time, in Used) {
	at := in.At
	if at.After(now) {
		at = now
	}
	if c := m.circuits[in.ID]; c != nil && at.After(c.used) {
		c.used = at
	}
}

// neighborLost fails every circuit through a neighbour.
func (m *Machine) neighborLost(now time.Time, id wire.NodeID, reason wire.Reason, text string) {
	for _, c := range m.sorted(func(c *circuit) bool { return c.nextTo(id) != nil }) {
		m.fail(now, c, failure{from: id, by: m.self, reason: reason, text: text})
	}
}

// setRelay notes consent. Taking it back ends what is relayed now.
func (m *Machine) setRelay(now time.Time, allowed bool) {
	m.relays = allowed
	if allowed {
		return
	}
	for _, c := range m.sorted((*circuit).relayed) {
		m.fail(now, c, failure{by: m.self, reason: wire.ReasonRefused})
	}
}

// sorted lists the circuits that match, by identifier.
func (m *Machine) sorted(match func(*circuit) bool) []*circuit {
	var list []*circuit
	for _, c := range m.circuits {
		if match(c) {
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(a, b *circuit) int { return cmp.Compare(a.id, b.id) })
	return list
}

// tick does what has become due.
func (m *Machine) tick(now time.Time) {
	for len(m.agenda) > 0 && !m.agenda[0].deadline.After(now) {
		c := m.agenda[0]
		switch due := c.due(&m.cfg); {
		case due.After(now): // used since
			m.reschedule(c)
		case c.up:
			m.close(now, c, wire.NodeID{}, "idle")
		case !now.Before(c.began.Add(m.cfg.Pending)):
			m.expirePending(now, c)
		default:
			m.repeatOpen(now, c)
		}
	}
}

// expirePending gives up on an open that got no answer. What was set up behind us is taken down.
func (m *Machine) expirePending(now time.Time, c *circuit) {
	m.sendClose(c.forth.node, c.id)
	if c.openedHere() {
		m.emit(Failed{ID: c.id, Peer: c.peer(), Via: c.via(), Reason: "no answer"})
	}
	m.remove(now, c, grave{})
}

func (m *Machine) repeatOpen(now time.Time, c *circuit) {
	m.sendOpen(c, 0)
	c.resends--
	c.resend = now.Add(m.cfg.Retry)
	if c.resends == 0 {
		c.resend = time.Time{}
	}
	m.reschedule(c)
}

func (m *Machine) reschedule(c *circuit) {
	c.deadline = c.due(&m.cfg)
	heap.Fix(&m.agenda, c.index)
}

func (m *Machine) emit(out Output) { m.out = append(m.out, out) }
