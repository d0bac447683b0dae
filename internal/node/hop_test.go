package node

import (
	"testing"
	"time"

	"overlayd/internal/circuit"
	"overlayd/internal/wire"
	"overlayd/tunnel/fwd"
)

// asks lets the other member send a probe every 10 ms for a while, answers all probes, and returns how many there were.
func (f *fixture) asks(check bool, d time.Duration) (probes int) {
	f.t.Helper()
	for seq := range uint32(d / (10 * time.Millisecond)) {
		f.control(wire.KindPing, (&wire.Ping{Path: 1, Seq: 10 + seq, Check: check}).Append(nil))
		f.run(10 * time.Millisecond)
		for _, out := range f.drain() {
			s, ok := out.(Send)
			if !ok || s.Kind != wire.KindPing {
				continue
			}
			frame, err := f.box.Open(s.Frame)
			if err != nil {
				f.t.Fatal(err)
			}
			ping, err := wire.ParsePing(frame.Body)
			if err != nil {
				f.t.Fatal(err)
			}
			if ping.Check {
				f.t.Error("a probe that answers a request asks for the same")
			}
			probes++
			f.control(wire.KindPong, (&wire.Pong{
				Path: ping.Path, Seq: ping.Seq, Nonce: ping.Nonce, Sent: ping.Sent, Received: 1, Replied: 1,
			}).Append(nil))
		}
	}
	return probes
}

// relay makes the core forward a circuit of the other member that has just carried something.
func (f *fixture) relay() {
	r := &relayed{
		Install: circuit.Install{ID: 1, A: f.other.ID(), B: wire.NodeID{9}},
		toA:     new(fwd.Counters), toB: new(fwd.Counters),
	}
	r.toB.Received(1, 100, f.core.Stamp(f.now))
	f.core.relaying[r.ID] = r
}

func TestARelayChecksItsPathsToANeighborThatAsksAFewTimesASecond(t *testing.T) {
	const d = 2 * time.Second
	f := newFixture(t)
	f.asks(false, d) // the path is up
	f.relay()
	if n := f.asks(false, d); n > 1 {
		t.Errorf("%d probes without a request", n)
	}
	f.relay()
	n, most := f.asks(true, d), int(d/hopCheckEvery)*4
	if n < 4 || n > most {
		t.Errorf("%d probes in %v of requests, want 4 to %d", n, d, most)
	}
}

func TestOnlyARelayOfACircuitInUseChecksItsPaths(t *testing.T) {
	f := newFixture(t)
	f.asks(false, 2*time.Second)
	if n := f.asks(true, time.Second); n > 1 {
		t.Errorf("%d probes for a member that no circuit is relayed for", n)
	}
	f.relay()
	f.run(carriedFor)
	if n := f.asks(true, time.Second); n > 1 {
		t.Errorf("%d probes for a circuit that carried nothing for %v", n, carriedFor)
	}
}
