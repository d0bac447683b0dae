package tunnel

import (
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"overlayd/internal/wire"
	"overlayd/tunnel/fwd"
)

// manualClock is a clock that the test sets.
type manualClock struct{ now atomic.Uint64 }

func newManualClock() *manualClock {
	c := &manualClock{}
	c.advance(time.Hour)
	return c
}

func (c *manualClock) read() wire.Stamp        { return wire.Stamp(c.now.Load()) }
func (c *manualClock) advance(d time.Duration) { c.now.Add(uint64(d)) }

// send is what wireguard-go does.
func (b *bare) send(to *peer, packets ...[]byte) {
	b.t.Helper()
	if err := (&bind{plane: b.Plane}).Send(packets, to); err != nil {
		b.t.Errorf("Send returned %v: wireguard-go would log it for each batch", err)
	}
}

func (b *bare) route(to *peer, r *fwd.Route) {
	b.Publish(&fwd.Table{Routes: map[wire.NodeID]*fwd.Route{to.id: r}})
}

func TestDataGoesOnThePrimaryPath(t *testing.T) {
	b, near, far := newBare(t, testClock), newWireEnd(t), newWireEnd(t)
	to := b.peer(2)
	primary, other := near.path(2), far.path(2)
	primary.Hop.Label = 0x55
	b.route(to, &fwd.Route{Ways: alike(fwd.Way{Primary: primary}), All: []*fwd.Path{primary, other}, Awake: true})
	b.send(to, transport(1400, 1), transport(1400, 2), transport(700, 3), transport(1400, 4))
	near.expect(labelled(0x55, transport(1400, 1)), labelled(0x55, transport(1400, 2)),
		labelled(0x55, transport(700, 3)), labelled(0x55, transport(1400, 4)))
	if c := primary.Counters; c.TxPackets.Load() != 4 || c.TxBytes.Load() != 3*1400+700 {
		t.Errorf("%d packets, %d bytes counted", c.TxPackets.Load(), c.TxBytes.Load())
	}
	if other.Counters.TxPackets.Load() != 0 {
		t.Error("data on a path that is only a candidate")
	}
	b.expectNoEvent()
}

func TestDuplicatesGoOutAsFarAsTheBudgetAllows(t *testing.T) {
	clock := newManualClock()
	b, first, second := newBare(t, clock.read), newWireEnd(t), newWireEnd(t)
	to := b.peer(2)
	way := fwd.Way{Primary: first.path(2), Duplicate: second.path(2), Budget: fwd.NewBudget(1000, 2500)}
	b.route(to, &fwd.Route{Ways: alike(way), Awake: true})
	for i := range 5 {
		b.send(to, transport(1000, byte(i)))
	}
	clock.advance(time.Second)
	b.send(to, transport(1000, 5))
	for i := range 6 {
		first.expect(transport(1000, byte(i)))
	}
	second.expect(transport(1000, 0), transport(1000, 1), transport(1000, 5))
	if n := way.Duplicate.Counters.TxPackets.Load(); n != 3 {
		t.Errorf("%d copies counted", n)
	}
}

func TestFirstDataNeedNotWaitForASelection(t *testing.T) {
	b, first, second := newBare(t, testClock), newWireEnd(t), newWireEnd(t)
	to := b.peer(2)
	paths := []*fwd.Path{first.path(2), second.path(2)}
	b.route(to, &fwd.Route{All: paths, Awake: true})
	b.send(to, transport(100, 1))
	b.send(to, transports(waitingLimit+1, 200)...)
	b.send(to, transport(100, 2))
	first.expect(transport(100, 1))
	first.expect(transports(waitingLimit+1, 200)...)
	first.expect(transport(100, 2))
	second.expect(transport(100, 1), transport(100, 2))
	if n := paths[1].Counters.TxPackets.Load(); n != 2 {
		t.Errorf("%d packets counted on the second path", n)
	}
}

func TestDataForASleepingPeerWakesIt(t *testing.T) {
	clock := newManualClock()
	b, end := newBare(t, clock.read), newWireEnd(t)
	to, route := b.peer(2), &fwd.Route{Ways: alike(fwd.Way{Primary: end.path(2)})}
	b.route(to, route)
	b.send(to, transport(keepaliveLen, 1))
	b.expectNoEvent()
	for range 10 {
		b.send(to, transport(100, 1), transport(100, 2))
	}
	if e := b.expectEvent(EventWake); e.Peer != to.id {
		t.Errorf("woke %v", e.Peer)
	}
	b.expectNoEvent()
	end.expect(transport(keepaliveLen, 1), transport(100, 1), transport(100, 2)) // it is sent all the same
	clock.advance(wakeInterval)
	b.send(to, transport(100, 3))
	b.expectEvent(EventWake) // the loop may have missed the first
	b.route(to, &fwd.Route{Ways: alike(fwd.Way{Primary: end.path(2)}), Awake: true})
	clock.advance(wakeInterval)
	b.send(to, transport(100, 4))
	b.expectNoEvent()
	b.Publish(&fwd.Table{})
	b.send(to, transport(100, 5))
	b.expectEvent(EventWake)
	if n := b.Stats().NoPath; n != 1 {
		t.Errorf("%d packets without a path", n)
	}
}

func TestAFullEventQueueNeverBlocksData(t *testing.T) {
	clock := newManualClock()
	b := newBare(t, clock.read)
	to := b.peer(2)
	for range 2 * cap(b.events) {
		clock.advance(wakeInterval)
		b.send(to, transport(100, 1))
	}
	if n := b.Stats().EventsDropped; n != uint64(cap(b.events)) {
		t.Errorf("%d events dropped", n)
	}
}

func TestWhatCannotBeSentIsCountedAndForgotten(t *testing.T) {
	b, end := newBare(t, testClock), newWireEnd(t)
	to := b.peer(2)
	for name, hop := range map[string]fwd.Hop{
		"unroutable":   {Addr: netip.MustParseAddrPort("192.0.2.1:9")}, // the socket is bound to loopback
		"no socket":    {Socket: 9, Addr: end.addr()},
		"wrong family": {Addr: netip.MustParseAddrPort("[2001:db8::1]:9")},
		"no address":   {},
	} {
		path := &fwd.Path{Peer: to.id, Hop: hop, Counters: new(fwd.Counters)}
		b.route(to, &fwd.Route{Ways: alike(fwd.Way{Primary: path}), All: []*fwd.Path{path}, Awake: true})
		before := b.Stats().SendFailed
		b.send(to, transport(100, 1), transport(100, 2))
		b.send(to, handshakeMessage(wire.WireGuardInitiation, 148))
		if n := b.Stats().SendFailed - before; n != 3 {
			t.Errorf("%s: %d failures counted, want 3", name, n)
		}
		if path.Counters.TxPackets.Load() != 0 {
			t.Errorf("%s: counted as sent", name)
		}
	}
	b.route(to, routeOn(end.path(2)))
	b.send(to, transport(100, 3))
	end.expect(transport(100, 3))
}

func TestControlFramesAreSentOnAHop(t *testing.T) {
	b, end := newBare(t, testClock), newWireEnd(t)
	if err := b.Plane.Send(fwd.Hop{Addr: end.addr()}, controlFrame(90)); err != nil {
		t.Fatal(err)
	}
	if err := b.Plane.Send(fwd.Hop{Addr: end.addr(), Label: 0x99}, controlFrame(91)); err != nil {
		t.Fatal(err)
	}
	end.expect(controlFrame(90), labelled(0x99, controlFrame(91)))
	if err := b.Plane.Send(fwd.Hop{Socket: 3}, controlFrame(90)); err != ErrNoSocket {
		t.Errorf("got %v, want ErrNoSocket", err)
	}
	if err := b.Plane.Send(fwd.Hop{Addr: netip.MustParseAddrPort("192.0.2.1:9")}, controlFrame(90)); err == nil {
		t.Error("no error for an unroutable hop")
	}
}
