package tunnel

import (
	"encoding/binary"
	"sync/atomic"
	"time"

	"overlayd/internal/wire"
)

// session is what can be seen from outside of a peer's WireGuard session: packets that go in from the TUN interface and
// transport messages that come out to the network. Without a session wireguard-go keeps packets, in 64 KB each; so what
// is inside has to be known.
type session struct {
	index   atomic.Uint32 // receiver index of the transport messages: another one is another session
	began   atomic.Uint64 // wire.Stamp of its first transport message; zero: there was none yet
	alive   atomic.Bool   // transport messages come out
	inside  atomic.Int64  // packets that went in and did not come out
	blocked atomic.Bool   // the gate waits for room
	room    chan struct{} // one element: there is room

	// What follows belongs to the gate.
	trickled  time.Time  // when it last let in a packet beyond the limit
	confirmed wire.Stamp // the last response of ours that a session came of
}

// sent notes transport messages that came out. The clock is read once a session.
func (s *session) sent(packets [][]byte, clock func() wire.Stamp) {
	if len(packets[0]) >= 8 {
		if index := binary.LittleEndian.Uint32(packets[0][4:8]); index != s.index.Load() {
			s.index.Store(index)
			s.began.Store(uint64(clock()))
		}
	}
	if onlyKeepalive(packets) {
		return
	}
	if !s.alive.Load() {
		s.alive.Store(true)
	}
	inside := s.inside.Add(-int64(len(packets)))
	if inside < 0 {
		s.inside.Store(0) // they went in before a session was lost
	}
	if inside < insideLimit && s.blocked.Load() && s.blocked.CompareAndSwap(true, false) {
		select {
		case s.room <- struct{}{}:
		default:
		}
	}
}

// stalled notes that nothing comes out any more. What is inside will never be known again, so counting begins anew.
func (s *session) stalled() {
	s.alive.Store(false)
	s.inside.Store(0)
}
