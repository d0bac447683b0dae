package tunnel

import (
	"net/netip"
	"testing"

	"overlayd/internal/wire"
	"overlayd/tunnel/fwd"
)

// nowhere are hops that the control loop publishes while it knows no address of a neighbor that has answered, and others that
// a socket cannot send to.
var nowhere = map[string]fwd.Hop{
	"no address":     {Label: 0x22},
	"no port":        {Addr: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), 0), Label: 0x22},
	"another family": {Addr: netip.MustParseAddrPort("[::1]:9"), Label: 0x22},
	"no socket":      {Socket: 9, Addr: netip.MustParseAddrPort("127.0.0.1:9"), Label: 0x22},
}

func TestFramesOfACircuitWithoutANextHopAreDroppedAndCounted(t *testing.T) {
	for name, hop := range nowhere {
		t.Run(name, func(t *testing.T) {
			n := newNeighbourhood(t)
			n.Publish(&fwd.Table{
				Labels: map[wire.Label]fwd.Entry{
					0x11: {From: wire.NodeID{'a'}, Switch: n.on},
					0x44: {From: wire.NodeID{'a'}, Switch: &fwd.Switch{To: hop, Counters: new(fwd.Counters)}},
				},
				Sources: map[netip.AddrPort]*fwd.Path{n.a.addr(): n.pathA},
			})
			n.a.send(n.addr(), // those that go on, before and after, are not held up
				labelled(0x11, transport(192, 1)), labelled(0x44, transport(192, 2)), labelled(0x44, sealedBy('a', 192)),
				labelled(0x11, transport(192, 3)), labelled(0x44, transport(192, 4)), transport(64, 5))
			got, _ := n.receive(1)
			expectPackets(t, got, transport(64, 5))
			n.b.expect(labelled(0x22, transport(192, 1)), labelled(0x22, transport(192, 3)))
			if s := n.Stats(); s.Forwarded != 2 || s.ForwardFailed != 3 {
				t.Errorf("%d forwarded, %d failed; want 2 and 3", s.Forwarded, s.ForwardFailed)
			}
		})
	}
}

func TestOwnFramesWithoutANextHopAreDroppedAndCounted(t *testing.T) {
	for name, hop := range nowhere {
		t.Run(name, func(t *testing.T) {
			b, end := newBare(t, testClock), newWireEnd(t)
			to, path := b.peer(2), &fwd.Path{Peer: wire.NodeID{2}, ID: 1, Hop: hop, Counters: new(fwd.Counters)}
			b.route(to, &fwd.Route{Ways: alike(fwd.Way{Primary: path}), All: []*fwd.Path{path}, Awake: true})
			b.send(to, transport(100, 1), transport(100, 2))
			if err := b.Plane.Send(hop, controlFrame(90)); err != ErrNoAddress && err != ErrNoSocket {
				t.Errorf("Send returned %v for a control frame", err)
			}
			if s := b.Stats(); s.SendFailed != 3 {
				t.Errorf("%d counted as failed, want 3", s.SendFailed)
			}
			if sent, _ := path.Counters.Bytes(); sent != 0 {
				t.Errorf("%d bytes counted as sent", sent)
			}
			b.route(to, &fwd.Route{Ways: alike(fwd.Way{Primary: end.path(2)}), Awake: true})
			b.send(to, transport(100, 3))
			end.expect(transport(100, 3))
		})
	}
}
