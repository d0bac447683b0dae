package sim

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"overlayd/internal/control"
)

// replayer delivers again whatever has been delivered: once or twice, at random later times, from the address that it
// came from, from that of another member, or from a stranger's. Its choices are its own: they do not disturb the run.
type replayer struct {
	net      *Net
	rng      *rand.Rand
	within   time.Duration
	replayed int
	replies  int // to the stranger
}

var strangersAddress = netip.MustParseAddrPort("203.0.113.9:4000")

// replay begins to record and to replay within the given time.
func replay(n *Net, within time.Duration) *replayer {
	r := &replayer{net: n, rng: rand.New(rand.NewPCG(n.Seed, 99)), within: within}
	n.byAddr[strangersAddress] = r
	n.tap = r.delivered
	return r
}

// receive is what a member sends to the stranger.
func (r *replayer) receive(datagram) { r.replies++ }

func (r *replayer) delivered(d datagram) {
	if d.from == strangersAddress || d.to == strangersAddress {
		return
	}
	for range 1 + r.rng.IntN(2) {
		again := d
		switch r.rng.IntN(4) {
		case 0:
			again.from = r.net.hosts[r.rng.IntN(len(r.net.hosts))].address
		case 1:
			again.from = strangersAddress
		}
		r.net.After(time.Duration(r.rng.Int64N(int64(r.within))), func() {
			if p := r.net.byAddr[again.to]; p != nil {
				r.replayed++
				p.receive(again)
			}
		})
	}
}

// circumstances is what a replay may not change: the members, the paths that are measured and which of them carries
// data, and the labels that mean something.
func circumstances(n *Net) string {
	var text strings.Builder
	for _, h := range n.hosts {
		var peers strings.Builder
		labels := len(h.table.Labels)
		for _, p := range h.Core.Paths(n.now) {
			var candidates []string
			for _, c := range p.Candidates {
				if c.State == control.StateDead && len(c.Via) > 0 { // ways that are tried in vain come and go
					labels--
					continue
				}
				candidates = append(candidates, fmt.Sprintf("%v %s %s %s", c.Via, c.Endpoint, c.State, c.Role))
			}
			slices.Sort(candidates)
			fmt.Fprintf(&peers, "  %s: %s, %d switches, %s\n", p.Peer, p.State, p.Switches, strings.Join(candidates, "; "))
		}
		fmt.Fprintf(&text, "%s, %d labels, %d sources:\n%s", h.Name, labels, len(h.table.Sources), peers.String())
	}
	return text.String()
}

// Frames from before a restart come again after it: those of the node that restarted and those to it.
func TestReplaysAfterARestartChangeNothing(t *testing.T) {
	run := func(seed uint64, disturb func(*Net)) (outage time.Duration, lost float64) {
		n, belmont, cambridge, boston := triangle(seed)
		disturb(n)
		flows := []*flow{stream(n, belmont, boston, 10*time.Millisecond), stream(n, boston, belmont, 10*time.Millisecond)}
		n.Run(4 * time.Second)
		n.Both(belmont, boston, func(l *Link) { l.Cut = true })
		n.Run(6 * time.Second)
		restarted := []*Host{boston, cambridge, belmont}[:1+seed%3]
		for _, h := range restarted {
			h.Kill()
		}
		n.Run(time.Second)
		for _, h := range restarted {
			h.Start()
		}
		began := n.Now()
		n.Run(15 * time.Second)
		for _, f := range flows {
			outage = max(outage, f.outage(began, n.Now()-time.Second))
			lost = max(lost, f.lost(began+5*time.Second, n.Now()-time.Second))
		}
		return outage, lost
	}
	// Replays change the order of events, so that one seed does not give the same run with them: those of as many restarted
	// nodes are compared.
	var slowest [3]time.Duration
	for seed := range uint64(seeds) {
		outage, _ := run(seed, func(*Net) {})
		slowest[seed%3] = max(slowest[seed%3], outage)
	}
	for seed := range uint64(seeds / 2) {
		var r *replayer
		outage, lost := run(seed, func(n *Net) { r = replay(n, 20*time.Second) })
		if want := slowest[seed%3]; outage > want+100*time.Millisecond {
			t.Errorf("seed %d: with replays the nodes meet after %v, without after %v at most", seed, outage, want)
		}
		if lost > 0 {
			t.Errorf("seed %d: %.2f%% lost later", seed, 100*lost)
		}
		r.unknown(t)
	}
}

// unknown holds that no member has taken the stranger for a member.
func (r *replayer) unknown(t *testing.T) {
	t.Helper()
	for _, h := range r.net.hosts {
		if h.table.Sources[strangersAddress] != nil {
			t.Errorf("seed %d: %s takes the stranger for %s", r.net.Seed, h.Name, h.table.Sources[strangersAddress].Peer)
		}
	}
	if strings.Contains(circumstances(r.net), strangersAddress.String()) {
		t.Errorf("seed %d: the stranger's address is measured:\n%s", r.net.Seed, circumstances(r.net))
	}
}

// A stranger repeats what he has recorded between two nodes, thousands of frames a second, while both restart.
func TestFloodOfReplaysDoesNotKeepNodesApart(t *testing.T) {
	for seed := range uint64(3) {
		n, belmont, _, boston := triangle(seed)
		var recorded []datagram
		n.tap = func(d datagram) {
			between := d.from == belmont.address && d.to == boston.address || d.from == boston.address && d.to == belmont.address
			if d.control != nil && between {
				recorded = append(recorded, d)
			}
		}
		rng := rand.New(rand.NewPCG(seed, 99))
		f := stream(n, belmont, boston, 10*time.Millisecond)
		n.Run(4 * time.Second)
		n.Every(200*time.Microsecond, func() bool {
			d := recorded[rng.IntN(len(recorded))]
			d.from = strangersAddress
			if h := n.hostAt(d.to); h != nil {
				h.receive(d)
			}
			return true
		})
		n.Run(time.Second)
		belmont.Kill()
		boston.Kill()
		n.Run(time.Second)
		belmont.Start()
		boston.Start()
		began := n.Now()
		n.Run(6 * time.Second)
		if o := f.outage(began, n.Now()-time.Second); o > time.Second {
			t.Errorf("seed %d: the nodes meet only after %v", seed, o)
		}
	}
}

func TestReplaysChangeNothing(t *testing.T) {
	run := func(seed uint64, disturb func(n *Net) *replayer) (string, float64, *replayer) {
		n, belmont, cambridge, boston := triangle(seed)
		r := disturb(n)
		flows := []*flow{
			stream(n, belmont, boston, 10*time.Millisecond), stream(n, boston, belmont, 10*time.Millisecond),
			stream(n, cambridge, boston, 30*time.Millisecond),
		}
		n.Run(5 * time.Second)
		n.Both(belmont, boston, func(l *Link) { l.Cut = true })
		n.Run(3 * time.Second)
		settled := n.Now()
		n.Run(30 * time.Second)
		worst := 0.0
		for _, f := range flows {
			worst = max(worst, f.lost(settled, n.Now()-time.Second))
		}
		return circumstances(n), worst, r
	}
	for seed := range uint64(seeds / 2) {
		want, _, _ := run(seed, func(*Net) *replayer { return nil })
		got, lost, r := run(seed, func(n *Net) *replayer { return replay(n, 20*time.Second) })
		if got != want {
			t.Errorf("seed %d: with replays\n%s\nwithout\n%s", seed, got, want)
		}
		if lost > 0 {
			t.Errorf("seed %d: %.2f%% lost", seed, 100*lost)
		}
		if seed == 0 {
			t.Logf("seed %d: %d replays, %d replies to the stranger\n%s", seed, r.replayed, r.replies, got)
		}
	}
}
