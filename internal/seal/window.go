package seal

// windowWords × 64 sequence numbers are remembered behind the highest one seen.
const windowWords = 16

// window remembers which sequence numbers have been seen, as RFC 4303 appendix A2 does for IPsec. Numbers that fall out
// behind it count as seen.
type window struct {
	top  uint64 // the highest number seen; 0 before the first
	bits [windowWords]uint64
}

// accept reports whether seq is new, and marks it.
func (w *window) accept(seq uint64) bool {
	const size = windowWords * 64
	if seq == 0 || seq+size-64 <= w.top {
		return false
	}
	if seq > w.top {
		for word := w.top/64 + 1; word <= seq/64 && word <= w.top/64+windowWords; word++ {
			w.bits[word%windowWords] = 0
		}
		w.top = seq
	}
	word, bit := seq/64%windowWords, uint64(1)<<(seq%64)
	if w.bits[word]&bit != 0 {
		return false
	}
	w.bits[word] |= bit
	return true
}
