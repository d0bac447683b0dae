package wire

import "encoding/binary"

// MaxRelays is the largest number of relays on a path.
const MaxRelays = 3

// CircuitOpen asks the node at Route[Hop] to extend a circuit, or, at the end of the route, to accept it. Every hop is
// sealed for itself: the sender of the frame is the previous node on the circuit.
type CircuitOpen struct {
	ID     CircuitID
	Opener NodeID
	Route  []NodeID // the relays in order, then the far end: 2 to MaxRelays+1 nodes
	Hop    uint8    // index in Route of the node that this frame is for
	Label  Label    // what that node must put in front of frames that go back to the sender of this frame
}

// CircuitOpened answers a CircuitOpen once everything behind the answering node is set up.
type CircuitOpened struct {
	ID    CircuitID
	Label Label // what the receiver of this frame must put in front of frames for the answering node
}

// CircuitClose takes a circuit down; it travels hop by hop, in either direction.
type CircuitClose struct {
	ID CircuitID
}

// Reason says why a circuit failed.
type Reason uint8

// The reasons of a CircuitError.
const (
	ReasonUnknownLabel Reason = 1 // the node has no such label, bound to that source
	ReasonRefused      Reason = 2 // the node does not relay, or not for this opener
	ReasonUnreachable  Reason = 3 // the node has no direct way to the next one
	ReasonFull         Reason = 4 // a bound on circuits is reached
)

// String is the reason in words.
func (r Reason) String() string {
	switch r {
	case ReasonUnknownLabel:
		return "unknown label"
	case ReasonRefused:
		return "relaying refused"
	case ReasonUnreachable:
		return "next hop unreachable"
	case ReasonFull:
		return "too many circuits"
	default:
		return "unknown reason"
	}
}

// CircuitError reports a failed circuit to the previous node on it, by its identifier, or, where only an unknown label
// was seen, by that label.
type CircuitError struct {
	ID     CircuitID // zero if unknown
	Label  Label     // zero unless ReasonUnknownLabel
	Reason Reason
	By     NodeID // the node that reported it, as those between say; it need not be the sender
}

// Append appends the body to b.
func (c *CircuitOpen) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(c.ID))
	b = append(b, c.Opener[:]...)
	b = appendNodeIDs(b, c.Route)
	b = append(b, c.Hop)
	return binary.BigEndian.AppendUint64(b, uint64(c.Label))
}

// ParseCircuitOpen reads the body of a KindCircuitOpen frame. The route's length, Hop and the label are checked; that no
// node stands twice in it is the business of package circuit.
func ParseCircuitOpen(b []byte) (CircuitOpen, error) {
	r := reader{b: b}
	c := CircuitOpen{ID: CircuitID(r.uint64()), Opener: r.nodeID(), Route: r.nodeIDs(MaxRelays + 1), Hop: r.uint8(), Label: r.label()}
	if c.ID == 0 || c.Label == 0 || len(c.Route) < 2 || int(c.Hop) >= len(c.Route) {
		return CircuitOpen{}, ErrMalformed
	}
	return c, r.done()
}

// Append appends the body to b.
func (c *CircuitOpened) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(c.ID))
	return binary.BigEndian.AppendUint64(b, uint64(c.Label))
}

// ParseCircuitOpened reads the body of a KindCircuitOpened frame.
func ParseCircuitOpened(b []byte) (CircuitOpened, error) {
	r := reader{b: b}
	c := CircuitOpened{ID: CircuitID(r.uint64()), Label: r.label()}
	if c.ID == 0 || c.Label == 0 {
		return CircuitOpened{}, ErrMalformed
	}
	return c, r.done()
}

// Append appends the body to b.
func (c *CircuitClose) Append(b []byte) []byte {
	return binary.BigEndian.AppendUint64(b, uint64(c.ID))
}

// ParseCircuitClose reads the body of a KindCircuitClose frame.
func ParseCircuitClose(b []byte) (CircuitClose, error) {
	r := reader{b: b}
	c := CircuitClose{ID: CircuitID(r.uint64())}
	if c.ID == 0 {
		return CircuitClose{}, ErrMalformed
	}
	return c, r.done()
}

// Append appends the body to b.
func (c *CircuitError) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(c.ID))
	b = binary.BigEndian.AppendUint64(b, uint64(c.Label))
	b = append(b, byte(c.Reason))
	return append(b, c.By[:]...)
}

// ParseCircuitError reads the body of a KindCircuitError frame: it names a circuit or a label.
func ParseCircuitError(b []byte) (CircuitError, error) {
	r := reader{b: b}
	c := CircuitError{ID: CircuitID(r.uint64()), Label: r.label(), Reason: Reason(r.uint8()), By: r.nodeID()}
	if c.ID == 0 && c.Label == 0 {
		return CircuitError{}, ErrMalformed
	}
	return c, r.done()
}
