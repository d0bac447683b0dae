package tunnel

import (
	"testing"
)

func TestPacketsTravelDirectly(t *testing.T) {
	a, b, ab, ba := connected(t)
	a.sendTo(b, 0, 1, 100)
	b.expect(0, 1)
	b.sendTo(a, 0, 200, 1400)
	a.expect(0, 200)
	a.sendTo(b, 1, 50, 700)
	b.expect(1, 50)
	eventually(t, "both ends have counted the same packets", func() bool {
		sent, received := ab.Counters.TxPackets.Load(), ba.Counters.RxPackets.Load()
		return sent == received && sent >= 51
	})
	eventually(t, "both ends have counted the same bytes", func() bool {
		sent, received := ba.Counters.TxBytes.Load(), ab.Counters.RxBytes.Load()
		return sent == received && sent >= 200*1400
	})
	if ab.Counters.LastRx.Load() == 0 {
		t.Error("no time of the last reception")
	}
}

func TestPacketsTravelThroughARelay(t *testing.T) {
	r := newRelayed(t)
	r.a.sendTo(r.b, 0, 1, 100)
	r.b.expect(0, 1)
	r.b.sendTo(r.a, 0, 300, 1400)
	r.a.expect(0, 300)
	eventually(t, "both ends have counted the same packets", func() bool {
		sent, received := r.ba.Counters.TxPackets.Load(), r.ab.Counters.RxPackets.Load()
		return sent == received && sent >= 300
	})
	eventually(t, "the relay has counted packets and handshake", func() bool {
		frames := r.backward.Counters.RxPackets.Load() + r.forward.Counters.RxPackets.Load()
		return frames >= 303 && r.relay.plane.Stats().Forwarded == frames
	})
	if n := r.aRelay.Counters.RxPackets.Load(); n != 0 {
		t.Errorf("%d packets of the circuit were counted on the path to the relay", n)
	}
}
