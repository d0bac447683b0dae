package seal

import "crypto/cipher"

// Memory keeps the keys of pairs, so that the two boxes of a pair, and those of later runs, derive them once. For
// simulations in one goroutine, where one process is both ends of every pair.
type Memory struct {
	keys map[[2][32]byte]cipher.AEAD // by the public keys of sender and receiver
}

// NewMemory remembers nothing yet. It is for boxes of one network.
func NewMemory() *Memory { return &Memory{keys: make(map[[2][32]byte]cipher.AEAD)} }

// Share makes the box use the memory.
func (b *Box) Share(m *Memory) { b.memory = m }

func (m *Memory) derive(b *Box, p *peer) error {
	out := [2][32]byte{[32]byte(b.private.PublicKey().Bytes()), p.public}
	in := [2][32]byte{out[1], out[0]}
	p.seal, p.open = m.keys[out], m.keys[in]
	if p.seal != nil {
		return nil
	}
	if err := b.agree(p); err != nil {
		return err
	}
	m.keys[out], m.keys[in] = p.seal, p.open
	return nil
}
