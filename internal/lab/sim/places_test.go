package sim

import (
	"net/netip"
	"testing"
	"time"

	"overlayd/internal/lab/wan"
)

// dualStack is two hosts with both address families and bridges that both have, on a link.
func dualStack(seed uint64, nat bool) (n *Net, u *Underlay, a, b *Host) {
	n = New(seed)
	f := n.Found()
	docker := []netip.Addr{netip.MustParseAddr("172.17.0.1"), netip.MustParseAddr("172.18.0.1")}
	a = f.Host("a", Options{Address6: netip.MustParseAddr("2001:db8:0:1::2"), Bridges: docker, NAT: nat})
	b = f.Host("b", Options{Address6: netip.MustParseAddr("2001:db8:0:2::2"), Bridges: docker})
	f.Introduce(a, b)
	var sites [][]netip.Addr
	for _, h := range []*Host{a, b} {
		sites = append(sites, []netip.Addr{h.outside(), h.address6.Addr()})
	}
	u = n.Over(sites...)
	for _, d := range [][2]wan.Site{{0, 1}, {1, 0}} {
		u.SetLink(d[0], d[1], wan.Link{Delay: 10 * time.Millisecond})
	}
	a.Start()
	b.Start()
	return n, u, a, b
}

// endpointsUp are the families of the direct paths of a to b that are up, and whether any leads to a bridge.
func endpointsUp(a *Host, b *Host) (families [wan.Families]bool, bridge bool) {
	for _, p := range a.Core.Paths(a.now()) {
		for _, c := range p.Candidates {
			at, err := netip.ParseAddrPort(c.Endpoint)
			if p.Peer != b.Name || c.State != "up" || err != nil {
				continue
			}
			bridge = bridge || at.Addr().Is4() && at.Addr() != b.outside()
			families[map[bool]wan.Family{true: wan.IPv4, false: wan.IPv6}[at.Addr().Is4()]] = true
		}
	}
	return families, bridge
}

func TestAHostIsReachedByBothFamiliesAndByNoBridge(t *testing.T) {
	for _, nat := range []bool{false, true} {
		n, _, a, b := dualStack(1, nat)
		f := stream(n, a, b, 20*time.Millisecond)
		n.Run(10 * time.Second)
		families, bridge := endpointsUp(a, b)
		if !families[wan.IPv4] || !families[wan.IPv6] || bridge {
			t.Errorf("nat %v: up by IPv4 %v, by IPv6 %v, over a bridge %v", nat, families[0], families[1], bridge)
		}
		if lost := f.lost(5*time.Second, 9*time.Second); lost > 0 {
			t.Errorf("nat %v: %.1f%% lost", nat, 100*lost)
		}
	}
}

func TestOneFamilyCarriesOnWhenTheOtherIsLost(t *testing.T) {
	for family := range wan.Families {
		n, u, a, b := dualStack(2, false)
		f := stream(n, a, b, 20*time.Millisecond)
		n.Run(5 * time.Second)
		drop := wan.Link{Delay: 10 * time.Millisecond}
		drop.Drop[family].Contents = wan.Everything
		u.SetLink(0, 1, drop)
		u.SetLink(1, 0, drop)
		n.Run(10 * time.Second)
		if lost := f.lost(7*time.Second, 14*time.Second); lost > 0 {
			t.Errorf("without family %d %.1f%% are lost", family, 100*lost)
		}
	}
}

func TestAHostThatMovesIsFoundByEitherFamily(t *testing.T) {
	n, u, a, b := dualStack(3, false)
	f := stream(n, a, b, 20*time.Millisecond)
	n.Run(5 * time.Second)
	b.Move(netip.MustParseAddr("198.51.100.99"))
	b.Move(netip.MustParseAddr("2001:db8:0:99::2"))
	n.Run(10 * time.Second)
	if lost := f.lost(10*time.Second, 14*time.Second); lost > 0 {
		t.Errorf("%.1f%% lost after the move", 100*lost)
	}
	if _, there := u.sites[netip.MustParseAddr("198.51.100.99")]; !there {
		t.Error("the site did not move")
	}
}
