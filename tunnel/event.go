package tunnel

import (
	"net/netip"
	"sync/atomic"
	"time"

	"overlayd/internal/wire"
	"overlayd/tunnel/fwd"
)

// EventKind says what an Event is about.
type EventKind uint8

// The kinds of event, and which fields of Event they fill in besides Socket, From and At. A wake has none of those.
const (
	EventControl      EventKind = iota + 1 // a sealed control frame: Data; Path if it came out of a circuit
	EventSTUN                              // a STUN message: Data
	EventJoin                              // a join frame: Data
	EventUnknownLabel                      // a frame whose label means nothing, or not to that neighbour: Label
	EventWake                              // data waits for a peer that the table does not call awake: Peer
)

// Event is what the control loop must hear of.
type Event struct {
	Kind   EventKind
	Data   []byte // belongs to the receiver of the event
	Socket uint8
	From   netip.AddrPort // of the underlay; the last relay's if it came out of a circuit
	Path   *fwd.Path      // the circuit that it came out of; nil if none
	At     time.Time      // received by the kernel, with a monotonic clock
	Label  wire.Label
	Peer   wire.NodeID // who sealed it; of a label, whose From is by the table; who is to be woken; zero if unknown
}

const (
	maxEventData = 2048        // no control, STUN or join frame is as long
	wakeInterval = time.Second // between two wakes of one peer
)

// sink is the way to the control loop. It never blocks.
type sink struct {
	to      chan<- Event
	dropped atomic.Uint64
}

// offer hands over an event, or drops and counts it. What anybody may have sent may only fill half of the queue, so that
// a flood of it cannot keep out what members send.
func (s *sink) offer(e *Event, genuine bool) bool {
	if !genuine && 2*len(s.to) >= cap(s.to) && cap(s.to) > 1 {
		s.dropped.Add(1)
		return false
	}
	select {
	case s.to <- *e:
		return true
	default:
		s.dropped.Add(1)
		return false
	}
}
