package tunnel

import (
	"testing"

	"golang.zx2c4.com/wireguard/conn"

	"overlayd/internal/wire"
	"overlayd/tunnel/fwd"
)

func transports(n, size int) [][]byte {
	var packets [][]byte
	for i := range n {
		packets = append(packets, transport(size, byte(i)))
	}
	return packets
}

func expectNoAllocations(t *testing.T, what string, run func()) {
	t.Helper()
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool forget")
	}
	if n := testing.AllocsPerRun(100, run); n != 0 {
		t.Errorf("%s: %v allocations a batch", what, n)
	}
}

func TestSendingDoesNotAllocate(t *testing.T) {
	b, end, second := newBare(t, testClock), newWireEnd(t), newWireEnd(t)
	to := b.peer(2)
	primary := end.path(2)
	primary.Hop.Label = 5
	way := fwd.Way{Primary: primary, Duplicate: second.path(2), Budget: fwd.NewBudget(1e12, 1e12)}
	b.route(to, &fwd.Route{Ways: alike(way)}) // not awake
	device, packets := &bind{plane: b.Plane}, transports(40, 1400)
	send := func() {
		if err := device.Send(packets, to); err != nil {
			t.Error(err)
		}
	}
	expectNoAllocations(t, "send", send)
	for i := range packets {
		packets[i] = ofClass(wire.TrafficClass(i%wire.TrafficClasses), 1400, byte(i))
	}
	expectNoAllocations(t, "send classes", send)
	b.route(to, nil)
	expectNoAllocations(t, "send without a route", send)
}

func TestReceivingDoesNotAllocate(t *testing.T) {
	n := newNeighbourhood(t)
	buffers, sizes, endpoints := make([][]byte, 128), make([]int, 128), make([]conn.Endpoint, 128)
	for i := range buffers {
		buffers[i] = make([]byte, 65535)
	}
	packets := transports(40, 1400)
	inner := make([][]byte, len(packets))
	for i, p := range packets {
		inner[i] = labelled(0x33, p)
	}
	batch := n.a.socket.NewBatch()
	for what, frames := range map[string][][]byte{"direct": packets, "out of a circuit": inner} {
		expectNoAllocations(t, what, func() {
			batch.Packets(n.addr(), 0, frames)
			if _, err := n.a.socket.Send(batch); err != nil {
				t.Error(err)
			}
			batch.Reset()
			for got := 0; got < len(frames); {
				k, err := n.in.receive(buffers, sizes, endpoints)
				if err != nil {
					t.Fatal(err)
				}
				n.backlogs[0].passed(n.backlogs[0].handed.Load())
				got += k
			}
		})
	}
}

func TestForwardingDoesNotAllocate(t *testing.T) {
	n := newNeighbourhood(t)
	buffers, sizes, endpoints := [][]byte{make([]byte, 65535)}, make([]int, 1), make([]conn.Endpoint, 1)
	frame := labelled(0x11, transport(1400, 1))
	frames := append(transports(0, 0), frame)
	for range 39 {
		frames = append(frames, frame)
	}
	last := transport(64, 1)
	batch := n.a.socket.NewBatch()
	expectNoAllocations(t, "forward", func() {
		batch.Packets(n.addr(), 0, frames)
		batch.Packet(n.addr(), 0, last) // receive returns when there is something for wireguard-go
		if _, err := n.a.socket.Send(batch); err != nil {
			t.Error(err)
		}
		batch.Reset()
		if _, err := n.in.receive(buffers, sizes, endpoints); err != nil {
			t.Error(err)
		}
		n.backlogs[0].passed(n.backlogs[0].handed.Load())
	})
}

func TestTheGateDoesNotAllocate(t *testing.T) {
	for name, c := range gateCases {
		b, to := gateTo(t, c.behind...)
		var packets [][]byte
		for i := range benchBatch {
			packets = append(packets, packet(here, c.addr, 1340, uint32(i)))
		}
		b.gate.host = stillHost{packets}
		buffers, sizes := buffersOf(benchBatch)
		came, bufs := arriving(c.addr), make([][]byte, benchBatch)
		expectNoAllocations(t, name+", out", func() {
			if _, err := b.gate.Read(buffers, sizes, 16); err != nil {
				t.Error(err)
			}
			to.session.inside.Store(0)
		})
		expectNoAllocations(t, name+", in", func() {
			copy(bufs, came)
			if _, err := b.gate.Write(bufs, 16); err != nil {
				t.Error(err)
			}
		})
		if s := b.Stats(); s.InRefused+s.OutRefused+s.NoPeer+s.NotAdmitted > 0 {
			t.Errorf("%s: %+v", name, s)
		}
	}
}
