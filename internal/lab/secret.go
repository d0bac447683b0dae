package lab

import (
	"math/rand/v2"
	"slices"
	"sync"
)

// pieceLen is the length of the pieces of the known text that are looked for.
const pieceLen = 16

// secret is a known text and all its pieces. The text is of small letters and spaces only, and is sent over and over.
type secret struct {
	text   []byte
	pieces map[[pieceLen]byte]struct{}
}

// secretLen is the length of the text: more than a packet, little enough to know all its pieces.
const secretLen = 64 << 10

// newSecret makes a text from a seed.
func newSecret(seed uint64) *secret {
	r := rand.New(rand.NewPCG(seed, 0x736563726574))
	s := &secret{pieces: make(map[[pieceLen]byte]struct{}, secretLen)}
	for len(s.text) < secretLen {
		for range 2 + r.IntN(9) {
			s.text = append(s.text, byte('a'+r.IntN(26)))
		}
		s.text = append(s.text, ' ')
	}
	s.text = s.text[:secretLen]
	round := slices.Concat(s.text, s.text[:pieceLen-1])
	for i := range s.text {
		s.pieces[[pieceLen]byte(round[i:])] = struct{}{}
	}
	return s
}

// count is how many pieces of the text, overlapping ones included, b holds.
func (s *secret) count(b []byte) int {
	found, run := 0, 0
	for i, c := range b {
		if c != ' ' && (c < 'a' || c > 'z') {
			run = 0
			continue
		}
		if run++; run >= pieceLen {
			if _, ok := s.pieces[[pieceLen]byte(b[i+1-pieceLen:])]; ok {
				found++
			}
		}
	}
	return found
}

// capture is what a site's uplink carried, every packet whole.
type capture struct {
	mu       sync.Mutex // guards what follows
	packets  [][]byte
	size     int64
	overflow bool // more came than is kept
}

// maxCapture bounds a capture, in bytes.
const maxCapture = 256 << 20

// take adds a packet. It copies b.
func (c *capture) take(_ bool, b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.size+int64(len(b)) > maxCapture {
		c.overflow = true
		return
	}
	c.packets = append(c.packets, slices.Clone(b))
	c.size += int64(len(b))
}

// search counts the pieces of a text in all packets.
func (c *capture) search(s *secret) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	found := 0
	for _, p := range c.packets {
		found += s.count(p)
	}
	return found
}
