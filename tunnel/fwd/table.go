// Package fwd is the forwarding table: which path carries data to which peer, and what becomes of a frame with a label.
// A published Table is never changed; the control loop builds the next one and the data plane swaps one pointer. Only
// the counters in it move.
//
//	out:  peer  ──Routes──▶ Route{Ways, All} ─ class ─▶ Way{Primary, Duplicate} ──▶ Path{Hop}
//	in:   label ──Labels──▶ Entry ──┬─▶ Switch{To Hop}   a circuit that goes on: rewrite the label, send
//	                                └─▶ Path             a circuit that ends here: strip the label, pass up
//	      source address ──Sources──▶ Path               a direct path: count, pass up
package fwd

import (
	"net/netip"
	"sync/atomic"

	"overlayd/internal/wire"
)

// Hop is where a datagram goes next on the underlay.
type Hop struct {
	Socket uint8          // index of the local socket
	Addr   netip.AddrPort // unmapped, without a zone unless link-local
	Label  wire.Label     // put in front; zero on a direct path
}

// Counters count data (WireGuard transport messages) on one path, or all frames on one switch. They outlive the tables
// that they are in. A nil *Counters counts nothing.
type Counters struct {
	TxPackets, TxBytes atomic.Uint64
	RxPackets, RxBytes atomic.Uint64
	TxSeq, RxSeq       atomic.Uint32 // wire.DataSeq of the latest packet; of switches nobody asks
	TxLargest          atomic.Uint32 // size of the largest message that left since somebody last took it
	LastRx             atomic.Uint64 // wire.Stamp on this node's clock of the last reception; zero: never
}

// Sent adds n packets of together size bytes that left on the path.
func (c *Counters) Sent(n, size int) {
	if c == nil {
		return
	}
	c.TxPackets.Add(uint64(n))
	c.TxBytes.Add(uint64(size))
}

// Largest notes that a message of size bytes left.
func (c *Counters) Largest(size int) {
	if c != nil && uint32(size) > c.TxLargest.Load() {
		c.TxLargest.Store(uint32(size))
	}
}

// Received adds n packets of together size bytes that came in on the path at the given time.
func (c *Counters) Received(n, size int, at wire.Stamp) {
	if c == nil {
		return
	}
	c.RxPackets.Add(uint64(n))
	c.RxBytes.Add(uint64(size))
	c.LastRx.Store(uint64(at))
}

// SentSeq notes wire.DataSeq of the latest packet that left, after Sent.
func (c *Counters) SentSeq(seq uint32) {
	if c != nil {
		c.TxSeq.Store(seq)
	}
}

// ReceivedSeq notes wire.DataSeq of the latest packet that came in, after Received.
func (c *Counters) ReceivedSeq(seq uint32) {
	if c != nil {
		c.RxSeq.Store(seq)
	}
}

// Seqs are the latest sequences sent and received. Who reads them before the counts finds that the counts cover them.
func (c *Counters) Seqs() (sent, received uint32) {
	if c == nil {
		return 0, 0
	}
	return c.TxSeq.Load(), c.RxSeq.Load()
}

// Bytes are those of the packets sent and received so far.
func (c *Counters) Bytes() (sent, received uint64) {
	if c == nil {
		return 0, 0
	}
	return c.TxBytes.Load(), c.RxBytes.Load()
}

// Counts are the packets sent and received so far, and when the last one was received (zero: never).
func (c *Counters) Counts() (sent, received uint64, last wire.Stamp) {
	if c == nil {
		return 0, 0, 0
	}
	return c.TxPackets.Load(), c.RxPackets.Load(), wire.Stamp(c.LastRx.Load())
}

// Path is one way to one peer, as the data plane sees it.
type Path struct {
	Peer     wire.NodeID
	ID       wire.PathID
	Hop      Hop
	Counters *Counters
}

// Way is how the data of one traffic class travels to a peer.
type Way struct {
	Primary   *Path   // carries the data; nil while there is no path
	Duplicate *Path   // carries a copy, as far as Budget allows; nil: there are no copies
	Budget    *Budget // bounds the bytes of copies; not nil if Duplicate is not. Several ways may share one
}

// Route is how frames to one peer travel now. The packets of a class stay in order, since all of them have one way; so
// the packets of a flow do, which are of one class.
type Route struct {
	Ways  [wire.TrafficClasses]Way // by wire.TrafficClass
	All   []*Path                  // every live or candidate path: handshakes go out on each
	Trial *Budget                  // bounds the bytes on the paths of All that never answered a probe; nil: nothing does
	Known int                      // how many paths of All, the first ones, have answered; if Trial is nil, of no meaning
	Held  bool                     // no session yet: nothing but control frames goes to the peer or is taken from it
	Awake bool                     // the control loop knows that the peer is active; if not, the next data packet wakes it
}

// Switch forwards the frames of one direction of a circuit.
type Switch struct {
	To       Hop
	Counters *Counters // RxPackets, RxBytes and LastRx of what was forwarded
	Budget   *Budget   // bounds the bytes that are forwarded, with their labels; nil: nothing does. Its burst is 64 KB or more
}

// Entry is what a label of ours means. Exactly one of Switch and Path is set.
type Entry struct {
	From   wire.NodeID // the only neighbour that may use the label: Sources tells who an address is
	Switch *Switch     // the circuit goes on
	Path   *Path       // the circuit ends here: the frame came on this path
}

// Table is everything that the data plane needs to know to place a packet. Treat it as constant once published.
type Table struct {
	Routes  map[wire.NodeID]*Route
	Labels  map[wire.Label]Entry
	Sources map[netip.AddrPort]*Path // the direct path of every authenticated underlay address
}
