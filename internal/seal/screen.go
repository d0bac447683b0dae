package seal

import (
	"crypto/cipher"
	"maps"
	"slices"
	"sync/atomic"

	"overlayd/internal/wire"
)

// Screen tells who sealed a frame, for goroutines that receive and do not own the Box: so what is forged need not wait in
// line with what is genuine. It knows the members with whom the Box has a key by now; it neither derives keys, which costs
// a public-key operation, nor tells a recording from the first copy.
type Screen struct {
	keys atomic.Pointer[map[wire.Hint][]screened]
}

type screened struct {
	id   wire.NodeID
	open cipher.AEAD
}

// Screen is the screen of the box, which follows it from now on. There is one.
func (b *Box) Screen() *Screen {
	if b.screen == nil {
		b.screen = new(Screen)
		keys := make(map[wire.Hint][]screened)
		for _, p := range b.peers {
			if p.open != nil {
				keys[p.hint] = append(keys[p.hint], screened{p.id, p.open})
			}
		}
		b.screen.keys.Store(&keys)
	}
	return b.screen
}

// Sender is who sealed a control frame; false if nobody that the screen knows did. Scratch is overwritten if it has room
// for the frame.
func (s *Screen) Sender(frame, scratch []byte) (wire.NodeID, bool) {
	hint, prefix, nonce, sealed, err := wire.ParseControl(frame)
	if err != nil {
		return wire.NodeID{}, false
	}
	for _, k := range (*s.keys.Load())[hint] {
		if _, err := k.open.Open(scratch[:0], nonce, sealed, prefix); err == nil {
			return k.id, true
		}
	}
	return wire.NodeID{}, false
}

// with enters a peer whose key has been derived.
func (s *Screen) with(p *peer) {
	if s == nil {
		return
	}
	keys := maps.Clone(*s.keys.Load())
	keys[p.hint] = append(slices.Clip(keys[p.hint]), screened{p.id, p.open})
	s.keys.Store(&keys)
}

// without takes a peer away.
func (s *Screen) without(p *peer) {
	if s == nil {
		return
	}
	keys := maps.Clone(*s.keys.Load())
	keys[p.hint] = slices.DeleteFunc(slices.Clone(keys[p.hint]), func(k screened) bool { return k.id == p.id })
	if len(keys[p.hint]) == 0 {
		delete(keys, p.hint)
	}
	s.keys.Store(&keys)
}
