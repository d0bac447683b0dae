package tunnel

import (
	"net/netip"
	"testing"
	"time"

	"golang.zx2c4.com/wireguard/tun"

	"overlayd/internal/wire"
	"overlayd/tunnel/fwd"
)

var here = netip.MustParseAddr("10.71.0.1")

// read lets wireguard-go read once and returns how many packets it got.
func (b *bare) read(packets ...[]byte) (admitted int) {
	b.t.Helper()
	for _, p := range packets {
		b.tun.fromHost <- p
	}
	buffers, sizes := make([][]byte, 128), make([]int, 128)
	for i := range buffers {
		buffers[i] = make([]byte, 2000)
	}
	n, err := b.gate.Read(buffers, sizes, 16)
	if err != nil || n != len(packets) {
		b.t.Fatalf("read %d packets of %d: %v", n, len(packets), err)
	}
	for _, size := range sizes[:n] {
		if size > 0 {
			admitted++
		}
	}
	return admitted
}

func packetsTo(to netip.Addr, n int) [][]byte {
	var packets [][]byte
	for i := range n {
		packets = append(packets, packet(here, to, 100, uint32(i)))
	}
	return packets
}

func TestFewPacketsWaitForASession(t *testing.T) {
	b := newBare(t, testClock)
	b.peer(2)
	to := netip.MustParseAddr("10.71.0.2")
	if n := b.read(packetsTo(to, 100)...); n != waitingLimit {
		t.Errorf("%d packets admitted, want %d", n, waitingLimit)
	}
	for range 10 {
		if n := b.read(packetsTo(to, 10)...); n > 1 {
			t.Errorf("%d more packets admitted", n)
		}
	}
	if n := b.Stats().NotAdmitted; n < 100+100-waitingLimit-2 || n > 200-waitingLimit {
		t.Errorf("%d packets counted", n)
	}
}

func TestASessionOpensTheGate(t *testing.T) {
	b := newBare(t, testClock)
	to := b.peer(2)
	b.read(packetsTo(netip.MustParseAddr("10.71.0.2"), 100)...)
	b.send(to, transport(100, 1))
	for range 5 {
		if n := b.read(packetsTo(netip.MustParseAddr("10.71.0.2"), 128)...); n != 128 {
			t.Errorf("%d packets of 128 admitted", n)
		}
		b.send(to, transports(128, 100)...)
	}
}

func TestASessionOfTheOtherSideOpensTheGate(t *testing.T) {
	b, end := newBare(t, testClock), newWireEnd(t)
	to, path := b.peer(2), end.path(2)
	b.Publish(&fwd.Table{
		Routes:  map[wire.NodeID]*fwd.Route{to.id: routeOn(path)},
		Sources: map[netip.AddrPort]*fwd.Path{end.addr(): path},
	})
	b.send(to, handshakeMessage(wire.WireGuardResponse, 92))
	if n := b.read(packetsTo(netip.MustParseAddr("10.71.0.2"), 100)...); n != waitingLimit {
		t.Errorf("%d packets admitted before the peer used the session", n)
	}
	end.send(b.addr(), transport(100, 1))
	b.receive(1)
	if n := b.read(packetsTo(netip.MustParseAddr("10.71.0.2"), 100)...); n != 100 {
		t.Errorf("%d packets of 100 admitted", n)
	}
}

func TestALostSessionClosesTheGate(t *testing.T) {
	b := newBare(t, testClock)
	to := b.peer(2)
	b.send(to, transport(100, 1))
	admitted := 0
	for range 20 {
		admitted += b.read(packetsTo(netip.MustParseAddr("10.71.0.2"), 128)...)
	}
	if admitted > insideLimit+128+waitingLimit+1 {
		t.Errorf("%d packets wait in wireguard-go", admitted)
	}
	b.send(to, transport(100, 1))
	if n := b.read(packetsTo(netip.MustParseAddr("10.71.0.2"), 100)...); n != 100 {
		t.Errorf("%d packets of 100 admitted after the session came back", n)
	}
}

func TestReadingWaitsWhileTheDeviceHasEnough(t *testing.T) {
	b := newBare(t, testClock)
	to := b.peer(2)
	b.send(to, transport(100, 1))
	for inside := 0; inside < insideLimit; inside += 128 {
		b.read(packetsTo(netip.MustParseAddr("10.71.0.2"), 128)...)
	}
	done := make(chan int)
	go func() { done <- b.read(packetsTo(netip.MustParseAddr("10.71.0.2"), 128)...) }()
	eventually(t, "reading waits", to.session.blocked.Load)
	b.send(to, transports(128, 100)...)
	if n := <-done; n != 128 {
		t.Errorf("%d packets of 128 admitted", n)
	}
}

func TestPacketsToNobodyStayOutside(t *testing.T) {
	b := newBare(t, testClock)
	b.peer(2)
	six := make([]byte, 40)
	six[0] = 0x60
	n := b.read(packet(here, netip.MustParseAddr("10.99.0.1"), 50, 0), six, []byte{0xff, 1, 2},
		packet(here, netip.MustParseAddr("10.71.0.2"), 50, 0))
	if n != 1 {
		t.Errorf("%d packets admitted, want 1", n)
	}
	if got := b.Stats().NoPeer; got != 3 {
		t.Errorf("%d packets counted", got)
	}
}

func TestTheInterfaceGoingDownIsHidden(t *testing.T) {
	b := newBare(t, testClock)
	b.tun.events <- tun.EventDown
	b.tun.events <- tun.EventUp
	b.tun.events <- tun.EventMTUUpdate
	if e := <-b.gate.Events(); e != tun.EventMTUUpdate {
		t.Errorf("event %d", e)
	}
	b.tun.Close()
	if _, open := <-b.gate.Events(); open {
		t.Error("events go on after the interface was closed")
	}
}

func TestTheBacklogIsBounded(t *testing.T) {
	b := newBacklog()
	buffer := make([]byte, 65535)
	for range backlogLimit {
		b.hand(1, buffer, 100, 3)
	}
	if b.full() {
		t.Error("full too soon")
	}
	number, socket, ok := marked(buffer, 80)
	if !ok || socket != 3 || number != backlogLimit {
		t.Errorf("marked %d, %d, %v", number, socket, ok)
	}
	b.hand(1, buffer, 100, 3)
	if !b.full() {
		t.Error("not full")
	}
	b.passed(1 << 50) // something else was in the buffer
	b.passed(2)
	if b.full() {
		t.Error("full after two came out")
	}
	b.hand(100, buffer, 100, 3)
	start := time.Now()
	b.wait()
	if took := time.Since(start); took < backlogWait || b.full() {
		t.Errorf("waited %v for packets that are lost; full: %v", took, b.full())
	}
	b.hand(backlogLimit+1, buffer, 100, 3)
	done := make(chan struct{})
	go func() {
		b.wait()
		close(done)
	}()
	number, _, _ = marked(buffer, 80)
	b.passed(number)
	<-done
	if _, _, ok := marked(buffer, 4060); ok {
		t.Error("a mark was read that may be packet")
	}
}
