package sim

import (
	"testing"
	"time"

	"overlayd/internal/wire"
	"overlayd/tunnel/classes"
)

const (
	lookupEvery = 20 * time.Millisecond
	lookupSize  = 120             // of a question and of an answer, as WireGuard sends it
	resolverFor = 5 * time.Second // RES_TIMEOUT of glibc: how long a stub resolver waits before it asks again
)

// lookups asks a server for a name at intervals, each question once, and returns how many were asked until a second ago and
// how many of those got no answer: each of them costs an application resolverFor at least.
func lookups(n *Net, from, server *Host, class wire.TrafficClass) func() (asked, unanswered int) {
	type lookup struct {
		at       time.Duration
		answered bool
	}
	questions, answers := map[uint64]*lookup{}, map[uint64]*lookup{}
	delivered := func(h *Host, of *Host, take func(seq uint64)) {
		next := h.Delivered
		h.Delivered = func(by *Host, seq uint64, sent time.Time) {
			if by == of {
				take(seq)
			}
			if next != nil {
				next(by, seq, sent)
			}
		}
	}
	delivered(server, from, func(seq uint64) {
		if q := questions[seq]; q != nil {
			answers[server.SendSized(from, class, lookupSize)] = q
		}
	})
	delivered(from, server, func(seq uint64) {
		if q := answers[seq]; q != nil {
			q.answered = true
		}
	})
	n.Every(lookupEvery, func() bool {
		questions[from.SendSized(server, class, lookupSize)] = &lookup{at: n.Now()}
		return true
	})
	return func() (asked, unanswered int) {
		for _, q := range questions {
			if q.at < n.Now()-time.Second {
				asked++
				if !q.answered {
					unanswered++
				}
			}
		}
		return asked, unanswered
	}
}

// dnsQuestion is the packet of a stub resolver to a server on the overlay.
func dnsQuestion() []byte {
	p := make([]byte, 60)
	p[0], p[9] = 0x45, 17 // IPv4, UDP
	copy(p[12:], []byte{10, 71, 0, 1, 10, 71, 0, 3})
	p[20], p[21], p[23] = 0x9c, 0x40, 53
	return p
}

// TestNoLookupWaitsForTheResolver cuts the path in use six times while names are looked up.
func TestNoLookupWaitsForTheResolver(t *testing.T) {
	lost := func(seed uint64, class wire.TrafficClass) int {
		n, belmont, _, boston := triangle(seed)
		stream(n, belmont, boston, time.Second) // a session, which lookups would wait for at first
		n.Run(5 * time.Second)
		count := lookups(n, belmont, boston, class)
		n.Run(5 * time.Second)
		for range 6 {
			n.Both(belmont, boston, func(l *Link) { l.Cut = true })
			n.Run(5 * time.Second)
			n.Both(belmont, boston, func(l *Link) { l.Cut = false })
			n.Run(15 * time.Second)
		}
		asked, unanswered := count()
		if asked < 6000 {
			t.Fatalf("only %d lookups", asked)
		}
		return unanswered
	}
	dns := classes.NewSet(nil).Of(dnsQuestion(), wire.NodeID{3})
	usual := 0
	for seed := range uint64(5) {
		if n := lost(seed, dns); n > 0 {
			t.Errorf("seed %d: %d lookups take %v and more", seed, n, resolverFor)
		}
		usual += lost(seed, wire.DefaultTraffic)
	}
	if usual == 0 {
		t.Error("no lookup is lost without the class either, so the test shows nothing")
	}
	t.Logf("as default traffic %d lookups of 5 runs take %v and more", usual, resolverFor)
}
