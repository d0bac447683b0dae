package tunnel

import (
	"bytes"
	"time"

	"overlayd/internal/wire"
	"overlayd/tunnel/fwd"
)

// collisionFor is how long an initiation of ours that was not answered keeps out those of the peer: a long round trip.
const collisionFor = 500 * time.Millisecond

// leads reports which of two ends wins if both begin a handshake at once: both must come to the same answer.
func leads(ours, theirs [32]byte) bool { return bytes.Compare(ours[:], theirs[:]) < 0 }

// collides reports whether an initiation is to be dropped since ours to the same peer is under way. Without that, two
// initiations that cross each other end both handshakes: each end answers the other's, thereby forgets its own, and does
// not understand the answer to it. WireGuard begins again only 5 s later. Two ends that both have something to send when
// a path comes up do so at the same moment.
func (p *Plane) collides(from wire.NodeID, frame []byte) bool {
	if !initiates(frame) {
		return false
	}
	to, known := p.peers.view.Load().peers[from]
	if !known || !leads(p.public, to.public) {
		return false
	}
	index := to.session.index.Load()
	h := &to.handshake
	h.mu.Lock()
	defer h.mu.Unlock()
	k := &h.kept[0]
	return k.repeats > 0 && k.index == index && p.clock().Sub(k.sent) < collisionFor
}

// initiates reports whether a WireGuard message begins a handshake.
func initiates(frame []byte) bool { return frame[0] == wire.WireGuardInitiation }

// unwanted reports whether a message that came directly is not to reach wireguard-go. Initiations are only taken from
// addresses that a member has proved to be at: that costs strangers no public-key operation of ours, and collisions can
// be told. A member whose address is new proves it within a round trip, and repeats its initiation.
func (p *Plane) unwanted(direct *fwd.Path, frame []byte) bool {
	if direct == nil {
		return initiates(frame)
	}
	return p.collides(direct.Peer, frame)
}
