package tunnel

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"

	"overlayd/internal/wire"
)

// addNetwork gives the host an address in a network that is not the overlay's.
func (h *host) addNetwork(own netip.Prefix) {
	h.t.Helper()
	h.do(func() error {
		link, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		address, err := netlink.ParseAddr(own.String())
		if err != nil {
			return err
		}
		return netlink.AddrAdd(link, address)
	})
}

// addRoute leads what goes to a network into the TUN interface. Packets leave room for the outer header.
func (h *host) addRoute(to netip.Prefix) {
	h.t.Helper()
	h.do(func() error {
		link, err := netlink.LinkByName("tun0")
		if err != nil {
			return err
		}
		network, err := netlink.ParseIPNet(to.String())
		if err != nil {
			return err
		}
		return netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: network, MTU: 1400 - ip6Len})
	})
}

func TestRealInterfacesCarryTCPToANetworkUnharmed(t *testing.T) {
	siteA, a := newHostSite(t, 1)
	siteB, b := newHostSite(t, 2)
	meet(map[*site][]string{siteA: {"10.71.0.1", "fd00::1"}, siteB: {"10.71.0.2", "fd00::2"}})
	networks := prefixes("10.2.0.0/16", "fd02::/64")
	siteA.plane.SetSites(Sites{
		Self: addrs("10.71.0.1", "fd00::1"), Carriers: carriedBy(siteB, networks...),
		Behind: map[wire.NodeID][]netip.Prefix{siteB.id: networks},
	})
	siteB.plane.SetSites(Sites{Self: addrs("10.71.0.2", "fd00::2"), Local: networks})
	for i, own := range prefixes("10.2.0.1/16", "fd02::1/64") {
		b.addNetwork(own)
		a.addRoute(networks[i])
	}
	for _, address := range []string{"10.2.0.1", "fd02::1", "10.71.0.2"} {
		sent, got := transfer(t, a, b, address, 20<<20)
		if !bytes.Equal(sent, got) {
			t.Errorf("to %s: what came is not what was sent", address)
		}
	}
	for _, s := range []*site{siteA, siteB} {
		if got := s.plane.Stats(); got.InRefused > 0 {
			t.Errorf("%+v", got)
		}
	}
}
