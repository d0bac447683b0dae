package sim

import (
	"slices"
	"testing"
	"time"
)

const (
	massHosts  = 30
	massPairs  = 20
	massWithin = 5 * time.Second // in which every pair has its first answer; WireGuard repeats an initiation after 5 s
)

// asks lets a host send to another one every second, which answers, and returns when the first answer to a question that was
// asked at since or later came; zero if none did.
func asks(n *Net, from, to *Host, offset time.Duration) (answered func(since time.Duration) time.Duration) {
	questions, answers := map[uint64]time.Duration{}, map[uint64]time.Duration{}
	var came []time.Duration // pairs: asked at, answered at
	next := to.Delivered
	to.Delivered = func(by *Host, seq uint64, sent time.Time) {
		if at, ok := questions[seq]; ok && by == from {
			answers[to.Send(from)] = at
		}
		if next != nil {
			next(by, seq, sent)
		}
	}
	before := from.Delivered
	from.Delivered = func(by *Host, seq uint64, sent time.Time) {
		if at, ok := answers[seq]; ok && by == to {
			came = append(came, at, n.Now())
		}
		if before != nil {
			before(by, seq, sent)
		}
	}
	n.After(offset, func() {
		n.Every(time.Second, func() bool {
			questions[from.Send(to)] = n.Now()
			return true
		})
	})
	return func(since time.Duration) time.Duration {
		for pair := range slices.Chunk(came, 2) {
			if pair[0] >= since {
				return pair[1]
			}
		}
		return 0
	}
}

// TestMassStart kills all hosts of a network and starts them within a second, with what their disks held: all at once, and
// one after another while the others still run.
func TestMassStart(t *testing.T) {
	seeds := uint64(3)
	if testing.Short() {
		seeds = 1
	}
	for _, mode := range []string{"at once", "one after another"} {
		var took []time.Duration
		for seed := range seeds {
			c := gather(t, seed, massHosts)
			c.Run(20 * time.Second)
			var pairs []func(time.Duration) time.Duration
			for range massPairs {
				order := c.rng.Perm(massHosts)
				pairs = append(pairs, asks(c.Net, c.hosts[order[0]], c.hosts[order[1]], time.Duration(c.rng.Int64N(int64(time.Second)))))
			}
			c.Run(5 * time.Second)
			for _, h := range c.hosts {
				restart := h.Start
				if mode == "at once" {
					h.Kill()
				} else {
					restart = func() { h.Kill(); h.Start() }
				}
				c.After(time.Duration(c.rng.Int64N(int64(time.Second))), restart)
			}
			c.Run(time.Second)
			up := c.Now()
			c.Run(25 * time.Second)
			for i, answered := range pairs {
				at := answered(up)
				if at == 0 || at-up > massWithin {
					t.Errorf("%s, seed %d: pair %d has its first answer at %v, and all were up at %v", mode, seed, i, at, up)
					continue
				}
				took = append(took, at-up)
			}
		}
		slices.Sort(took)
		if len(took) > 0 {
			t.Logf("%s: the first answer after all are up: median %v, at most %v", mode, took[len(took)/2], took[len(took)-1])
		}
	}
}
