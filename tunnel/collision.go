package tunnel

import (
	"bytes"
	"time"

	"golang.zx2c4.com/wireguard/device"

	"overlayd/internal/wire"
	"overlayd/tunnel/fwd"
)

// collisionFor is how long an initiation of ours that was not answered keeps out those of the peer: a long round trip.
const collisionFor = 500 * time.Millisecond

// leads reports which of two ends wins if both begin a handshake at once: both must come to the same answer.
func leads(ours, theirs [32]byte) bool { return bytes.Compare(ours[:], theirs[:]) < 0 }

// collides reports whether an initiation of a peer is to be dropped since ours to it is under way. Without that, two
// initiations that cross each other end both handshakes: each end answers the other's, thereby forgets its own, and does
// not understand the answer to it. WireGuard begins again only 5 s later. Two ends that both have something to send when
// a path comes up do so at the same moment.
func (p *Plane) collides(to *peer) bool {
	if !leads(p.public, to.public) {
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
// addresses that a member has proved to be at: that costs strangers no public-key operation of ours, and it is known who
// begins. A member whose address is new proves it within a round trip, and repeats its initiation.
func (p *Plane) unwanted(direct *fwd.Path, frame []byte) bool {
	return initiates(frame) && (direct == nil || p.begun(p.peers.view.Load().peer(direct.Peer), frame) == nil)
}

// sender is the peer that a message out of a circuit comes from; nil if it is not to reach wireguard-go.
func (p *Plane) sender(circuit *fwd.Path, frame []byte) *peer {
	reg := p.peers.view.Load().peer(circuit.Peer)
	switch {
	case reg == nil:
		return nil
	case initiates(frame):
		return p.begun(reg, frame)
	}
	return reg.live.Load() // without it there is no session
}

// begun is the peer whose initiation this is, for wireguard-go to have it; nil if the initiation is to be dropped. Reg
// may be nil.
func (p *Plane) begun(reg *registration, initiation []byte) *peer {
	if reg == nil {
		return nil
	}
	if t := p.table.Load(); t != nil && t.Routes[reg.id] != nil && t.Routes[reg.id].Held {
		return nil // it is repeated
	}
	if to := reg.live.Load(); to != nil {
		if p.collides(to) {
			return nil
		}
	} else if len(initiation) != device.MessageInitiationSize || !p.cookies.CheckMAC1(initiation) {
		return nil // who only forges the address of a member does not know our key, which this takes
	}
	return p.need(reg)
}
