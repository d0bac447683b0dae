package tunnel

import (
	"bytes"
	"net/netip"
	"time"

	"golang.zx2c4.com/wireguard/conn"

	"overlayd/internal/wire"
	"overlayd/tunnel/fwd"
	"overlayd/tunnel/udp"
)

// sourcesKept bounds the endpoints that a receiver remembers.
const sourcesKept = 1024

// receiver is the receive function of one socket. It belongs to one goroutine of wireguard-go.
type receiver struct {
	plane  *Plane
	socket uint8
	reader *udp.Reader
	count  int // messages of the last read
	next   int // the first of them that is not finished
	offset int // how far it is
	now    wire.Stamp

	sources map[netip.AddrPort]*source
	last    *source
	forward forwarder
	told    bool // of an unknown label in this read
	scratch [maxEventData]byte
	backlog *backlog

	up upward
}

// upward are the packets that wireguard-go gets from one call.
type upward struct {
	packets   [][]byte
	sizes     []int
	endpoints []conn.Endpoint
	n         int
}

func (u *upward) full() bool { return u.n == len(u.packets) }

func (u *upward) add(packet []byte, from conn.Endpoint) {
	u.sizes[u.n] = copy(u.packets[u.n], packet)
	u.endpoints[u.n] = from
	u.n++
}

// mark marks the last of the packets from the first one on.
func (u *upward) mark(first int, b *backlog, socket uint8) {
	if u.n > first {
		b.hand(u.n-first, u.packets[u.n-1], u.sizes[u.n-1], socket)
	}
}

func newReceiver(p *Plane, socket uint8) *receiver {
	return &receiver{
		plane:   p,
		socket:  socket,
		reader:  p.sockets[socket].NewReader(),
		sources: make(map[netip.AddrPort]*source),
		forward: newForwarder(p),
		backlog: p.backlogs[socket],
	}
}

// receive is a conn.ReceiveFunc. It returns as soon as there is something for wireguard-go; the rest of what was read
// waits for the next call. The only error is net.ErrClosed.
func (r *receiver) receive(packets [][]byte, sizes []int, endpoints []conn.Endpoint) (int, error) {
	r.up = upward{packets: packets, sizes: sizes, endpoints: endpoints}
	for r.up.n == 0 {
		if r.next == r.count {
			if err := r.read(); err != nil {
				return 0, err
			}
		}
		r.drain()
	}
	return r.up.n, nil
}

func (r *receiver) read() error {
	n, err := r.reader.Read()
	r.count, r.next, r.offset, r.told = n, 0, 0, false
	r.now = r.plane.clock()
	return err
}

// drain handles messages until all are done or there is no more room upward.
func (r *receiver) drain() {
	table := r.plane.table.Load()
	r.forward.begin(table)
	for r.next < r.count {
		data, segment, from := r.reader.Message(r.next)
		if !r.message(table, data, segment, from) {
			break
		}
		r.next++
		r.offset = 0
	}
	r.forward.flush()
}

// message handles the datagrams of one message from r.offset on. It returns false if there was no room for all.
func (r *receiver) message(table *fwd.Table, data []byte, segment int, from netip.AddrPort) bool {
	if segment == 0 {
		segment = len(data)
	}
	direct := table.Sources[from]
	var heard tally
	first := r.up.n
	defer func() { // open-coded by the compiler, without allocation
		heard.settle(r.now)
		if direct != nil { // what strangers send is mostly dropped before any queue
			r.up.mark(first, r.backlog, r.socket)
		}
	}()
	for r.offset < len(data) {
		frame := data[r.offset:min(r.offset+segment, len(data))]
		switch wire.Classify(frame) {
		case wire.ClassWireGuard:
			if r.up.full() {
				return false // before anything is noted of the frame
			}
			if r.plane.unwanted(direct, frame) {
				r.plane.count.ignored.Add(1)
				break
			}
			r.deliver(frame, r.endpoint(from))
			if direct != nil {
				heard.add(direct, frame, r.now)
			}
		case wire.ClassLabel:
			e, known := r.forward.lookup(frame, direct)
			switch {
			case !known:
				r.unknownLabel(frame, direct, from)
			case e.Switch != nil:
				r.offset += r.forward.run(e.Switch, data[r.offset:], segment, r.now)
				continue
			case !r.terminal(e.Path, frame[wire.LabelHeaderLen:], from, &heard):
				return false
			}
		case wire.ClassControl:
			r.event(EventControl, frame, from, nil)
		case wire.ClassSTUN:
			r.event(EventSTUN, frame, from, nil)
		case wire.ClassJoin:
			r.event(EventJoin, frame, from, nil)
		default:
			r.plane.count.ignored.Add(1)
		}
		r.offset += len(frame)
	}
	return true
}

// terminal handles a frame that a circuit delivers. It returns false if there was no room for it.
func (r *receiver) terminal(path *fwd.Path, frame []byte, from netip.AddrPort, heard *tally) bool {
	switch wire.Classify(frame) {
	case wire.ClassWireGuard:
		if r.up.full() {
			return false
		}
		// What arrives counts, whatever becomes of it here: a packet of a session that this node has no more was not lost
		// on the way.
		heard.add(path, frame, r.now)
		to := r.plane.sender(path, frame)
		if to == nil {
			r.plane.count.ignored.Add(1)
			return true
		}
		r.deliver(frame, to)
	case wire.ClassControl:
		r.event(EventControl, frame, from, path)
	default:
		r.plane.count.ignored.Add(1)
	}
	return true
}

// deliver gives a WireGuard message to wireguard-go. There must be room.
func (r *receiver) deliver(frame []byte, from conn.Endpoint) {
	if r.up.n == 0 && r.backlog.full() {
		r.forward.flush()
		r.backlog.wait()
	}
	r.up.add(frame, from)
}

// endpoint is what wireguard-go gets to know of the sender of a datagram.
func (r *receiver) endpoint(from netip.AddrPort) *source {
	if r.last != nil && r.last.addr == from {
		return r.last
	}
	s, ok := r.sources[from]
	if !ok {
		if len(r.sources) >= sourcesKept {
			clear(r.sources)
		}
		s = &source{addr: from, socket: r.socket}
		r.sources[from] = s
	}
	r.last = s
	return s
}

// event hands a copy of a frame to the control loop.
func (r *receiver) event(kind EventKind, frame []byte, from netip.AddrPort, circuit *fwd.Path) {
	if len(frame) > maxEventData {
		r.plane.count.ignored.Add(1)
		return
	}
	e := Event{Kind: kind, Socket: r.socket, From: from, Path: circuit}
	genuine := false
	if kind == EventControl {
		var within bool
		if e.Peer, genuine, within = r.screen(frame); !within {
			r.plane.events.dropped.Add(1)
			return
		}
	}
	e.Data = bytes.Clone(frame)
	e.At = r.reader.Time(r.next, time.Now())
	r.plane.events.offer(&e, genuine)
}

// unknownLabel reports a frame whose label means nothing, the first of every read.
func (r *receiver) unknownLabel(frame []byte, by *fwd.Path, from netip.AddrPort) {
	r.plane.count.unknownLabel.Add(1)
	if r.told {
		return
	}
	r.told = true
	e := Event{Kind: EventUnknownLabel, Socket: r.socket, From: from, Label: wire.PeekLabel(frame), At: time.Now()}
	if by != nil {
		e.Peer = by.Peer
	}
	r.plane.events.offer(&e, false) // anybody may have sent it from there
}

// tally adds up the data packets of a run of datagrams that came on one path, so that the shared counters are touched
// once for all of them.
type tally struct {
	path          *fwd.Path
	packets, size int
	seq           uint32 // of the latest packet
}

func (t *tally) add(path *fwd.Path, frame []byte, now wire.Stamp) {
	if wire.IsHandshake(frame) {
		return
	}
	if path != t.path {
		t.settle(now)
		t.path = path
	}
	t.packets++
	t.size += len(frame)
	t.seq = wire.DataSeq(frame)
}

func (t *tally) settle(now wire.Stamp) {
	if t.packets > 0 {
		t.path.Counters.Received(t.packets, t.size, now)
		t.path.Counters.ReceivedSeq(t.seq)
		t.packets, t.size = 0, 0
	}
}
