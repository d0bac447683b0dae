package tunnel

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.zx2c4.com/wireguard/conn"

	"overlayd/internal/wire"
	"overlayd/tunnel/fwd"
	"overlayd/tunnel/udp"
)

// bare is a Plane without a WireGuard device: the test calls the Bind in its place.
type bare struct {
	*Plane
	t      testing.TB
	tun    *memTUN
	events chan Event
	in     *receiver
}

func newBare(t testing.TB, clock func() wire.Stamp) *bare {
	t.Helper()
	b := &bare{t: t, tun: newMemTUN(), events: make(chan Event, 16)}
	var err error
	b.Plane, err = newPlane(Config{
		Listen: netip.MustParseAddrPort("127.0.0.1:0"),
		TUN:    b.tun,
		Clock:  clock,
		Events: b.events,
	})
	if err != nil {
		t.Fatal(err)
	}
	b.in = newReceiver(b.Plane, 0)
	t.Cleanup(func() {
		b.peers.stopTimers()
		b.closeSockets()
		b.tun.Close()
	})
	return b
}

func (b *bare) addr() netip.AddrPort { return b.Listening()[0] }

func (b *bare) peer(id byte) *peer {
	return b.live(wire.NodeID{id}, [32]byte{id}, netip.AddrFrom4([4]byte{10, 71, 0, id}))
}

// live registers a peer as wireguard-go would have it.
func (p *Plane) live(id wire.NodeID, public [32]byte, own ...netip.Addr) *peer {
	reg, _, err := p.peers.register(id, public, own)
	if err != nil {
		panic(err)
	}
	to := newPeer(reg)
	p.peers.enlist(to)
	reg.live.Store(to)
	return to
}

// receive calls the receive function once, with room for so many packets.
func (b *bare) receive(room int) (packets [][]byte, from []conn.Endpoint) {
	b.t.Helper()
	buffers := make([][]byte, room)
	for i := range buffers {
		buffers[i] = make([]byte, 65535)
	}
	sizes, endpoints := make([]int, room), make([]conn.Endpoint, room)
	late := time.AfterFunc(patience, func() { b.closeSockets() })
	defer late.Stop()
	n, err := b.in.receive(buffers, sizes, endpoints)
	if err != nil {
		b.t.Fatalf("nothing received: %v", err)
	}
	for i := range n {
		packets = append(packets, buffers[i][:sizes[i]])
	}
	return packets, endpoints[:n]
}

func (b *bare) expectEvent(kind EventKind) Event {
	b.t.Helper()
	select {
	case e := <-b.events:
		if e.Kind != kind {
			b.t.Fatalf("event of kind %d, want %d", e.Kind, kind)
		}
		return e
	default:
		b.t.Fatalf("no event, want one of kind %d", kind)
		return Event{}
	}
}

func (b *bare) expectNoEvent() {
	b.t.Helper()
	select {
	case e := <-b.events:
		b.t.Fatalf("event of kind %d, want none", e.Kind)
	default:
	}
}

// wireEnd is a plain socket: whatever is on the other side of the network.
type wireEnd struct {
	t      testing.TB
	socket *udp.Socket
	reader *udp.Reader
	got    [][]byte
}

func newWireEnd(t testing.TB) *wireEnd {
	t.Helper()
	return newWireEndAt(t, netip.MustParseAddrPort("127.0.0.1:0"))
}

func newWireEndAt(t testing.TB, at netip.AddrPort) *wireEnd {
	t.Helper()
	sockets, err := udp.Listen(at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sockets[0].Close() })
	return &wireEnd{t: t, socket: sockets[0], reader: sockets[0].NewReader()}
}

func (w *wireEnd) addr() netip.AddrPort { return w.socket.LocalAddr() }

func (w *wireEnd) path(peer byte) *fwd.Path {
	return &fwd.Path{Peer: wire.NodeID{peer}, ID: 1, Hop: fwd.Hop{Addr: w.addr()}, Counters: new(fwd.Counters)}
}

// send sends frames, those of equal size with one GSO message.
func (w *wireEnd) send(to netip.AddrPort, frames ...[]byte) {
	w.t.Helper()
	batch := w.socket.NewBatch()
	if n := batch.Packets(to, 0, frames); n != len(frames) {
		w.t.Fatalf("batch took %d of %d frames", n, len(frames))
	}
	if n, err := w.socket.Send(batch); n != len(frames) || err != nil {
		w.t.Fatalf("sent %d of %d frames: %v", n, len(frames), err)
	}
}

// next waits for the next datagram.
func (w *wireEnd) next() []byte {
	w.t.Helper()
	late := time.AfterFunc(patience, func() { w.socket.Close() })
	defer late.Stop()
	for len(w.got) == 0 {
		n, err := w.reader.Read()
		if err != nil {
			w.t.Fatalf("nothing received: %v", err)
		}
		for i := range n {
			data, segment, _ := w.reader.Message(i)
			if segment == 0 {
				segment = max(1, len(data))
			}
			for d := range slices.Chunk(data, segment) {
				w.got = append(w.got, bytes.Clone(d))
			}
		}
	}
	d := w.got[0]
	w.got = w.got[1:]
	return d
}

func (w *wireEnd) expect(want ...[]byte) {
	w.t.Helper()
	for i := range want {
		if got := w.next(); !bytes.Equal(got, want[i]) {
			w.t.Fatalf("datagram %d is %.24x of %d bytes, want %.24x of %d", i, got, len(got), want[i], len(want[i]))
		}
	}
}

// transport is a transport message of that size, told apart by its number.
func transport(size int, number byte) []byte {
	m := bytes.Repeat([]byte{number}, size)
	copy(m, []byte{wire.WireGuardTransport, 0, 0, 0, 7, 0, 0, 0})
	return m
}

func handshakeMessage(kind byte, size int) []byte {
	m := make([]byte, size)
	m[0], m[size-1] = kind, 9
	return m
}

// controlFrame looks like one from outside.
func controlFrame(size int) []byte {
	return append([]byte{'C'}, bytes.Repeat([]byte{5}, size-1)...)
}

func labelled(l wire.Label, frame []byte) []byte {
	header := make([]byte, wire.LabelHeaderLen)
	wire.PutLabel(header, l)
	return append(header, frame...)
}
