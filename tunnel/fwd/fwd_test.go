package fwd

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"overlayd/internal/wire"
)

func TestBudgetRefillsAtItsRateUpToItsDepth(t *testing.T) {
	b := NewBudget(1000, 500)
	start := wire.Stamp(time.Hour)
	steps := []struct {
		after time.Duration
		take  int
		want  bool
	}{
		{0, 400, true},
		{0, 101, false},
		{0, 100, true},
		{0, 1, false},
		{100 * time.Millisecond, 101, false},
		{100 * time.Millisecond, 100, true},
		{10 * time.Second, 501, false},
		{10 * time.Second, 500, true},
		{10 * time.Second, 1, false},
	}
	for i, s := range steps {
		if got := b.Take(s.take, start+wire.Stamp(s.after)); got != s.want {
			t.Errorf("step %d: took %d bytes after %v: %v, want %v", i, s.take, s.after, got, s.want)
		}
	}
}

func TestBudgetIsSharedWithoutOverdraft(t *testing.T) {
	const depth, each = 10000, 7
	b := NewBudget(1, depth)
	var (
		taken atomic.Int64
		group sync.WaitGroup
	)
	for range 4 {
		group.Go(func() {
			for range depth {
				if b.Take(each, 1) {
					taken.Add(each)
				}
			}
		})
	}
	group.Wait()
	if got := taken.Load(); got > depth || got <= depth-each {
		t.Errorf("%d bytes taken of %d", got, depth)
	}
}

func TestCountersCount(t *testing.T) {
	var c Counters
	c.Sent(2, 300)
	c.Received(3, 400, 99)
	if sent, received, last := c.Counts(); sent != 2 || received != 3 || last != 99 {
		t.Errorf("%d sent, %d received, last at %d", sent, received, last)
	}
	if c.TxBytes.Load() != 300 || c.RxBytes.Load() != 400 {
		t.Errorf("%d bytes sent, %d received", c.TxBytes.Load(), c.RxBytes.Load())
	}
	if sent, received := c.Bytes(); sent != 300 || received != 400 {
		t.Errorf("%d bytes sent, %d received", sent, received)
	}
	c.SentSeq(7)
	c.ReceivedSeq(8)
	if sent, received := c.Seqs(); sent != 7 || received != 8 {
		t.Errorf("sequence %d sent, %d received", sent, received)
	}
	var none *Counters
	none.SentSeq(1)
	none.ReceivedSeq(1)
	none.Sent(1, 1)
	none.Received(1, 1, 1)
	if sent, received, last := none.Counts(); sent+received+uint64(last) != 0 {
		t.Error("no counters have counted")
	}
	if sent, received := none.Bytes(); sent+received != 0 {
		t.Error("no counters have counted bytes")
	}
	if sent, received := none.Seqs(); sent+received != 0 {
		t.Error("no counters have sequences")
	}
}
