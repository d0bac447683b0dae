package tunnel

import "testing"

// Package probe compares the two: what has not arrived is either lost or on the way.
func TestBothEndsKnowTheLatestPacket(t *testing.T) {
	a, b, ab, ba := connected(t)
	b.sendTo(a, 0, 1, 100)
	a.expect(0, 1)
	a.sendTo(b, 0, 70, 400)
	b.expect(0, 70)
	eventually(t, "both ends name the same packet as the latest", func() bool {
		sent, _ := ab.Counters.Seqs()
		_, received := ba.Counters.Seqs()
		return sent == received && sent >= 69
	})
}
