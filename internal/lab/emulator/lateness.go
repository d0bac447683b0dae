package emulator

import (
	"math/bits"
	"time"
)

// Lateness is how much later than due packets were delivered: the error of the instrument. Buckets are powers of two
// of a microsecond.
type Lateness struct {
	buckets [32]uint64
	count   uint64
	max     time.Duration
}

func (l *Lateness) add(d time.Duration) {
	l.buckets[min(bits.Len64(uint64(max(0, d/time.Microsecond))), len(l.buckets)-1)]++
	l.count++
	l.max = max(l.max, d)
}

// Count is how many packets were delivered.
func (l Lateness) Count() uint64 { return l.count }

// Max is the worst case.
func (l Lateness) Max() time.Duration { return l.max }

// Quantile is a bound that the share q (0 to 1) of all packets kept, at most twice what it could be.
func (l Lateness) Quantile(q float64) time.Duration {
	seen := uint64(0)
	for i, n := range l.buckets {
		seen += n
		if seen > 0 && float64(seen) >= q*float64(l.count) {
			return min(time.Microsecond<<i, l.max)
		}
	}
	return l.max
}
