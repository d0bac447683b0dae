package blackhole

import (
	"math/rand/v2"
	"testing"
	"time"

	"overlayd/internal/wire"
	"overlayd/probe"
)

// Whatever the measurements are, at most one path is on trial, a blocked path becomes clear by arrivals only, and what is kept
// is bounded by the paths there are.
func TestWhateverIsMeasured(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 0))
		var tr Tracker
		now, list := start, []Sample{}
		for id := range wire.PathID(1 + rng.IntN(5)) {
			list = append(list, Sample{Path: id + 1, Up: true})
		}
		for range 2000 {
			now = now.Add(time.Duration(rng.Int64N(int64(5 * time.Second))))
			before := map[wire.PathID]probe.Passage{}
			blocked := map[wire.PathID]bool{}
			for i := range list {
				s := &list[i]
				f, _ := tr.Finding(s.Path)
				before[s.Path], blocked[s.Path] = s.Passage, f == Blocked
				p := &s.Passage
				switch rng.IntN(4) {
				case 0:
					n := uint64(rng.IntN(10))
					*p = probe.Passage{Settled: p.Settled + n, Arrived: p.Arrived + n}
				case 1:
					p.Settled += 2
					p.Missing, p.Groups, p.MissingFor = p.Missing+2, p.Groups+1, p.MissingFor+time.Second
				case 2:
					s.Up = rng.IntN(5) > 0
				default:
					s.Partial = ""
					if rng.IntN(20) == 0 {
						s.Partial = "drops a part"
					}
				}
			}
			tr.Observe(now, list)
			for i := range list {
				s := &list[i]
				if f, why := tr.Finding(s.Path); blocked[s.Path] && f != Blocked && s.Passage.Arrived == before[s.Path].Arrived {
					t.Fatalf("seed %d: path %d is believed again without an arrival", seed, s.Path)
				} else if f == Blocked && why == "" {
					t.Fatalf("seed %d: path %d is blocked without a reason", seed, s.Path)
				}
			}
			tr.Trial(now, func(wire.PathID) bool { return rng.IntN(3) > 0 })
			trials := 0
			for _, p := range tr.paths {
				if !p.began.IsZero() {
					trials++
				}
			}
			if trials > 1 || len(tr.paths) != len(list) {
				t.Fatalf("seed %d: %d trials, %d paths kept of %d", seed, trials, len(tr.paths), len(list))
			}
		}
	}
}
