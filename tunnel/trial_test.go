package tunnel

import (
	"testing"
	"time"

	"overlayd/tunnel/fwd"
)

func TestLittleIsSentOnPathsThatNeverAnswered(t *testing.T) {
	clock := newManualClock()
	b, known, named := newBare(t, clock.read), newWireEnd(t), newWireEnd(t)
	to := b.peer(2)
	route := &fwd.Route{
		All: []*fwd.Path{known.path(2), named.path(2)}, Known: 1, Trial: fwd.NewBudget(100, 400), Awake: true,
	}
	b.route(to, route)
	for i := range 3 {
		b.send(to, transport(100, byte(i)))
	}
	b.send(to, handshakeOf(148)) // does not fit any more
	known.expect(transport(100, 0), transport(100, 1), transport(100, 2), handshakeOf(148))
	named.expect(transport(100, 0), transport(100, 1), transport(100, 2))
	b.send(to, transport(100, 3), transport(100, 4)) // both or none
	known.expect(transport(100, 3), transport(100, 4))
	clock.advance(2 * time.Second)
	b.send(to, transport(100, 5))
	known.expect(transport(100, 5))
	named.expect(transport(100, 5))
	if n := b.Stats().NoPath; n != 3 {
		t.Errorf("%d packets were counted as not sent, want 3", n)
	}
}

// handshakeOf is a cookie reply or the like, which is sent once.
func handshakeOf(size int) []byte {
	b := make([]byte, size)
	b[0] = 3
	return b
}
