package tunnel

import (
	"overlayd/internal/wire"
	"overlayd/tunnel/classes"
)

// wireguard-go does not tell the Bind which packet is in a transport message. But it encrypts a packet in the buffer that
// the gate has read it into, also one that had to wait for a session, and hands the Bind a slice of that buffer:
//
//	0        16                 end           len(message)              classNear             backlog's mark   64 KB
//	│ header │ packet           │ padding, tag │                        │ class │             │              │
//
// So the gate writes the class into the buffer, at a place that is behind the message whatever its padding is: at
// classNear, or at classFar if the packet is too long for that. What else the Bind gets are keepalives, whose buffers hold
// an old mark, and which are known by their length, and handshake messages.

const (
	// classNear is in the first page of a buffer, which is in use anyway, and in one cache line with the mark that a
	// receiver leaves there (markOffset).
	classNear = markOffset - 8
	// classFar is the last byte of a buffer: wireguard-go's are as long as the longest datagram.
	classFar = 1<<16 - 1 - 1
	// cipherBehind is what a transport message is longer than the packet in it, behind that: at most.
	cipherBehind = 15 + 16
)

// mark writes the class of a packet that ends at the given place of a buffer. For some lengths the padding decides where
// classOf reads; then it is in both places.
func mark(buffer []byte, end int, class wire.TrafficClass) {
	if end <= classNear && classNear < len(buffer) {
		buffer[classNear] = byte(class)
	}
	if end+cipherBehind > classNear && end <= classFar && classFar < len(buffer) {
		buffer[classFar] = byte(class)
	}
}

// classOf is the class of the packet in a transport message from wireguard-go. It is the default class if the message
// fills its buffer, which no MTU that can be set makes it do.
func classOf(message []byte) wire.TrafficClass {
	at := classNear
	if len(message) > classNear {
		at = classFar
	}
	if len(message) == keepaliveLen || len(message) > at || cap(message) <= at {
		return wire.DefaultTraffic
	}
	if class := wire.TrafficClass(message[: at+1 : at+1][at]); class < wire.TrafficClasses {
		return class
	}
	return wire.DefaultTraffic
}

// SetClasses says which class packets have, for those that come from the host from then on. Until the first call it
// follows from their DSCP alone.
func (p *Plane) SetClasses(rules []classes.Rule) { p.classes.Store(classes.NewSet(rules)) }
