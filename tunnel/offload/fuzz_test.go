package offload

import (
	"slices"
	"testing"
)

func FuzzJoin(f *testing.F) {
	for _, flow := range flows() {
		a, b := flow.packet(payload(30, 1), tcpACK), flow.packet(payload(30, 2), tcpACK|tcpPSH)
		f.Add(a[offset:], b[offset:])
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		if len(a) == 0 || len(b) == 0 {
			return
		}
		buffers := [][]byte{append(make([]byte, offset), a...), append(make([]byte, offset), b...)}
		packets := unjoined(buffers)
		if got := split(t, join(buffers)); !slices.EqualFunc(got, packets, equalButID) {
			t.Error("the packets differ")
		}
	})
}

func FuzzSplit(f *testing.F) {
	for _, flow := range flows() {
		f.Add(join([][]byte{flow.packet(payload(30, 1), tcpACK), flow.packet(payload(30, 2), tcpACK|tcpPSH)})[0])
	}
	out := make([]byte, 2000)
	f.Fuzz(func(t *testing.T, b []byte) {
		var s Splitter
		if s.Begin(b) != nil {
			return
		}
		for n := 0; s.Pending(); n++ {
			if s.Next(out) > len(out) || n > MaxPacket {
				t.Fatal("no end")
			}
		}
	})
}

func BenchmarkJoin(b *testing.B) {
	f := flows()["TCP over IPv4"]
	var buffers [][]byte
	for i := range 45 {
		buffers = append(buffers, f.packet(payload(1347, byte(i)), tcpACK))
	}
	j := NewJoiner(true)
	b.SetBytes(45 * 1400)
	for b.Loop() {
		j.Join(buffers, offset)
	}
}
