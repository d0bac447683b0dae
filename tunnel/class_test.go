package tunnel

import (
	"testing"
	"time"

	"overlayd/internal/wire"
	"overlayd/tunnel/fwd"
)

// ofClass is a transport message as wireguard-go hands it over, with a packet of a class in it.
func ofClass(class wire.TrafficClass, size int, number byte) []byte {
	buffer := make([]byte, 1<<16-1)
	mark(buffer, size-16, class)
	return buffer[:copy(buffer, transport(size, number))]
}

func TestEachClassTravelsItsWay(t *testing.T) {
	b, first, second := newBare(t, testClock), newWireEnd(t), newWireEnd(t)
	to := b.peer(2)
	ways := alike(fwd.Way{Primary: first.path(2)})
	ways[wire.Bulk] = fwd.Way{Primary: second.path(2)}
	b.route(to, &fwd.Route{Ways: ways, Awake: true})
	b.send(to, ofClass(wire.DefaultTraffic, 100, 1), ofClass(wire.Interactive, 100, 2), ofClass(wire.Bulk, 5000, 3),
		ofClass(wire.Bulk, 100, 4), ofClass(wire.Interactive, 100, 5), ofClass(wire.Bulk, 100, 6))
	first.expect(transport(100, 1), transport(100, 2), transport(100, 5))
	second.expect(transport(5000, 3), transport(100, 4), transport(100, 6))
	want := [wire.TrafficClasses]ClassStats{{Packets: 1}, {Packets: 3}, {Packets: 2}, {}}
	if got := b.Stats().Classes; got != want {
		t.Errorf("counted %+v", got)
	}
}

func TestOnlyClassesThatWantItAreCopiedAndEachWithinItsBudget(t *testing.T) {
	clock := newManualClock()
	b, first, second := newBare(t, clock.read), newWireEnd(t), newWireEnd(t)
	to := b.peer(2)
	primary, other := first.path(2), second.path(2)
	ways := alike(fwd.Way{Primary: primary})
	ways[wire.Interactive] = fwd.Way{Primary: primary, Duplicate: other, Budget: fwd.NewBudget(1e6, 1e6)}
	ways[wire.Critical] = fwd.Way{Primary: primary, Duplicate: other, Budget: fwd.NewBudget(1000, 250)}
	b.route(to, &fwd.Route{Ways: ways, Awake: true})
	all := [][]byte{
		ofClass(wire.Critical, 100, 1), ofClass(wire.Critical, 100, 2), ofClass(wire.DefaultTraffic, 100, 3),
		ofClass(wire.Critical, 100, 4), ofClass(wire.Interactive, 100, 5), ofClass(wire.Bulk, 100, 6),
	}
	b.send(to, all...)
	clock.advance(time.Second)
	b.send(to, ofClass(wire.Critical, 100, 7))
	for i := range 7 {
		first.expect(transport(100, byte(i+1))) // all of them, in order
	}
	second.expect(transport(100, 1), transport(100, 2), transport(100, 5), transport(100, 7))
	want := [wire.TrafficClasses]ClassStats{
		{Packets: 1}, {Packets: 1}, {Packets: 1, Copies: 1}, {Packets: 4, Copies: 3, OverBudget: 1},
	}
	if got := b.Stats().Classes; got != want {
		t.Errorf("counted %+v", got)
	}
	if n := other.Counters.TxPackets.Load(); n != 4 {
		t.Errorf("%d copies counted on the path", n)
	}
}

// A class whose path is not known yet does not hold up the others.
func TestAClassWithoutAPathIsSentUndecided(t *testing.T) {
	b, first, second := newBare(t, testClock), newWireEnd(t), newWireEnd(t)
	to := b.peer(2)
	ways := alike(fwd.Way{Primary: first.path(2)})
	ways[wire.Bulk] = fwd.Way{Duplicate: first.path(2)}
	b.route(to, &fwd.Route{Ways: ways, All: []*fwd.Path{second.path(2)}, Awake: true})
	b.send(to, ofClass(wire.DefaultTraffic, 100, 1), ofClass(wire.Bulk, 100, 2), ofClass(wire.DefaultTraffic, 100, 3))
	first.expect(transport(100, 1), transport(100, 3))
	second.expect(transport(100, 2))
	if got := b.Stats().Classes[wire.Bulk]; got != (ClassStats{Packets: 1}) {
		t.Errorf("counted %+v", got)
	}
}

// BenchmarkSendClasses sends batches of 64 messages; an operation is one message. Classes that take the same path cost
// what one class does, since the kernel gets them at once.
func BenchmarkSendClasses(b *testing.B) {
	for _, c := range []struct {
		name string
		of   func(i int) wire.TrafficClass
	}{
		{"one class", func(int) wire.TrafficClass { return wire.DefaultTraffic }},
		{"one in eight interactive", func(i int) wire.TrafficClass { return wire.Interactive * wire.TrafficClass(i%8/7) }},
		{"one in eight critical, copied", func(i int) wire.TrafficClass { return wire.Critical * wire.TrafficClass(i%8/7) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			p, first, second := newBare(b, testClock), newWireEnd(b), newWireEnd(b)
			to := p.peer(2)
			ways := alike(fwd.Way{Primary: first.path(2)})
			ways[wire.Critical].Duplicate, ways[wire.Critical].Budget = second.path(2), fwd.NewBudget(1e12, 1e12)
			p.route(to, &fwd.Route{Ways: ways, Awake: true})
			var packets [][]byte
			for i := range 64 {
				packets = append(packets, ofClass(c.of(i), 1432, byte(i)))
			}
			device := &bind{plane: p.Plane}
			b.ReportAllocs()
			for n := 0; n < b.N; n += len(packets) {
				if err := device.Send(packets, to); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
