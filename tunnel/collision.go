package tunnel

import (
	"bytes"
	"sync"
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
	// Who only forges the address of a member does not know our key, which this takes.
	genuine := len(initiation) == device.MessageInitiationSize && p.cookies.CheckMAC1(initiation)
	if to := reg.live.Load(); to != nil {
		if p.collides(to) {
			return nil
		}
	} else if !genuine {
		return nil
	}
	if genuine && reg.initiation.copied(initiation, p.clock()) {
		return nil
	}
	return p.need(reg)
}

// copiesFor is how long copies of an initiation are dropped: by then the first one has been answered.
const copiesFor = 250 * time.Millisecond

// lastInitiation is the last initiation of a peer that wireguard-go got. An initiation goes out on all paths at once, and
// its copies arrive together; wireguard-go works off two of them at the same time, for it looks for a repeated time stamp
// before it takes the lock. Then it answers both, forgets the session of the first answer, and the peer, which takes the
// first one, sends for 15 s what nobody can decrypt.
type lastInitiation struct {
	mu        sync.Mutex // guards what follows: there is a receiver for each socket
	ephemeral [32]byte
	at        wire.Stamp // zero: none yet
}

// copied reports whether wireguard-go has just got this initiation, and notes that it gets it now if it has not.
func (l *lastInitiation) copied(initiation []byte, now wire.Stamp) bool {
	const ephemeralAt = 8
	ephemeral := [32]byte(initiation[ephemeralAt:])
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.at != 0 && ephemeral == l.ephemeral && now.Sub(l.at) < copiesFor {
		return true
	}
	l.ephemeral, l.at = ephemeral, max(now, 1)
	return false
}
