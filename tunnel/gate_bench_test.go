package tunnel

import (
	"net/netip"
	"testing"

	"overlayd/internal/wire"
)

// stillHost hands out the same packets for ever and throws away what it gets.
type stillHost struct{ packets [][]byte }

func (h stillHost) Read(packets [][]byte, sizes []int, offset int) (int, error) {
	for i, p := range h.packets {
		sizes[i] = copy(packets[i][offset:], p)
	}
	return len(h.packets), nil
}

func (h stillHost) Write(packets [][]byte, offset int) (int, error) { return len(packets), nil }

// benchBatch is how many packets the benchmarks of the gate have in a batch.
const benchBatch = 64

func buffersOf(n int) (buffers [][]byte, sizes []int) {
	buffers, sizes = make([][]byte, n), make([]int, n)
	for i := range buffers {
		buffers[i] = make([]byte, 65535)
	}
	return buffers, sizes
}

// gateTo is a gate with a peer that has a session, and sites if behind is not empty: a network behind the peer.
func gateTo(t testing.TB, behind ...netip.Prefix) (*bare, *peer) {
	b := newBare(t, testClock)
	to := b.peer(2)
	to.session.alive.Store(true)
	if len(behind) > 0 {
		b.SetSites(Sites{
			Self:     []netip.Addr{here},
			Carriers: map[netip.Prefix]wire.NodeID{behind[0]: to.id},
			Behind:   map[wire.NodeID][]netip.Prefix{to.id: behind},
		})
	}
	return b, to
}

// gateCases are what the gate does with packets: pass them as they are, or put a header on and take it off.
var gateCases = map[string]struct {
	behind []netip.Prefix
	addr   netip.Addr // to which, and from which, packets are
}{
	"plain":             {nil, netip.MustParseAddr("10.71.0.2")},
	"plain, with sites": {prefixes("10.2.0.0/16"), netip.MustParseAddr("10.71.0.2")},
	"carried":           {prefixes("10.2.0.0/16"), netip.MustParseAddr("10.2.0.1")},
}

// BenchmarkGateRead reads batches of packets to one peer; an operation is one packet.
func BenchmarkGateRead(b *testing.B) {
	for name, c := range gateCases {
		b.Run(name, func(b *testing.B) {
			p, to := gateTo(b, c.behind...)
			var packets [][]byte
			for i := range benchBatch {
				packets = append(packets, packet(here, c.addr, 1340, uint32(i)))
			}
			p.gate.host = stillHost{packets}
			buffers, sizes := buffersOf(benchBatch)
			b.ReportAllocs()
			for n := 0; n < b.N; n += benchBatch {
				if _, err := p.gate.Read(buffers, sizes, 16); err != nil {
					b.Fatal(err)
				}
				to.session.inside.Store(0)
			}
		})
	}
}

// BenchmarkGateWrite writes batches of packets from one peer; an operation is one packet.
func BenchmarkGateWrite(b *testing.B) {
	for name, c := range gateCases {
		b.Run(name, func(b *testing.B) {
			p, _ := gateTo(b, c.behind...)
			p.gate.host = stillHost{}
			packets, bufs := arriving(c.addr), make([][]byte, benchBatch)
			b.ReportAllocs()
			for n := 0; n < b.N; n += benchBatch {
				copy(bufs, packets)
				if _, err := p.gate.Write(bufs, 16); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// arriving are packets from an address as they come from the peer.
func arriving(from netip.Addr) [][]byte {
	packets := make([][]byte, benchBatch)
	header := newOuter(netip.MustParseAddr("10.71.0.2"), here)
	for i := range packets {
		buffer := make([]byte, 65535)
		size := copy(buffer[16:], packet(from, here, 1340, uint32(i)))
		if from != netip.MustParseAddr("10.71.0.2") {
			size = header.wrap(buffer[16:], size)
		}
		packets[i] = buffer[:16+size]
	}
	return packets
}
