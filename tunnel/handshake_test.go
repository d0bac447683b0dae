package tunnel

import (
	"testing"
	"time"

	"overlayd/internal/wire"
	"overlayd/tunnel/fwd"
)

func TestHandshakesGoOutOnEveryPath(t *testing.T) {
	b := newBare(t, testClock)
	to := b.peer(2)
	ends := []*wireEnd{newWireEnd(t), newWireEnd(t), newWireEnd(t)}
	var paths []*fwd.Path
	for _, e := range ends {
		paths = append(paths, e.path(2))
	}
	paths[1].Hop.Label = 0x77
	b.route(to, &fwd.Route{All: paths, Awake: true})
	for kind, size := range map[byte]int{1: 148, 2: 92, 3: 64} {
		m := handshakeMessage(kind, size)
		b.send(to, m)
		ends[0].expect(m)
		ends[1].expect(labelled(0x77, m))
		ends[2].expect(m)
	}
	for _, p := range paths {
		if p.Counters.TxPackets.Load() != 0 {
			t.Error("a handshake was counted as data")
		}
	}
}

func TestAHandshakeWithoutAnswerIsRepeatedAFewTimes(t *testing.T) {
	b, end := newBare(t, testClock), newWireEnd(t)
	to := b.peer(2)
	b.route(to, routeOn(end.path(2)))
	first := handshakeMessage(wire.WireGuardInitiation, 148)
	start := time.Now()
	b.send(to, first)
	end.expect(first, first)
	if after := time.Since(start); after < repeatAfter {
		t.Errorf("repeated after %v", after)
	}
	for range repeats + 3 { // the timer may do some of it; more than the bound never happen
		b.repeatHandshake(to)
	}
	for range repeats - 1 {
		end.expect(first)
	}
	b.send(to, transport(64, 1))
	end.expect(transport(64, 1))
}

func TestAHandshakeThatLedToASessionIsNotRepeated(t *testing.T) {
	b, end := newBare(t, testClock), newWireEnd(t)
	to := b.peer(2)
	b.route(to, routeOn(end.path(2)))
	first := handshakeMessage(wire.WireGuardInitiation, 148)
	b.send(to, first)
	b.send(to, transport(64, 1)) // with another receiver index than before
	b.repeatHandshake(to)
	b.send(to, transport(64, 2))
	end.expect(first, transport(64, 1), transport(64, 2))
}

func TestTheSessionInUseHasABeginning(t *testing.T) {
	clock := newManualClock()
	b, end := newBare(t, clock.read), newWireEnd(t)
	to := b.peer(2)
	b.route(to, routeOn(end.path(2)))
	since := func(want wire.Stamp) {
		t.Helper()
		if got := b.SessionSince(to.id); got != want {
			t.Errorf("since %v, want %v", got, want)
		}
	}
	b.send(to, handshakeMessage(wire.WireGuardInitiation, 148))
	since(0)
	clock.advance(time.Minute)
	first := clock.read()
	b.send(to, transport(64, 1))
	since(first)
	clock.advance(time.Minute)
	b.send(to, transport(64, 1))
	since(first)
	renewed := transport(64, 2)
	renewed[4] = 8 // the receiver's index
	b.send(to, renewed)
	since(clock.read())
	if got := b.SessionSince(wire.NodeID{9}); got != 0 {
		t.Errorf("a stranger has a session since %v", got)
	}
}

func TestAnInitiationWaitsForTheFirstPath(t *testing.T) {
	clock := newManualClock()
	b, end := newBare(t, clock.read), newWireEnd(t)
	to := b.peer(2)
	initiation := handshakeMessage(wire.WireGuardInitiation, 148)
	b.send(to, initiation)
	b.expectEvent(EventWake)
	b.route(to, &fwd.Route{Awake: true})
	clock.advance(holdFor - time.Second)
	b.route(to, routeOn(end.path(2)))
	end.expect(initiation)
	if n := b.waiting.Load(); n != 0 {
		t.Errorf("%d messages wait", n)
	}
}

func TestAnOldInitiationIsNotSent(t *testing.T) {
	clock := newManualClock()
	b, end := newBare(t, clock.read), newWireEnd(t)
	to := b.peer(2)
	b.send(to, handshakeMessage(wire.WireGuardInitiation, 148))
	b.send(to, handshakeMessage(wire.WireGuardInitiation, 148))
	if n := b.waiting.Load(); n != 1 {
		t.Errorf("%d messages wait, want the last one only", n)
	}
	clock.advance(holdFor + time.Second)
	b.route(to, routeOn(end.path(2)))
	b.send(to, transport(64, 1))
	end.expect(transport(64, 1))
	if n := b.waiting.Load(); n != 0 {
		t.Errorf("%d messages wait", n)
	}
}

func TestTwoSitesMeetAsSoonAsThereIsAPath(t *testing.T) {
	a, b := newSite(t, 1), newSite(t, 2)
	a.add(b)
	b.add(a)
	a.sendTo(b, 0, 3, 200)
	if e := a.event(EventWake); e.Peer != b.id {
		t.Errorf("woke %v", e.Peer)
	}
	start := time.Now()
	b.plane.Publish(directTable(a, pathTo(a, a.addr(), 0)))
	a.plane.Publish(directTable(b, pathTo(b, b.addr(), 0)))
	b.expect(0, 3)
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("took %v: the initiation was lost and made anew", took)
	}
}

func TestOfAnInitiationThatWaitsAndTheResponseThatTakesItsPlaceOnlyTheResponseGoesOut(t *testing.T) {
	b, end := newBare(t, testClock), newWireEnd(t)
	to := b.peer(2)
	b.send(to, handshakeMessage(wire.WireGuardInitiation, 148))
	response := handshakeMessage(wire.WireGuardResponse, 92)
	b.send(to, response)
	b.route(to, routeOn(end.path(2)))
	end.expect(response, response)
	if n := b.waiting.Load(); n != 0 {
		t.Errorf("%d messages wait", n)
	}
}
