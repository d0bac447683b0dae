package tunnel

import (
	"bytes"
	"sync"
	"time"

	"golang.zx2c4.com/wireguard/device"

	"overlayd/internal/wire"
	"overlayd/tunnel/fwd"
)

// collisionFor is how long an initiation of ours that was not answered keeps out those of the peer: longer than any round
// trip. If it is shorter than that, each end takes the other's while its own is still to be answered.
const collisionFor = 1500 * time.Millisecond

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

// answers reports whether a WireGuard message is the response to an initiation.
func answers(frame []byte) bool { return frame[0] == wire.WireGuardResponse }

// unwanted reports whether a message that came directly is not to reach wireguard-go. Initiations are only taken from
// addresses that a member has proved to be at: that costs strangers no public-key operation of ours, and it is known who
// begins. A member whose address is new proves it within a round trip, and repeats its initiation.
func (p *Plane) unwanted(direct *fwd.Path, frame []byte) bool {
	if direct == nil {
		return initiates(frame)
	}
	if !wire.IsHandshake(frame) {
		return false // data: nobody needs to be looked up
	}
	switch reg := p.peers.view.Load().peer(direct.Peer); {
	case initiates(frame):
		return p.begun(reg, frame) == nil
	case answers(frame) && reg != nil:
		return reg.response.copied(frame, p.clock())
	}
	return false
}

// sender is the peer that a message out of a circuit comes from; nil if it is not to reach wireguard-go.
func (p *Plane) sender(circuit *fwd.Path, frame []byte) *peer {
	reg := p.peers.view.Load().peer(circuit.Peer)
	switch {
	case reg == nil:
		return nil
	case initiates(frame):
		return p.begun(reg, frame)
	case answers(frame) && reg.response.copied(frame, p.clock()):
		return nil
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
	to, genuine := reg.live.Load(), len(initiation) == device.MessageInitiationSize && p.cookies.CheckMAC1(initiation)
	switch {
	case to != nil && p.collides(to):
		return nil
	case to == nil && !genuine:
		return nil // who only forges the address of a member does not know our key, which this takes
	case reg.initiation.copied(initiation, p.clock()):
		return nil
	case !genuine:
		return p.need(reg) // wireguard-go refuses it, or asks for a cookie
	}
	switch reg.replay.look(p, reg.public, initiation) {
	case recorded:
		return nil
	case unopened:
		return to // which wireguard-go remembers the time stamps of, if it has it
	}
	return p.need(reg)
}

// copiesFor is how long copies of a handshake message are dropped: by then wireguard-go has worked off the first one.
const copiesFor = 250 * time.Millisecond

// lastMessage is the last handshake message of one type that wireguard-go got from a peer. They go out on all paths at
// once, and the copies may arrive together. Wireguard-go works off two at the same time, for it looks whether it has had
// one before it takes the lock. Then it answers both copies of an initiation and forgets the session of its first answer,
// which is the one that the peer takes; of two copies of a response it makes two sessions with the same keys and counters.
type lastMessage struct {
	mu     sync.Mutex // guards what follows: there is a receiver for each socket
	data   [maxHandshakeLen]byte
	length int // zero: none yet
	at     wire.Stamp
}

// copied reports whether wireguard-go has just got the same message, and notes that it gets this one now if it has not.
// All of it is compared: who changes a bit of it does not keep out the one that is genuine.
func (l *lastMessage) copied(message []byte, now wire.Stamp) bool {
	if len(message) > maxHandshakeLen {
		return false // wireguard-go refuses it
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if bytes.Equal(message, l.data[:l.length]) && now.Sub(l.at) < copiesFor {
		return true
	}
	l.length = copy(l.data[:], message)
	l.at = now
	return false
}
