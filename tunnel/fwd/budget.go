package fwd

import (
	"sync/atomic"

	"overlayd/internal/wire"
)

// Budget is a token bucket in bytes that many goroutines may draw from without a lock. It keeps the time at which the
// bucket would be full again (the generic cell rate algorithm of ITU-T I.371), so that one word is all its state.
type Budget struct {
	perByte float64 // nanoseconds that one byte takes to refill
	depth   uint64  // nanoseconds that a full bucket takes to refill
	full    atomic.Uint64
	refused atomic.Uint64 // draws
}

// NewBudget is a full bucket of burst bytes that refills at rate bytes a second; both are positive.
func NewBudget(rate, burst float64) *Budget {
	perByte := 1e9 / rate
	return &Budget{perByte: perByte, depth: uint64(burst * perByte)}
}

// Refused is how many draws were refused so far.
func (b *Budget) Refused() uint64 {
	if b == nil {
		return 0
	}
	return b.refused.Load()
}

// Take draws n bytes at the given time and reports whether they were there.
func (b *Budget) Take(n int, now wire.Stamp) bool {
	cost := uint64(float64(n) * b.perByte)
	for {
		old := b.full.Load()
		next := max(old, uint64(now)) + cost
		if next > uint64(now)+b.depth {
			b.refused.Add(1)
			return false
		}
		if b.full.CompareAndSwap(old, next) {
			return true
		}
	}
}
