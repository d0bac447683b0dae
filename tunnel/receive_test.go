package tunnel

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"golang.zx2c4.com/wireguard/conn"

	"overlayd/internal/wire"
	"overlayd/tunnel/fwd"
)

// neighbourhood is a plane with a neighbour a, a neighbour b, a circuit that goes on from a to b (label 0x11 becomes
// 0x22), and one that ends here, from peer c through a (label 0x33).
type neighbourhood struct {
	*bare
	a, b, stranger *wireEnd
	pathA, pathB   *fwd.Path
	circuit        *fwd.Path
	on             *fwd.Switch
	c              *peer
}

func newNeighbourhood(t testing.TB) *neighbourhood {
	n := &neighbourhood{bare: newBare(t, testClock), a: newWireEnd(t), b: newWireEnd(t), stranger: newWireEnd(t)}
	n.peer('a')
	n.c = n.peer('c')
	n.pathA, n.pathB = n.a.path('a'), n.b.path('b')
	n.circuit = &fwd.Path{Peer: n.c.id, ID: 2, Counters: new(fwd.Counters)}
	n.on = &fwd.Switch{To: fwd.Hop{Addr: n.b.addr(), Label: 0x22}, Counters: new(fwd.Counters)}
	n.SetScreen(func(frame, scratch []byte) (wire.NodeID, bool) {
		by := frame[len(frame)-1]
		return wire.NodeID{by}, by == 'a' || by == 'c'
	})
	n.Publish(&fwd.Table{
		Labels: map[wire.Label]fwd.Entry{
			0x11: {From: wire.NodeID{'a'}, Switch: n.on},
			0x33: {From: wire.NodeID{'a'}, Path: n.circuit},
		},
		Sources: map[netip.AddrPort]*fwd.Path{n.a.addr(): n.pathA, n.b.addr(): n.pathB},
	})
	return n
}

// sealedBy is a control frame that the screen takes for genuine.
func sealedBy(member byte, size int) []byte {
	frame := controlFrame(size)
	frame[size-1] = member
	return frame
}

func expectPackets(t *testing.T, got [][]byte, want ...[]byte) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d packets went up, want %d", len(got), len(want))
	}
	for i := range got {
		if !bytes.Equal(got[i], want[i]) {
			t.Errorf("packet %d is %.16x of %d bytes, want %.16x of %d", i, got[i], len(got[i]), want[i], len(want[i]))
		}
	}
}

func TestOneMessageMayHoldFramesOfEveryClass(t *testing.T) {
	n := newNeighbourhood(t)
	const size = 200
	n.a.send(n.addr(),
		transport(size, 1),
		labelled(0x11, transport(size-8, 2)),
		sealedBy('a', size),
		labelled(0x33, transport(size-8, 3)),
		labelled(0x33, sealedBy('c', size-8)),
		labelled(0x77, transport(size-8, 4)),
		bytes.Repeat([]byte{0xee}, size),
		append([]byte{wire.FirstJoin}, make([]byte, size-1)...),
		labelled(0x11, transport(size-8, 5)),
		transport(size/2, 6),
	)
	got, from := n.receive(128)
	expectPackets(t, got, transport(size, 1), transport(size-8, 3), transport(size/2, 6))
	if from[0].DstIP() != n.a.addr().Addr() || from[0].DstToString() != n.a.addr().String() || from[1] != n.c {
		t.Errorf("packets came from %v and %v", from[0], from[1])
	}
	n.b.expect(labelled(0x22, transport(size-8, 2)), labelled(0x22, transport(size-8, 5)))

	e := n.expectEvent(EventControl)
	if e.Path != nil || e.Peer != (wire.NodeID{'a'}) || e.From != n.a.addr() ||
		!bytes.Equal(e.Data, sealedBy('a', size)) {
		t.Errorf("event %+v", e)
	}
	if age := time.Since(e.At); age < 0 || age > patience {
		t.Errorf("received %v ago", age)
	}
	e = n.expectEvent(EventControl)
	if e.Path != n.circuit || e.Peer != n.c.id || !bytes.Equal(e.Data, sealedBy('c', size-8)) {
		t.Errorf("event %+v", e)
	}
	if e = n.expectEvent(EventUnknownLabel); e.Label != 0x77 || e.From != n.a.addr() || e.Peer != (wire.NodeID{'a'}) {
		t.Errorf("event %+v", e)
	}
	n.expectEvent(EventJoin)
	n.expectNoEvent()
	if sent, received, last := n.pathA.Counters.Counts(); sent != 0 || received != 2 || last == 0 {
		t.Errorf("direct path: %d sent, %d received, last at %d", sent, received, last)
	}
	if n.circuit.Counters.RxPackets.Load() != 1 || n.circuit.Counters.RxBytes.Load() != size-8 {
		t.Errorf("circuit: %d packets received", n.circuit.Counters.RxPackets.Load())
	}
	if n.on.Counters.RxPackets.Load() != 2 || n.on.Counters.LastRx.Load() == 0 {
		t.Errorf("switch: %d frames", n.on.Counters.RxPackets.Load())
	}
	if s := n.Stats(); s.Ignored != 1 || s.UnknownLabel != 1 || s.Forwarded != 2 {
		t.Errorf("%+v", s)
	}
}

// A peer whose session this node does not have any more, since it was restarted, sends data over a circuit: it arrived, so the
// relays did not lose it.
func TestDataOfASessionThatIsGoneCounts(t *testing.T) {
	n := newNeighbourhood(t)
	gone := &fwd.Path{Peer: wire.NodeID{'d'}, ID: 3, Counters: new(fwd.Counters)}
	n.Publish(&fwd.Table{
		Labels:  map[wire.Label]fwd.Entry{0x44: {From: wire.NodeID{'a'}, Path: gone}},
		Sources: map[netip.AddrPort]*fwd.Path{n.a.addr(): n.pathA},
	})
	n.a.send(n.addr(), labelled(0x44, transport(100, 1)), labelled(0x44, transport(100, 2)), transport(100, 3))
	got, _ := n.receive(128)
	expectPackets(t, got, transport(100, 3))
	if packets := gone.Counters.RxPackets.Load(); packets != 2 {
		t.Errorf("%d packets counted of 2 that arrived", packets)
	}
}

func TestALabelIsGoodOnlyFromItsNeighbour(t *testing.T) {
	for name, sender := range map[string]func(*neighbourhood) *wireEnd{
		"another neighbour": func(n *neighbourhood) *wireEnd { return n.b },
		"a stranger":        func(n *neighbourhood) *wireEnd { return n.stranger },
	} {
		t.Run(name, func(t *testing.T) {
			n := newNeighbourhood(t)
			sender(n).send(n.addr(),
				labelled(0x11, transport(100, 1)), labelled(0x33, transport(100, 2)), transport(108, 3))
			got, _ := n.receive(128)
			expectPackets(t, got, transport(108, 3))
			n.expectEvent(EventUnknownLabel)
			n.expectNoEvent() // one for each read is enough
			if s := n.Stats(); s.Forwarded != 0 || s.UnknownLabel != 2 {
				t.Errorf("%+v", s)
			}
			if n.circuit.Counters.RxPackets.Load() != 0 {
				t.Error("a stranger's packet was counted on the circuit")
			}
		})
	}
}

func TestLabelsAreSwitchedInWholeMessages(t *testing.T) {
	n := newNeighbourhood(t)
	var frames, want [][]byte
	for i := range 40 {
		frames = append(frames, labelled(0x11, transport(1400, byte(i))))
		want = append(want, labelled(0x22, transport(1400, byte(i))))
	}
	frames, want = append(frames, labelled(0x11, transport(33, 99))), append(want, labelled(0x22, transport(33, 99)))
	n.a.send(n.addr(), append(frames, transport(64, 1))...)
	n.receive(1)
	n.b.expect(want...)
	if got := n.on.Counters.RxPackets.Load(); got != 41 {
		t.Errorf("%d frames counted", got)
	}
}

func TestRelayingStopsAtItsCeiling(t *testing.T) {
	n := newNeighbourhood(t)
	n.on.Budget = fwd.NewBudget(1, 1000) // so many bytes, and practically none later
	for i := range 3 {
		n.a.send(n.addr(), labelled(0x11, transport(392, byte(i))), labelled(0x11, transport(292, byte(i))), transport(64, 1))
		n.receive(1)
	}
	n.b.expect(labelled(0x22, transport(392, 0)), labelled(0x22, transport(292, 0)))
	if s := n.Stats(); s.Forwarded != 2 || s.OverCeiling != 4 || s.ForwardFailed != 0 {
		t.Errorf("%+v", s)
	}
	if got := n.on.Counters.RxPackets.Load(); got != 2 {
		t.Errorf("%d frames counted as forwarded", got)
	}
	n.on.Budget = nil
	n.a.send(n.addr(), labelled(0x11, transport(92, 9)), transport(64, 1))
	n.receive(1)
	n.b.expect(labelled(0x22, transport(92, 9)))
}

func TestAFrameMayBeTooShortForItsLabel(t *testing.T) {
	n := newNeighbourhood(t)
	frame := labelled(0x11, transport(100, 1))
	n.a.send(n.addr(), frame, frame[:8], transport(64, 1))
	n.receive(1)
	n.b.expect(labelled(0x22, transport(100, 1)))
	if s := n.Stats(); s.Ignored != 1 || s.Forwarded != 1 {
		t.Errorf("%+v", s)
	}
}

func TestWhatDoesNotFitWaitsForTheNextCall(t *testing.T) {
	n := newNeighbourhood(t)
	var frames [][]byte
	for i := range 10 {
		frames = append(frames, transport(300, byte(i)))
	}
	for i := range 10 {
		frames = append(frames, labelled(0x33, transport(292, byte(10+i))))
	}
	n.a.send(n.addr(), frames...)
	for i := 0; i < 20; {
		got, _ := n.receive(3)
		for _, p := range got {
			if p[20] != byte(i) {
				t.Fatalf("packet %d came when %d was due", p[20], i)
			}
			i++
		}
	}
	if a, c := n.pathA.Counters.RxPackets.Load(), n.circuit.Counters.RxPackets.Load(); a != 10 || c != 10 {
		t.Errorf("%d packets counted on the direct path and %d on the circuit", a, c)
	}
}

func TestOnlyMembersBeginHandshakesAndTheyAreNotCounted(t *testing.T) {
	n := newNeighbourhood(t)
	initiation, other := handshakeMessage(wire.WireGuardInitiation, 148), handshakeMessage(wire.WireGuardInitiation, 148)
	other[4] = 1
	n.stranger.send(n.addr(), other)
	n.a.send(n.addr(), initiation)
	got, from := n.receive(128)
	expectPackets(t, got, initiation)
	if from[0].DstIP() != n.a.addr().Addr() || len(from[0].DstToBytes()) == 0 {
		t.Errorf("from %v", from[0])
	}
	if n.pathA.Counters.RxPackets.Load() != 0 {
		t.Error("a handshake was counted as data")
	}
}

func TestCookieRepliesGoBackToWhereTheyWereAskedFor(t *testing.T) {
	n := newNeighbourhood(t)
	n.a.send(n.addr(), handshakeMessage(wire.WireGuardInitiation, 148))
	_, from := n.receive(128)
	cookie := handshakeMessage(wire.WireGuardCookie, 64)
	if err := (&bind{plane: n.Plane}).Send([][]byte{cookie}, from[0]); err != nil {
		t.Fatal(err)
	}
	n.a.expect(cookie)
}

func TestStrangersCannotFillTheQueue(t *testing.T) {
	n := newNeighbourhood(t)
	stun := make([]byte, 28)
	copy(stun[4:], []byte{0x21, 0x12, 0xa4, 0x42})
	for range 3 * cap(n.events) {
		n.stranger.send(n.addr(), stun)
	}
	n.stranger.send(n.addr(), transport(64, 1))
	for got := 0; got == 0; {
		packets, _ := n.receive(1)
		got = len(packets)
	}
	n.a.send(n.addr(), sealedBy('a', 100), transport(64, 1))
	n.receive(1)
	strangers := 0
	for e := range drained(n.events) {
		if e.Kind == EventSTUN {
			strangers++
			continue
		}
		if e.Kind != EventControl || strangers != cap(n.events)/2 {
			t.Errorf("event of kind %d after %d of strangers", e.Kind, strangers)
		}
		if dropped := n.Stats().EventsDropped; dropped != uint64(3*cap(n.events)-strangers) {
			t.Errorf("%d events counted as dropped", dropped)
		}
		return
	}
	t.Error("the neighbour's frame was lost")
}

// Source addresses are free to choose: what comes from a neighbour's address and is not sealed by it, a STUN request or a
// label that means nothing is anybody's, and does not keep out what members send from wherever.
func TestWhatClaimsToComeFromANeighbourCannotFillTheQueue(t *testing.T) {
	stun := make([]byte, 28)
	copy(stun[4:], []byte{0x21, 0x12, 0xa4, 0x42})
	for name, frame := range map[string][]byte{
		"forged control frames": controlFrame(100),
		"STUN requests":         stun,
		"requests to join":      append([]byte{wire.FirstJoin}, make([]byte, 99)...),
		"unknown labels":        labelled(0x77, transport(64, 4)),
	} {
		n := newNeighbourhood(t)
		for range 3 * cap(n.events) {
			n.a.send(n.addr(), frame)
		}
		n.stranger.send(n.addr(), sealedBy('c', 100)) // a member that has moved
		n.b.send(n.addr(), transport(64, 1))
		n.receive(1)
		forged, genuine := 0, 0
		for len(n.events) > 0 {
			if e := <-n.events; e.Kind == EventControl && e.Peer == n.c.id {
				genuine++
			} else {
				forged++
			}
		}
		if forged > cap(n.events)/2 || genuine != 1 {
			t.Errorf("%s: %d in a queue of %d, %d of the frame of a member", name, forged, cap(n.events), genuine)
		}
	}
}

func TestOneMemberCannotFillTheQueue(t *testing.T) {
	n := newNeighbourhood(t)
	const sent = 4 * framesAtOnce
	got := 0
	begin := time.Now()
	for i := range sent {
		n.a.send(n.addr(), sealedBy('a', 100), transport(64, 1))
		n.receive(1)
		if len(n.events) > 0 {
			<-n.events
			got++
		}
		if i == sent-1 {
			n.a.send(n.addr(), sealedBy('c', 100), transport(64, 1))
			n.receive(1)
			if e := n.expectEvent(EventControl); e.Peer != n.c.id {
				t.Errorf("event of %v", e.Peer)
			}
		}
	}
	if most := framesAtOnce + 1 + int(time.Since(begin).Seconds()*framesASecond); got > most {
		t.Errorf("%d frames of one member, at most %d are allowed", got, most)
	}
}

func TestStrangersDoNotMakeTheReceiverWait(t *testing.T) {
	n := newNeighbourhood(t)
	for range backlogLimit/16 + 2 {
		n.stranger.send(n.addr(), transports(16, 64)...)
		n.receive(16)
	}
	if n.in.backlog.full() {
		t.Error("packets that wireguard-go drops at once were counted as queued")
	}
}

func TestSourcesAreNotRememberedWithoutBound(t *testing.T) {
	n := newNeighbourhood(t)
	for i := range 3 * sourcesKept {
		n.in.endpoint(netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), uint16(i+1)))
	}
	if len(n.in.sources) > sourcesKept {
		t.Errorf("%d sources remembered", len(n.in.sources))
	}
}

// drained is what a channel holds now.
func drained(c <-chan Event) func(func(Event) bool) {
	return func(yield func(Event) bool) {
		for {
			select {
			case e := <-c:
				if !yield(e) {
					return
				}
			default:
				return
			}
		}
	}
}

// FuzzReceive feeds the classification and label handling with messages as a Reader returns them.
func FuzzReceive(f *testing.F) {
	f.Add(labelled(0x11, transport(20, 1)), 28, true)
	f.Add(append(labelled(0x33, transport(32, 1)), labelled(0x11, transport(32, 1))...), 40, true)
	f.Add(append(transport(32, 1), labelled(0x33, controlFrame(100))...), 32, true)
	f.Add(labelled(0x77, transport(20, 1)), 9, false)
	f.Add([]byte{'L'}, 0, false)
	n := newNeighbourhood(f)
	events := make(chan Event, 1)
	n.Plane.events.to = events
	table := n.table.Load()
	buffers := make([][]byte, 8)
	for i := range buffers {
		buffers[i] = make([]byte, 65535)
	}
	f.Fuzz(func(t *testing.T, data []byte, segment int, neighbour bool) {
		if len(data) > 8192 {
			return
		}
		if segment < 0 || segment >= len(data) {
			segment = 0
		}
		from := n.stranger.addr()
		if neighbour {
			from = n.a.addr()
		}
		length := len(data)
		for n.in.offset = 0; ; {
			n.in.up = upward{packets: buffers, sizes: make([]int, 8), endpoints: make([]conn.Endpoint, 8)}
			n.in.forward.begin(table)
			before := n.in.offset
			done := n.in.message(table, data, segment, from)
			n.in.forward.flush()
			n.in.told = false
			for i := range n.in.up.n {
				if wire.Classify(buffers[i][:n.in.up.sizes[i]]) != wire.ClassWireGuard {
					t.Fatalf("%.16x went up", buffers[i][:n.in.up.sizes[i]])
				}
			}
			for e := range drained(events) {
				if e.Kind == EventControl && wire.Classify(e.Data) != wire.ClassControl {
					t.Fatalf("%.16x is no control frame", e.Data)
				}
			}
			if done {
				break
			}
			if n.in.offset == before {
				t.Fatal("no progress")
			}
		}
		if n.in.offset != length {
			t.Fatalf("%d of %d bytes handled", n.in.offset, length)
		}
	})
}
