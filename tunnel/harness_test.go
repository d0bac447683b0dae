package tunnel

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/binary"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.zx2c4.com/wireguard/tun"

	"overlayd/internal/wire"
	"overlayd/tunnel/fwd"
)

// patience is how long a test waits for what must come; what must not come is not waited for.
const patience = 10 * time.Second

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !condition(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// memTUN is a TUN interface in memory. The test is the host behind it.
type memTUN struct {
	fromHost  chan []byte
	toHost    chan []byte
	events    chan tun.Event
	closed    chan struct{}
	closeOnce sync.Once
	written   atomic.Uint64 // packets that the host got
}

func newMemTUN() *memTUN {
	return &memTUN{
		fromHost: make(chan []byte, 1024),
		toHost:   make(chan []byte, 1024),
		events:   make(chan tun.Event, 4),
		closed:   make(chan struct{}),
	}
}

func (m *memTUN) File() *os.File           { return nil }
func (m *memTUN) MTU() (int, error)        { return 1400, nil }
func (m *memTUN) Name() (string, error)    { return "mem0", nil }
func (m *memTUN) Events() <-chan tun.Event { return m.events }
func (m *memTUN) BatchSize() int           { return 128 }

func (m *memTUN) Close() error {
	m.closeOnce.Do(func() {
		close(m.closed)
		close(m.events)
	})
	return nil
}

func (m *memTUN) Read(packets [][]byte, sizes []int, offset int) (int, error) {
	select {
	case p := <-m.fromHost:
		sizes[0] = copy(packets[0][offset:], p)
	case <-m.closed:
		return 0, os.ErrClosed
	}
	n := 1
	for n < len(packets) {
		select {
		case p := <-m.fromHost:
			sizes[n] = copy(packets[n][offset:], p)
			n++
			continue
		default:
		}
		break
	}
	return n, nil
}

func (m *memTUN) Write(packets [][]byte, offset int) (int, error) {
	for i, p := range packets {
		select {
		case m.toHost <- slices.Clone(p[offset:]):
			m.written.Add(1)
		case <-m.closed:
			return i, os.ErrClosed
		}
	}
	return len(packets), nil
}

// site is a Plane with a host behind it.
type site struct {
	t      testing.TB
	plane  *Plane
	tun    *memTUN
	id     wire.NodeID
	public [32]byte
	inner  netip.Addr
	events chan Event
}

var testStart = time.Now()

func testClock() wire.Stamp { return wire.Stamp(time.Since(testStart)) + 1 }

func newSite(t testing.TB, number byte) *site {
	t.Helper()
	m := newMemTUN()
	s := newSiteOn(t, number, m)
	s.tun = m
	return s
}

func newSiteOn(t testing.TB, number byte, device tun.Device) *site {
	t.Helper()
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s := &site{
		t:      t,
		id:     wire.NodeID{number},
		public: [32]byte(key.PublicKey().Bytes()),
		inner:  netip.AddrFrom4([4]byte{10, 71, 0, number}),
		events: make(chan Event, 64),
	}
	s.plane, err = Open(Config{
		Listen:     netip.MustParseAddrPort("127.0.0.1:0"),
		PrivateKey: [32]byte(key.Bytes()),
		TUN:        device,
		Clock:      testClock,
		Events:     s.events,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.plane.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func (s *site) addr() netip.AddrPort { return s.plane.Listening()[0] }

func (s *site) add(peers ...*site) {
	s.t.Helper()
	for _, p := range peers {
		if err := s.plane.AddPeer(p.id, p.public, []netip.Prefix{netip.PrefixFrom(p.inner, 32)}); err != nil {
			s.t.Fatal(err)
		}
	}
}

// pathTo is the direct path to a peer, or, with a label, one through a relay at that address.
func pathTo(peer *site, at netip.AddrPort, label wire.Label) *fwd.Path {
	return &fwd.Path{Peer: peer.id, ID: 1, Hop: fwd.Hop{Addr: at, Label: label}, Counters: new(fwd.Counters)}
}

func routeOn(paths ...*fwd.Path) *fwd.Route {
	return &fwd.Route{Ways: alike(fwd.Way{Primary: paths[0]}), All: paths, Awake: true}
}

// packet is an IPv4 packet from one host to another, with a number in it.
func packet(from, to netip.Addr, size int, number uint32) []byte {
	p := make([]byte, max(size, 24))
	p[0] = 0x45
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	p[8], p[9] = 64, 17
	copy(p[12:], from.AsSlice())
	copy(p[16:], to.AsSlice())
	binary.BigEndian.PutUint32(p[20:], number)
	return p
}

// sendTo lets the host send packets numbered from first to its peer.
func (s *site) sendTo(peer *site, first, n, size int) {
	for i := range n {
		s.tun.fromHost <- packet(s.inner, peer.inner, size, uint32(first+i))
	}
}

// expect waits until the host has got n packets, numbered from first in order.
func (s *site) expect(first, n int) {
	s.t.Helper()
	for i := range n {
		select {
		case p := <-s.tun.toHost:
			if got := binary.BigEndian.Uint32(p[20:]); got != uint32(first+i) {
				s.t.Fatalf("got packet %d, want %d", got, first+i)
			}
		case <-time.After(patience):
			s.t.Fatalf("packet %d did not come", first+i)
		}
	}
}

func (s *site) event(kind EventKind) Event {
	s.t.Helper()
	for {
		select {
		case e := <-s.events:
			if e.Kind == kind {
				return e
			}
		case <-time.After(patience):
			s.t.Fatalf("no event of kind %d", kind)
		}
	}
}

// connected is two sites with a direct path to each other.
func connected(t testing.TB) (a, b *site, ab, ba *fwd.Path) {
	t.Helper()
	a, b = newSite(t, 1), newSite(t, 2)
	a.add(b)
	b.add(a)
	ab, ba = pathTo(b, b.addr(), 0), pathTo(a, a.addr(), 0)
	a.plane.Publish(directTable(b, ab))
	b.plane.Publish(directTable(a, ba))
	return a, b, ab, ba
}

func directTable(peer *site, path *fwd.Path) *fwd.Table {
	return &fwd.Table{
		Routes:  map[wire.NodeID]*fwd.Route{peer.id: routeOn(path)},
		Sources: map[netip.AddrPort]*fwd.Path{path.Hop.Addr: path},
	}
}

// relayed is two sites that reach each other through a third.
type relayed struct {
	a, relay, b        *site
	ab, ba             *fwd.Path // circuits
	forward, backward  *fwd.Switch
	aRelay, bRelay     *fwd.Path // direct, to the relay
	labelAtA, labelAtB wire.Label
}

func newRelayed(t testing.TB) *relayed {
	t.Helper()
	r := &relayed{a: newSite(t, 1), relay: newSite(t, 3), b: newSite(t, 2), labelAtA: 0xa1, labelAtB: 0xb2}
	const inForward, inBackward wire.Label = 0xf1, 0xf2
	r.a.add(r.b)
	r.b.add(r.a)
	r.ab, r.ba = pathTo(r.b, r.relay.addr(), inForward), pathTo(r.a, r.relay.addr(), inBackward)
	r.aRelay, r.bRelay = pathTo(r.relay, r.relay.addr(), 0), pathTo(r.relay, r.relay.addr(), 0)
	r.forward = &fwd.Switch{To: fwd.Hop{Addr: r.b.addr(), Label: r.labelAtB}, Counters: new(fwd.Counters)}
	r.backward = &fwd.Switch{To: fwd.Hop{Addr: r.a.addr(), Label: r.labelAtA}, Counters: new(fwd.Counters)}
	r.relay.plane.Publish(&fwd.Table{
		Labels: map[wire.Label]fwd.Entry{
			inForward:  {From: r.a.id, Switch: r.forward},
			inBackward: {From: r.b.id, Switch: r.backward},
		},
		Sources: map[netip.AddrPort]*fwd.Path{
			r.a.addr(): pathTo(r.a, r.a.addr(), 0),
			r.b.addr(): pathTo(r.b, r.b.addr(), 0),
		},
	})
	r.a.plane.Publish(circuitTable(r.b, r.ab, r.relay, r.aRelay, r.labelAtA))
	r.b.plane.Publish(circuitTable(r.a, r.ba, r.relay, r.bRelay, r.labelAtB))
	return r
}

func circuitTable(peer *site, path *fwd.Path, relay *site, toRelay *fwd.Path, label wire.Label) *fwd.Table {
	return &fwd.Table{
		Routes:  map[wire.NodeID]*fwd.Route{peer.id: routeOn(path)},
		Labels:  map[wire.Label]fwd.Entry{label: {From: relay.id, Path: path}},
		Sources: map[netip.AddrPort]*fwd.Path{relay.addr(): toRelay},
	}
}

// alike are the same way for each class of traffic.
func alike(w fwd.Way) (ways [wire.TrafficClasses]fwd.Way) {
	for class := range ways {
		ways[class] = w
	}
	return ways
}
