package sim

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// warningAbout is what a host tells people about another one, or about itself.
func (h *Host) warningAbout(name string) string {
	if h.Name == name {
		return strings.Join(h.Core.Warnings(h.now()), "; ")
	}
	for _, p := range h.Core.Paths(h.now()) {
		if p.Peer == name {
			return p.Warning
		}
	}
	return ""
}

// village is a few hosts that know each other and send each other ten packets a second.
func village(t testing.TB, seed uint64, count int) (n *Net, hosts []*Host, heard map[[2]*Host]time.Duration) {
	t.Helper()
	n = New(seed)
	f := n.Found()
	for i := range count {
		hosts = append(hosts, f.Host(fmt.Sprintf("host%d", i), Options{Root: i == 0, Admin: i == 1}))
	}
	f.Introduce(hosts...)
	heard = make(map[[2]*Host]time.Duration)
	for _, h := range hosts {
		h.Start()
		h.Delivered = func(from *Host, _ uint64, _ time.Time) { heard[[2]*Host{from, h}] = n.Now() }
	}
	n.Every(100*time.Millisecond, func() bool {
		for _, from := range hosts {
			for _, to := range hosts {
				if from != to {
					from.Send(to)
				}
			}
		}
		return true
	})
	return n, hosts, heard
}

// A copy of a host's state directory is started elsewhere, or a snapshot of its memory. All others name both addresses
// within 5 s, so do the two themselves; and once the copy has ended, the host is back with all others within 5 s.
func TestACopyOfAHostIsNamedAndSurvived(t *testing.T) {
	for _, resumed := range []bool{false, true} {
		for seed := range uint64(6) {
			n, hosts, heard := village(t, seed, 5)
			original := hosts[1+seed%4]
			elsewhere := netip.MustParseAddr("203.0.113.77")
			n.Run(10*time.Second + time.Duration(seed)*37*time.Millisecond)
			clone := n.CopyOf(original, elsewhere)
			if resumed {
				clone.Resume()
			} else {
				clone.Start()
			}
			n.Run(5 * time.Second)
			for _, h := range append([]*Host{clone}, hosts...) {
				name := original.Name
				if h == clone {
					name = clone.Name
				}
				w := h.warningAbout(name)
				if !strings.Contains(w, original.Endpoint().String()) || !strings.Contains(w, clone.Endpoint().String()) {
					t.Errorf("seed %d, resumed %v: 5 s after the copy began %s says of it %q", seed, resumed, h.Name, w)
				}
			}
			n.Run(20 * time.Second)
			clone.Kill()
			n.Run(5 * time.Second)
			for _, h := range hosts {
				if h == original {
					continue
				}
				for _, pair := range [][2]*Host{{h, original}, {original, h}} {
					if silent := n.Now() - heard[pair]; silent > time.Second {
						t.Errorf("seed %d, resumed %v: 5 s after the copy ended nothing from %s to %s for %v",
							seed, resumed, pair[0].Name, pair[1].Name, silent)
					}
				}
			}
			n.Run(40 * time.Second)
			for _, h := range hosts {
				if w := h.warningAbout(original.Name); w != "" {
					t.Errorf("seed %d: 45 s after the copy ended %s still says %q", seed, h.Name, w)
				}
			}
		}
	}
}
