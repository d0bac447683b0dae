package sim

import (
	"fmt"
	"testing"
	"time"
)

// many starts a network of hosts that know each other, with random distances.
func many(seed uint64, count int) (*Net, []*Host) {
	n := New(seed)
	f := n.Found()
	var hosts []*Host
	for i := range count {
		hosts = append(hosts, f.Host(fmt.Sprintf("node-%d", i), Options{}))
	}
	n.Between = func(from, to *Host) Link { return Link{Delay: n.distance(from, to)} }
	f.Introduce(hosts...)
	for _, h := range hosts {
		h.Start()
	}
	return n, hosts
}

func TestControlTrafficOfAnIdleNodeAmongFifty(t *testing.T) {
	n, hosts := many(1, 50)
	n.Run(3 * time.Minute)
	list, _ := rates(n, hosts, 10*time.Minute)
	for i := range list {
		list[i] = list[i] * 8 / 1000 // kbit/s
	}
	t.Logf("kbit/s sent by an idle node: min %.2f, median %.2f, max %.2f", list[0], list[25], list[49])
	if list[49] > 5 {
		t.Errorf("an idle node sends %.2f kbit/s, want at most 5", list[49])
	}
}

// Nodes crash, come back, and lose links at random, under a few flows: what is measured must stay sane throughout, and
// when everything works again so must every flow.
func TestChurn(t *testing.T) {
	for seed := range uint64(5) {
		n, hosts := many(seed, 8)
		n.Check = holding(n)
		var flows []*flow
		for i := range 4 {
			flows = append(flows, stream(n, hosts[i], hosts[7-i], 20*time.Millisecond))
		}
		n.Run(5 * time.Second)
		for range 60 {
			switch h := hosts[n.rng.IntN(len(hosts))]; {
			case h.Core == nil:
				h.Start()
			case n.rng.IntN(4) == 0:
				h.Kill()
			default:
				cut := n.rng.IntN(2) == 0
				n.Link(h, hosts[n.rng.IntN(len(hosts))]).Cut = cut
			}
			n.Run(time.Duration(n.rng.IntN(1000)) * time.Millisecond)
		}
		for _, l := range n.links {
			l.Cut = false
		}
		for _, h := range hosts {
			if h.Core == nil {
				h.Start()
			}
		}
		n.Run(15 * time.Second)
		healed := n.Now()
		n.Run(10 * time.Second)
		for i, f := range flows {
			if lost := f.lost(healed, n.Now()-time.Second); lost > 0 {
				t.Errorf("seed %d: flow %d loses %.2f%% when everything works again", seed, i, 100*lost)
			}
		}
	}
}
