package tunnel

import (
	"overlayd/internal/wire"
	"overlayd/tunnel/fwd"
)

// Screen tells who sealed a control frame, with room to open it in; false if nobody that it knows did. It is called from
// the goroutines that receive.
type Screen func(frame, scratch []byte) (wire.NodeID, bool)

// SetScreen makes the plane tell genuine control frames from forged ones before they wait for the control loop. Without a
// screen all may be anybody's.
func (p *Plane) SetScreen(s Screen) { p.screen.Store(&s) }

// Control frames that one member may send to the loop: a second, and at once, which is a quarter of the queue. An honest
// one with all paths in doubt sends some hundred a second.
const framesASecond, framesAtOnce = 1000, 256

func newFrames() *fwd.Budget { return fwd.NewBudget(framesASecond, framesAtOnce) }

// screen is who sealed a control frame, and whether that member is within its bound. From a source address nothing
// follows: anybody may write it.
func (r *receiver) screen(frame []byte) (by wire.NodeID, genuine, within bool) {
	s := r.plane.screen.Load()
	if s == nil {
		return wire.NodeID{}, false, true
	}
	if by, genuine = (*s)(frame, r.scratch[:]); !genuine {
		return wire.NodeID{}, false, true
	}
	reg := r.plane.peers.view.Load().peer(by)
	if reg == nil { // it is no member any more
		return by, false, true
	}
	return by, true, reg.frames.Take(1, r.now)
}
