package tunnel

import (
	"encoding/binary"
	"errors"
	"net"
	"slices"

	"golang.zx2c4.com/wireguard/conn"

	"overlayd/internal/wire"
	"overlayd/tunnel/fwd"
	"overlayd/tunnel/udp"
)

// batchSize is how many packets wireguard-go has buffers of 64 KB ready for, on each socket.
const batchSize = 64

// bind is what wireguard-go sees of the network.
type bind struct {
	plane *Plane
	open  bool // under the device's lock
}

var _ conn.Bind = (*bind)(nil)

// Open returns a receive function for each socket. The sockets are open already, and the port is theirs.
func (b *bind) Open(uint16) ([]conn.ReceiveFunc, uint16, error) {
	if b.open {
		return nil, 0, conn.ErrBindAlreadyOpen
	}
	b.open = true
	var functions []conn.ReceiveFunc
	for i := range b.plane.sockets {
		functions = append(functions, newReceiver(b.plane, uint8(i)).receive)
	}
	return functions, b.plane.sockets[0].LocalAddr().Port(), nil
}

// Close closes the sockets, for good. The device also calls it before it opens the bind.
func (b *bind) Close() error {
	if !b.open {
		return nil
	}
	b.plane.end()
	return b.plane.closeSockets()
}

// SetMark marks what is sent, for policy routing.
func (b *bind) SetMark(mark uint32) error {
	var errs []error
	for _, s := range b.plane.sockets {
		errs = append(errs, s.SetMark(mark))
	}
	return errors.Join(errs...)
}

// ParseEndpoint reads the identifier of a peer.
func (b *bind) ParseEndpoint(s string) (conn.Endpoint, error) {
	to, err := b.plane.peers.byName(s)
	if err != nil {
		return nil, err
	}
	return to, nil
}

// BatchSize is the largest number of packets at once.
func (b *bind) BatchSize() int { return batchSize }

// Send places packets by the forwarding table, or returns a cookie to where the message that asked for it came from. It
// neither waits nor keeps the packets, and never fails: what cannot be sent is lost, as anywhere on the way.
func (b *bind) Send(packets [][]byte, to conn.Endpoint) error {
	if len(packets) == 0 || len(packets[0]) == 0 {
		return nil
	}
	switch to := to.(type) {
	case *peer:
		if packets[0][0] == wire.WireGuardTransport {
			b.plane.sendData(to, packets)
		} else {
			b.plane.sendHandshake(to, packets[0])
		}
	case *source:
		b.plane.transmit(fwd.Hop{Socket: to.socket, Addr: to.addr}, packets)
	}
	return nil
}

// sendData sends transport messages to a peer, each the way of its class.
func (p *Plane) sendData(to *peer, packets [][]byte) {
	to.session.sent(packets, p.clock)
	route := p.table.Load().Routes[to.id]
	if (route == nil || !route.Awake) && !onlyKeepalive(packets) {
		p.wake(to)
	}
	var none fwd.Route
	if route == nil || route.Held {
		route = &none
	}
	of := p.sendOriginals(route, packets)
	for class, n := range slices.Backward(of[:]) { // what is critical first
		if n == 0 {
			continue
		}
		p.count.classes[class].packets.Add(uint64(n))
		if way := &route.Ways[class]; way.Primary != nil && way.Duplicate != nil {
			p.sendCopies(wire.TrafficClass(class), way, packets)
		}
	}
}

// sendOriginals sends each packet on the path of its class, those that follow each other on one path together: a batch of
// several classes is mostly still one. It returns how many there are of each class.
func (p *Plane) sendOriginals(route *fwd.Route, packets [][]byte) (of [wire.TrafficClasses]int) {
	var path *fwd.Path
	first := 0 // of those that are not sent yet, all on the path
	for i, packet := range packets {
		class := classOf(packet)
		of[class]++
		next := route.Ways[class].Primary
		if next != path && i > first {
			p.sendOriginal(route, path, packets[first:i])
			first = i
		}
		path = next
	}
	p.sendOriginal(route, path, packets[first:])
	return of
}

// sendOriginal sends packets on a path, or, if that is nil, without a decision.
func (p *Plane) sendOriginal(route *fwd.Route, path *fwd.Path, packets [][]byte) {
	if path == nil {
		p.sendUndecided(route, packets)
		return
	}
	p.sendOn(path, packets)
}

// sendCopies sends copies of the packets of one class, as far as its budget allows, all at once.
func (p *Plane) sendCopies(class wire.TrafficClass, way *fwd.Way, packets [][]byte) {
	gathered := p.gathered.Get().(*[][]byte)
	copies, over, now := (*gathered)[:0], 0, p.clock()
	for _, packet := range packets {
		switch {
		case classOf(packet) != class:
		case way.Budget.Take(len(packet), now):
			copies = append(copies, packet)
		default:
			over++
		}
	}
	if len(copies) > 0 {
		p.sendOn(way.Duplicate, copies)
	}
	p.count.classes[class].copies.Add(uint64(len(copies)))
	p.count.classes[class].overBudget.Add(uint64(over))
	clear(copies)
	*gathered = copies
	p.gathered.Put(gathered)
}

// sendUndecided sends transport messages while no path is selected. The first ones after a handshake come at once, and
// to lose a first packet costs its sender a second: so a few go out on several paths, of which the receiver keeps one
// copy. Many go out on one.
func (p *Plane) sendUndecided(route *fwd.Route, packets [][]byte) {
	paths := pathsOf(route)
	if len(paths) == 0 {
		p.count.noPath.Add(uint64(len(packets)))
		return
	}
	if len(packets) > waitingLimit {
		paths = paths[:1]
	}
	for i, path := range paths[:min(len(paths), undecidedPaths)] {
		if p.mayTry(route, i, packets) {
			p.sendOn(path, packets)
		}
	}
}

// sendOn sends transport messages on a path and counts what the kernel took.
func (p *Plane) sendOn(path *fwd.Path, packets [][]byte) {
	size, largest := 0, 0
	for _, packet := range packets {
		size += len(packet)
		largest = max(largest, len(packet))
	}
	sent := p.transmit(path.Hop, packets)
	if sent == 0 {
		return
	}
	if sent < len(packets) {
		size = size / len(packets) * sent
	}
	path.Counters.Sent(sent, size)
	path.Counters.Largest(largest)
	path.Counters.SentSeq(wire.DataSeq(packets[sent-1]))
}

// transmit sends packets to a hop and returns how many the kernel took.
func (p *Plane) transmit(hop fwd.Hop, packets [][]byte) (sent int) {
	if int(hop.Socket) >= len(p.sockets) {
		p.count.sendFailed.Add(uint64(len(packets)))
		return 0
	}
	s := p.sockets[hop.Socket]
	batch := p.getBatch(s)
	prefix := prefixOf(hop.Label)
	for rest := packets; len(rest) > 0; {
		n := batch.Packets(hop.Addr, prefix, rest)
		rest = rest[n:]
		taken, err := s.Send(batch)
		sent += taken
		batch.Reset()
		if err == udp.ErrFull || err == net.ErrClosed {
			break
		}
	}
	p.putBatch(s, batch)
	if sent < len(packets) {
		p.count.sendFailed.Add(uint64(len(packets) - sent))
	}
	return sent
}

// wake tells the control loop that there is something to send to a peer which the table does not call awake. While that
// goes on it is told again now and then, since it may have missed it.
func (p *Plane) wake(to *peer) {
	now := p.clock()
	last := to.woken.Load()
	if last != 0 && now.Sub(wire.Stamp(last)) < wakeInterval {
		return
	}
	if to.woken.CompareAndSwap(last, max(1, uint64(now))) {
		p.events.offer(&Event{Kind: EventWake, Peer: to.id}, true)
	}
}

// undecidedPaths bounds the copies of data for which no path is selected.
const undecidedPaths = 4

// keepaliveLen is the length of a transport message without content.
const keepaliveLen = 32

func onlyKeepalive(packets [][]byte) bool {
	return len(packets) == 1 && len(packets[0]) == keepaliveLen
}

// prefixOf is a label's header as package udp wants it; zero for no label.
func prefixOf(l wire.Label) uint64 {
	if l == 0 {
		return 0
	}
	var header [wire.LabelHeaderLen]byte
	wire.PutLabel(header[:], l)
	return binary.BigEndian.Uint64(header[:])
}
