package wire

import (
	"encoding/binary"
	"net/netip"
	"time"
)

const (
	// MaxNeighbors bounds the list in one Neighbors message: with so many, it is as long as a body may be.
	MaxNeighbors = (MaxBodyLen - 2) / neighborLen
	neighborLen  = 8 + 3 + 1
	// MaxEndpoints bounds the list in one Endpoints message.
	MaxEndpoints = 16
)

// NodePrefix is the beginning of a NodeID, which stands for it among the members: to make another key with the prefix of
// a member takes 2⁶⁴ trials.
type NodePrefix [8]byte

// Prefix is the beginning of an identifier.
func (id NodeID) Prefix() NodePrefix { return NodePrefix(id[:8]) }

// Neighbor is a node that the sender of a Neighbors message reaches directly.
type Neighbor struct {
	ID   NodePrefix
	RTT  time.Duration // of the direct path; microseconds on the wire, up to 16 s
	Loss uint8         // lost probes of 255
}

// Neighbors lists the neighbours of its sender, the nearest first, for the two ends of a pair to find relays that both
// reach. It only nominates: what is selected, the ends measure themselves. An empty list says nothing, and is there for
// the sake of the question.
type Neighbors struct {
	Want bool // answer with your own
	List []Neighbor
}

// RouteQuery asks a neighbour for a way to Target, when no common neighbour is known. A node that reaches the target
// directly answers; any other passes it on, to a few neighbours that are not in Trail.
type RouteQuery struct {
	Nonce  uint32
	Origin NodeID
	Target NodeID
	Hops   uint8    // how many more relays may be added to Trail after the receiver
	Trail  []NodeID // the relays passed so far
}

// RouteReply nominates a route; it goes back along the trail of the query.
type RouteReply struct {
	Nonce  uint32
	Origin NodeID
	Target NodeID
	Route  []NodeID      // all relays in order from the origin, 1 to MaxRelays
	RTT    time.Duration // from the sender of this frame to the target; each relay on the way back adds its own hop
}

// Endpoints tells a peer where its sender may be reached, and, with Punch, that the sender starts to probe the
// receiver's endpoints now, so that both open their NATs at once.
type Endpoints struct {
	Punch bool
	List  []netip.AddrPort
}

// Append appends the body to b.
func (n *Neighbors) Append(b []byte) []byte {
	list := n.List[:min(len(n.List), MaxNeighbors)]
	b = appendBool(b, n.Want)
	b = append(b, byte(len(list)))
	for _, e := range list {
		b = append(b, e.ID[:]...)
		rtt := min(micros(e.RTT), 1<<24-1)
		b = append(b, byte(rtt>>16), byte(rtt>>8), byte(rtt), e.Loss)
	}
	return b
}

// ParseNeighbors reads the body of a KindNeighbors frame.
func ParseNeighbors(b []byte) (Neighbors, error) {
	r := reader{b: b}
	n := Neighbors{Want: r.bool()}
	for range r.count(MaxNeighbors) {
		n.List = append(n.List, Neighbor{ID: r.nodePrefix(), RTT: r.micros24(), Loss: r.uint8()})
	}
	return n, r.done()
}

// Append appends the body to b.
func (q *RouteQuery) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, q.Nonce)
	b = append(b, q.Origin[:]...)
	b = append(b, q.Target[:]...)
	b = append(b, q.Hops)
	return appendNodeIDs(b, q.Trail)
}

// ParseRouteQuery reads the body of a KindRouteQuery frame.
func ParseRouteQuery(b []byte) (RouteQuery, error) {
	r := reader{b: b}
	q := RouteQuery{Nonce: r.uint32(), Origin: r.nodeID(), Target: r.nodeID(), Hops: r.uint8(), Trail: r.nodeIDs(MaxRelays)}
	if q.Hops > MaxRelays {
		return RouteQuery{}, ErrMalformed
	}
	return q, r.done()
}

// Append appends the body to b.
func (q *RouteReply) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, q.Nonce)
	b = append(b, q.Origin[:]...)
	b = append(b, q.Target[:]...)
	b = appendNodeIDs(b, q.Route)
	return binary.BigEndian.AppendUint32(b, micros(q.RTT))
}

// ParseRouteReply reads the body of a KindRouteReply frame.
func ParseRouteReply(b []byte) (RouteReply, error) {
	r := reader{b: b}
	q := RouteReply{Nonce: r.uint32(), Origin: r.nodeID(), Target: r.nodeID(), Route: r.nodeIDs(MaxRelays), RTT: r.micros()}
	if len(q.Route) == 0 {
		return RouteReply{}, ErrMalformed
	}
	return q, r.done()
}

// Append appends the body to b.
func (e *Endpoints) Append(b []byte) []byte {
	list := e.List[:min(len(e.List), MaxEndpoints)]
	b = appendBool(b, e.Punch)
	b = append(b, byte(len(list)))
	for _, ap := range list {
		b = appendAddrPort(b, ap)
	}
	return b
}

// ParseEndpoints reads the body of a KindEndpoints frame.
func ParseEndpoints(b []byte) (Endpoints, error) {
	r := reader{b: b}
	e := Endpoints{Punch: r.bool()}
	for range r.count(MaxEndpoints) {
		ap := r.addrPort()
		if !ap.IsValid() {
			return Endpoints{}, ErrMalformed
		}
		e.List = append(e.List, ap)
	}
	return e, r.done()
}

// micros is d in microseconds, held within 32 bits.
func micros(d time.Duration) uint32 {
	return uint32(min(max(d.Microseconds(), 0), 1<<32-1))
}

func (r *reader) micros() time.Duration { return time.Duration(r.uint32()) * time.Microsecond }

func (r *reader) micros24() time.Duration {
	b := r.take(3)
	if b == nil {
		return 0
	}
	return time.Duration(uint32(b[0])<<16|uint32(b[1])<<8|uint32(b[2])) * time.Microsecond
}

func (r *reader) nodePrefix() (id NodePrefix) {
	copy(id[:], r.take(len(id)))
	return id
}
