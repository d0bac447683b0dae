package tunnel

import (
	"sync"

	"golang.zx2c4.com/wireguard/tai64n"

	"overlayd/internal/wire"
)

// WireGuard takes an initiation only if its time stamp is later than that of every earlier one of the peer. Two things go
// wrong with that if wireguard-go is left alone with it. It forgets the stamp with the peer, which is taken from it after
// five idle minutes: then a recorded initiation counts once more. And it never forgets it while it has the peer: if the
// clock of the peer goes back, what the peer sends is refused until that clock has caught up, for as long as it was ahead.
//
// So the latest stamp is kept with the registration, which outlives the peer, and forgotten together with the peer when
// the control plane, which needs no clock, has proof that the peer runs anew or that its clock went back (Forget).

const (
	// opensASecond and opensAtOnce bound the initiations of one member that are opened here: two public-key operations
	// each. A member begins one in 5 s, and repeats it in copies that are not opened.
	opensASecond = 2
	opensAtOnce  = 8
)

// replayMemory is the time stamp of the latest initiation that wireguard-go got from a peer.
type replayMemory struct {
	mu     sync.Mutex // guards what follows
	latest tai64n.Timestamp
	left   float64    // initiations that may be opened at once
	at     wire.Stamp // when left last grew; zero: never
}

// verdict is what is known of an initiation.
type verdict uint8

const (
	unopened verdict = iota // too many came, so that nobody has looked; or it does not open
	recorded                // it is not later than one before it, or somebody else's
	recent
)

// look opens an initiation of a peer and notes its time stamp.
func (m *replayMemory) look(p *Plane, public [32]byte, message []byte) verdict {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := p.clock()
	if m.at == 0 {
		m.left = opensAtOnce
	} else {
		m.left = min(opensAtOnce, m.left+now.Sub(m.at).Seconds()*opensASecond)
	}
	if m.at = now; m.left < 1 {
		return unopened
	}
	m.left--
	from, at, err := p.opener.Open(message)
	switch {
	case err != nil:
		return unopened
	case from != public || !at.After(m.latest):
		return recorded
	}
	m.latest = at
	return recent
}

func (m *replayMemory) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.latest = tai64n.Timestamp{}
}

// Forget ends the session with a peer and forgets when it last began one, so that its next initiation counts whatever its
// clock says. It is no error if the peer is not known. Packets that wait for a session are lost.
func (p *Plane) Forget(id wire.NodeID) error {
	r := &p.peers
	r.mu.Lock()
	defer r.mu.Unlock()
	reg := r.view.Load().peer(id)
	if reg == nil {
		return nil
	}
	if to := reg.live.Swap(nil); to != nil {
		p.drop(to)
	}
	reg.replay.forget()
	return nil
}
