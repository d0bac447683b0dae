package tunnel

import (
	"encoding/binary"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tai64n"

	"overlayd/internal/wire"
	"overlayd/tunnel/fwd"
)

// manyPeers is the size of a large network.
const manyPeers = 4096

// registerMany registers so many peers, one after the other.
func registerMany(t testing.TB, p *Plane) {
	t.Helper()
	for i := range manyPeers {
		number := uint32(i)<<16 | 0x7777
		var id wire.NodeID
		binary.BigEndian.PutUint32(id[:], number*2654435761) // spread like hashes
		binary.BigEndian.PutUint32(id[12:], uint32(i))
		four := netip.AddrFrom4([4]byte{10, 80, byte(i >> 8), byte(i)})
		six := netip.AddrFrom16([16]byte{0xfd, 8: id[0], 9: id[1], 14: byte(i >> 8), 15: byte(i)})
		if err := p.AddPeer(id, [32]byte{1, byte(i >> 8), byte(i)}, []netip.Prefix{single(four), single(six)}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestManyRegisteredPeersCostWireGuardNothing(t *testing.T) {
	a, b, _, _ := connected(t)
	before := runtime.NumGoroutine()
	var start, end runtime.MemStats
	runtime.ReadMemStats(&start)
	registerMany(t, a.plane)
	runtime.ReadMemStats(&end)
	if each := (end.TotalAlloc - start.TotalAlloc) / manyPeers; each > 64<<10 { // stands for the time, which varies
		t.Errorf("%d bytes were moved for each: that grows with the number of peers", each)
	}
	if n := runtime.NumGoroutine(); n > before {
		t.Errorf("%d goroutines more", n-before)
	}
	if n := a.plane.Stats().DevicePeers; n != 0 {
		t.Errorf("wireguard-go has %d peers", n)
	}
	a.sendTo(b, 0, 1, 100)
	b.expect(0, 1)
	if n := a.plane.Stats().DevicePeers; n != 1 {
		t.Errorf("wireguard-go has %d peers, want the one that is in use", n)
	}
}

// BenchmarkRegister registers a large network; an operation is the whole of it.
func BenchmarkRegister(b *testing.B) {
	var kept uint64
	for b.Loop() {
		b.StopTimer()
		p := newBare(b, testClock)
		before := heap()
		b.StartTimer()
		registerMany(b, p.Plane)
		b.StopTimer()
		kept += heap() - before
		runtime.KeepAlive(p)
		b.StartTimer()
	}
	b.ReportMetric(float64(kept)/float64(b.N)/manyPeers, "B/peer")
}

// BenchmarkCreate gives peers to wireguard-go; an operation is one peer.
func BenchmarkCreate(b *testing.B) {
	s := newSite(b, 1)
	registerMany(b, s.plane)
	peers := s.plane.peers.view.Load().ids.All()
	before, n := heap(), 0
	b.ResetTimer()
	for n < b.N {
		for _, reg := range peers {
			if n == b.N {
				break
			}
			if s.plane.need(reg) == nil {
				b.Fatal("not created")
			}
			n++
		}
		b.StopTimer()
		if n == manyPeers {
			b.ReportMetric(float64(heap()-before)/float64(n), "B/peer")
		}
		s.plane.sweep(testClock() + wire.Stamp(idleFor))
		s.plane.sweep(testClock() + 2*wire.Stamp(idleFor))
		b.StartTimer()
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

func TestAPeerIsIdleAfterAWhileWithoutUse(t *testing.T) {
	start := wire.Stamp(time.Hour)
	last := start
	for i, step := range []struct {
		at   time.Duration
		used bool
		want bool
		last time.Duration
	}{
		{at: 0},
		{at: idleFor - 1},
		{at: idleFor, used: true, last: idleFor},
		{at: idleFor + 30*time.Second, last: idleFor},
		{at: 2*idleFor - 1, last: idleFor},
		{at: 2 * idleFor, want: true, last: idleFor},
		{at: 9 * idleFor, want: true, last: idleFor},
		{at: 9 * idleFor, used: true, last: 9 * idleFor},
		{at: 10 * idleFor, want: true, last: 9 * idleFor},
	} {
		var idle bool
		last, idle = look(last, step.used, start+wire.Stamp(step.at))
		if idle != step.want || last != start+wire.Stamp(step.last) {
			t.Errorf("step %d: idle %v, last used at %v", i, idle, last.Sub(start))
		}
	}
}

func TestIdleOutlivesTheSessionsOfTheOtherEnd(t *testing.T) {
	const longest = device.KeepaliveTimeout + device.RekeyAttemptTime + device.RekeyTimeout + device.RejectAfterTime
	if idleFor <= longest {
		t.Errorf("the other end may use a session for %v after the last packet", longest)
	}
}

// sweepAfter lets a site sweep as it would after such a time without traffic.
func (s *site) sweepAfter(d time.Duration) {
	s.plane.sweep(testClock()) // what was used until now was used now
	s.plane.sweep(testClock() + wire.Stamp(d))
}

func (s *site) expectDevicePeers(n uint64) {
	s.t.Helper()
	if got := s.plane.Stats().DevicePeers; got != n {
		s.t.Errorf("wireguard-go has %d peers, want %d", got, n)
	}
}

func TestAnIdlePeerIsDroppedAndComesBackWithoutLoss(t *testing.T) {
	r := newRelayed(t) // the initiation comes out of a circuit
	a, b := r.a, r.b
	number := 0
	exchange := func(from, to *site) {
		t.Helper()
		nextStamp(t) // five minutes are not over in truth
		start := time.Now()
		from.sendTo(to, number, 1, 100)
		to.expect(number, 1)
		to.sendTo(from, number, 1, 100)
		from.expect(number, 1)
		if took := time.Since(start); took > time.Second {
			t.Errorf("took %v: a packet was lost", took)
		}
		number++
	}
	exchange(a, b)
	a.sweepAfter(idleFor - time.Second)
	a.expectDevicePeers(1)
	exchange(a, b)
	for range 3 {
		for _, s := range []*site{a, b} {
			s.sweepAfter(idleFor)
			s.expectDevicePeers(0)
		}
		if a.plane.device.LookupPeer(device.NoisePublicKey(b.public)) != nil {
			t.Error("wireguard-go still has the peer")
		}
		if n := a.plane.waiting.Load() + b.plane.waiting.Load(); n != 0 {
			t.Errorf("%d handshake messages wait", n)
		}
		exchange(a, b)
		a, b = b, a
	}
	a.plane.sweep(testClock() + 2*wire.Stamp(idleFor))
	a.expectDevicePeers(1) // it was used since the last sweep
}

// nextStamp waits until WireGuard's time stamps, which are coarse, differ from what they are now: two initiations with the
// same one are a replay.
func nextStamp(t testing.TB) {
	t.Helper()
	before := tai64n.Now()
	eventually(t, "the time stamp of a handshake grows", func() bool { return tai64n.Now().After(before) })
}

func TestADroppedPeerTakesItsHandshakesAlong(t *testing.T) {
	a, b := newSite(t, 1), newSite(t, 2)
	a.add(b)
	a.sendTo(b, 0, 1, 100)
	eventually(t, "the initiation waits for a path", func() bool { return a.plane.waiting.Load() == 1 })
	a.sweepAfter(idleFor)
	a.expectDevicePeers(0)
	if n := a.plane.waiting.Load(); n != 0 {
		t.Errorf("%d messages wait", n)
	}
	if reg := a.plane.peers.view.Load().peer(b.id); reg == nil || reg.live.Load() != nil {
		t.Error("the peer is not merely registered")
	}
}

func TestRenewBringsAPeerBack(t *testing.T) {
	a, b, _, _ := connected(t)
	if err := a.plane.Renew(b.id); err != nil {
		t.Fatal(err)
	}
	a.expectDevicePeers(1)
	eventually(t, "the other end has the peer", func() bool { return b.plane.Stats().DevicePeers == 1 })
	if err := a.plane.Renew(wire.NodeID{99}); err != nil {
		t.Error(err)
	}
}

func TestAForgedInitiationDoesNotBringAPeer(t *testing.T) {
	a, b, end := newSite(t, 1), newSite(t, 2), newWireEnd(t)
	a.add(b)
	path := end.path(2)
	a.plane.Publish(&fwd.Table{Sources: map[netip.AddrPort]*fwd.Path{end.addr(): path}})
	end.send(a.addr(), handshakeMessage(wire.WireGuardInitiation, 148), handshakeMessage(wire.WireGuardInitiation, 100))
	eventually(t, "both are ignored", func() bool { return a.plane.Stats().Ignored == 2 })
	a.expectDevicePeers(0)
}

func TestTheDeviceClosesWhileAPacketWaitsForItsPeer(t *testing.T) {
	a, b, _, _ := connected(t)
	a.plane.peers.mu.Lock() // the peer takes long to create
	defer a.plane.peers.mu.Unlock()
	a.sendTo(b, 0, 1, 100)
	eventually(t, "the packet is read", func() bool { return len(a.tun.fromHost) == 0 })
	a.plane.device.Close()
	<-a.plane.Done()
}

// repeat does something until the test calls the returned function.
func repeat(do func()) (end func()) {
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				do()
			}
		}
	}()
	return func() {
		close(stop)
		<-stopped
	}
}

// onTheWay bounds a flood: what waits in the receiver's socket must not keep out the handshake behind it.
const onTheWay = 200

// flood lets the host send packets to its peer all the time, until the test calls the returned function.
func (s *site) flood(to *site, out, in *fwd.Path) (end func()) {
	return repeat(func() {
		if out.Counters.TxPackets.Load() > in.Counters.RxPackets.Load()+onTheWay {
			runtime.Gosched()
			return
		}
		select {
		case s.tun.fromHost <- packet(s.inner, to.inner, 100, 7):
		default:
			runtime.Gosched()
		}
	})
}

// drop takes a packet from the host if there is any.
func (s *site) drop() {
	select {
	case <-s.tun.toHost:
	default:
		runtime.Gosched()
	}
}

func TestNothingComesFromAPeerOnceItIsRemoved(t *testing.T) {
	a, b, ab, ba := connected(t)
	defer b.flood(a, ba, ab)()
	defer repeat(func() { a.drop() })()
	for range 5 {
		before := a.tun.written.Load()
		eventually(t, "packets come", func() bool { return a.tun.written.Load() > before+100 })
		if err := a.plane.RemovePeer(b.id); err != nil {
			t.Fatal(err)
		}
		written, received := a.tun.written.Load(), ab.Counters.RxPackets.Load()
		a.expectDevicePeers(0)
		if a.plane.device.LookupPeer(device.NoisePublicKey(b.public)) != nil {
			t.Error("wireguard-go still has the peer")
		}
		eventually(t, "packets go on coming", func() bool { return ab.Counters.RxPackets.Load() > received+50 })
		if n := a.tun.written.Load() - written; n > 0 {
			t.Errorf("%d packets after the peer was removed", n)
		}
		a.add(b)
		if err := b.plane.RemovePeer(a.id); err != nil { // its session: a has it no more
			t.Fatal(err)
		}
		b.add(a)
	}
}

func TestPeersMayComeAndGoWhileDataFlows(t *testing.T) {
	a, b, ab, ba := connected(t)
	ends := []func(){
		a.flood(b, ab, ba),
		b.flood(a, ba, ab),
		repeat(func() { a.drop() }),
		repeat(func() { b.drop() }),
		repeat(func() { b.plane.sweep(testClock() + wire.Stamp(idleFor)) }),
		repeat(func() { a.plane.Renew(b.id) }),
	}
	for i := range 300 {
		a.plane.sweep(testClock() + wire.Stamp(i)*wire.Stamp(idleFor))
		if i%10 == 0 {
			if err := a.plane.RemovePeer(b.id); err != nil {
				t.Fatal(err)
			}
			a.add(b)
		}
	}
	for _, end := range ends {
		end()
	}
	for from, to := range map[*site]*site{a: b, b: a} {
		eventually(t, "the interface is read", func() bool { return len(from.tun.fromHost) == 0 })
		if err := from.plane.RemovePeer(to.id); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range []*site{a, b} {
		for len(s.tun.toHost) > 0 {
			<-s.tun.toHost
		}
	}
	a.add(b)
	b.add(a)
	a.sendTo(b, 5, 1, 100)
	b.expect(5, 1)
	b.sendTo(a, 6, 1, 100)
	a.expect(6, 1)
}
