package tunnel

import (
	"overlayd/internal/wire"
	"overlayd/tunnel/classes"
)

// wireguard-go does not tell the Bind which packet is in a transport message. But it encrypts a packet in the buffer that
// the gate has read it into, also one that had to wait for a session, and hands the Bind a slice of that buffer:
//
//	0        16                  end                    len(message)
//	│ header │ packet            │ padding, 0 to 15 │ tag │ class │                                             │ 64 KB
//
// So the gate writes the class into the buffer, behind where the message will end. Messages begin at the beginning of a
// buffer, so the next multiple of markStep behind one is one of two places, whatever the padding is, and the class is
// written to both. They are mostly in the cache line of the tag: a place that is the same in all buffers, such as
// markOffset, would be in one set of the cache for all of them, because they are 64 KB apart.
//
// What else the Bind gets are keepalives, whose buffers hold an old mark, and which are known by their length, and
// handshake messages, which are not in such buffers and have no class.

const (
	markStep  = 16
	tagLen    = 16
	markAfter = tagLen + 2*markStep // the least room behind a packet
)

// mark writes the class of a packet that ends at the given place of a buffer.
func mark(buffer []byte, end int, class wire.TrafficClass) {
	if end+markAfter > len(buffer) {
		return // no MTU that can be set does this
	}
	at := roundUp(end) + tagLen // as long as the message is with up to so much padding that its length is a multiple
	buffer[at], buffer[at+markStep] = byte(class), byte(class)
}

// classOf is the class of the packet in a transport message from wireguard-go.
func classOf(message []byte) wire.TrafficClass {
	at := roundUp(len(message))
	if len(message) == keepaliveLen || at >= cap(message) {
		return wire.DefaultTraffic
	}
	if class := wire.TrafficClass(message[:at+1][at]); class < wire.TrafficClasses {
		return class
	}
	return wire.DefaultTraffic
}

func roundUp(n int) int { return (n + markStep - 1) &^ (markStep - 1) }

// SetClasses says which class packets have, for those that come from the host from then on. Until the first call it
// follows from their DSCP alone.
func (p *Plane) SetClasses(rules []classes.Rule) { p.classes.Store(classes.NewSet(rules)) }
