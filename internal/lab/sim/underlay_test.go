package sim

import (
	"net/netip"
	"testing"
	"time"

	"overlayd/internal/lab/wan"
)

// overWAN is Belmont, Cambridge and Boston on an Underlay, all links of 10 ms but that from Belmont to Boston, which is cut.
func overWAN(seed uint64, bostonUplink wan.Port) (n *Net, u *Underlay, hosts []*Host) {
	n = New(seed)
	f := n.Found()
	var addresses [][]netip.Addr
	for _, name := range []string{"belmont", "cambridge", "boston"} {
		h := f.Host(name, Options{})
		hosts = append(hosts, h)
		addresses = append(addresses, []netip.Addr{h.Endpoint().Addr()})
	}
	u = n.Over(addresses...)
	for from := range wan.Site(3) {
		for to := range wan.Site(3) {
			u.SetLink(from, to, wan.Link{Delay: 10 * time.Millisecond, Cut: from == 0 && to == 2})
		}
	}
	u.SetPorts(2, bostonUplink, wan.Port{})
	f.Introduce(hosts...)
	for _, h := range hosts {
		h.Start()
	}
	return n, u, hosts
}

func TestHostsFindTheWayAroundACutOnAnUnderlay(t *testing.T) {
	n, u, hosts := overWAN(1, wan.Port{})
	belmont, boston := hosts[0], hosts[2]
	n.Run(2 * time.Second)
	f := stream(n, belmont, boston, 10*time.Millisecond)
	n.Run(5 * time.Second)
	if lost := f.lost(4*time.Second, 6*time.Second); lost > 0 {
		t.Errorf("%.1f%% lost, and there is a relay", lost*100)
	}
	if via := belmont.via(t, boston); len(via) != 1 || via[0] != "cambridge" {
		t.Errorf("it goes via %v", via)
	}
	if u.Sent(0) <= belmont.Control {
		t.Errorf("belmont has sent %d bytes, and %d of control frames alone", u.Sent(0), belmont.Control)
	}
}

func TestAnUnderlayCountsWholePackets(t *testing.T) {
	n, u, hosts := overWAN(2, wan.Port{})
	n.Run(20 * time.Second)
	for i, h := range hosts {
		if sent := u.Sent(wan.Site(i)); sent != h.Control || sent == 0 {
			t.Errorf("%s has sent %d bytes, and the underlay has counted %d", h.Name, h.Control, sent)
		}
	}
}

func TestAnUplinkOfAnUnderlayDelaysWhatIsSent(t *testing.T) {
	// A packet of 200 bytes, 228 with its headers, every 10 ms is 182 kbit/s; that of 100 kbit/s has a queue of 50 ms.
	n, _, hosts := overWAN(3, wan.Port{Rate: 100_000, Queue: 50 * time.Millisecond})
	n.Run(2 * time.Second)
	f := stream(n, hosts[2], hosts[0], 10*time.Millisecond)
	n.Run(5 * time.Second)
	if lost := f.lost(3*time.Second, 6*time.Second); lost < 0.4 || lost > 0.6 {
		t.Errorf("%.0f%% lost, want 45%% and what probes take", lost*100)
	}
}
