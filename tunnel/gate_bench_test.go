package tunnel

import (
	"net/netip"
	"testing"
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

// BenchmarkGateRead reads batches of packets to one peer; an operation is one packet.
func BenchmarkGateRead(b *testing.B) {
	p := newBare(b, testClock)
	to := p.peer(2)
	to.session.alive.Store(true)
	p.gate.host = stillHost{packetsTo(netip.MustParseAddr("10.71.0.2"), benchBatch)}
	buffers, sizes := buffersOf(benchBatch)
	b.ReportAllocs()
	for n := 0; n < b.N; n += benchBatch {
		if _, err := p.gate.Read(buffers, sizes, 16); err != nil {
			b.Fatal(err)
		}
		to.session.inside.Store(0)
	}
}

// BenchmarkGateWrite writes batches of packets from one peer; an operation is one packet.
func BenchmarkGateWrite(b *testing.B) {
	p := newBare(b, testClock)
	p.peer(2)
	p.gate.host = stillHost{}
	packets := make([][]byte, benchBatch)
	for i := range packets {
		packets[i] = append(make([]byte, 16, 65535), packet(netip.MustParseAddr("10.71.0.2"), here, 1400, uint32(i))...)
	}
	bufs := make([][]byte, benchBatch)
	b.ReportAllocs()
	for n := 0; n < b.N; n += benchBatch {
		copy(bufs, packets)
		if _, err := p.gate.Write(bufs, 16); err != nil {
			b.Fatal(err)
		}
	}
}
