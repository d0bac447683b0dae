package osnet

import (
	"net"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
)

// addBridge makes a bridge with an address, and a port of its own if it is to have a carrier.
func addBridge(t *testing.T, name, addr string) netlink.Link {
	t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	bridge := &netlink.Bridge{LinkAttrs: attrs}
	must(t, netlink.LinkAdd(bridge))
	must(t, netlink.LinkSetUp(bridge))
	must(t, netlink.LinkSetMaster(addLink(t, name+"p"), bridge))
	must(t, netlink.AddrAdd(bridge, &netlink.Addr{IPNet: ipNet(netip.MustParsePrefix(addr))}))
	return bridge
}

// Every host has the same addresses on bridges for its containers, and those of other VPNs would carry us over
// themselves.
func TestOnlyInterfacesThatLeadOutOfTheHostHaveEndpoints(t *testing.T) {
	isolate(t)
	changes := make(chan struct{}, 1000)
	must(t, Watch(t.Context(), func() { changes <- struct{}{} }))
	addLink(t, "lan0", "192.168.1.7/24")
	wan := addLink(t, "wan0", "198.51.100.7/24")
	must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: wan.Attrs().Index, Gw: net.ParseIP("198.51.100.1")}))
	addBridge(t, "docker0", "172.17.0.1/16")
	out := addBridge(t, "br0", "192.168.9.7/24")
	must(t, netlink.RouteAdd(&netlink.Route{
		LinkIndex: out.Attrs().Index, Gw: net.ParseIP("192.168.9.1"), Table: 100, // of another table
	}))
	open(t, "overlay0")
	must(t, configured("overlay0", prefixes("10.71.0.1/32"), nil))
	open(t, "tun1") // of another VPN
	must(t, configured("tun1", prefixes("10.8.0.2/32"), nil))
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "flannel.1"
	vxlan := &netlink.Vxlan{LinkAttrs: attrs, VxlanId: 1, VtepDevIndex: wan.Attrs().Index}
	must(t, netlink.LinkAdd(vxlan))
	must(t, netlink.LinkSetUp(vxlan))
	must(t, netlink.AddrAdd(vxlan, &netlink.Addr{IPNet: ipNet(netip.MustParsePrefix("10.244.0.1/16"))}))

	want := []netip.Addr{
		netip.MustParseAddr("198.51.100.7"), netip.MustParseAddr("192.168.9.7"), // by their default routes
		netip.MustParseAddr("192.168.1.7"),
	}
	awaitUnderlay(t, changes, want)
	host, err := Underlay("overlay0")
	must(t, err)
	isolated := map[string]bool{
		"198.51.100.7/24": false, "192.168.1.7/24": false, "192.168.9.7/24": false,
		"172.17.0.1/16": true, "10.8.0.2/32": true, "10.244.0.1/16": true,
	}
	for _, a := range host.Addresses {
		if want, known := isolated[a.Prefix.String()]; a.Addr().Is4() && (!known || want != a.Isolated) {
			t.Errorf("%v of %s: isolated %t", a.Prefix, a.Interface, a.Isolated)
		}
		delete(isolated, a.Prefix.String())
	}
	if len(isolated) > 0 {
		t.Errorf("missing: %v", isolated)
	}
}

// In a container without privileges the only way out may be a TUN interface. Beside another way out it is a VPN's.
func TestATUNInterfaceHasEndpointsOnlyAsTheOnlyWayOut(t *testing.T) {
	isolate(t)
	changes := make(chan struct{}, 1000)
	must(t, Watch(t.Context(), func() { changes <- struct{}{} }))
	open(t, "tun1")
	must(t, configured("tun1", prefixes("10.0.2.100/24"), nil))
	tun, err := netlink.LinkByName("tun1")
	must(t, err)
	must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: tun.Attrs().Index, Gw: net.ParseIP("10.0.2.2")}))
	awaitUnderlay(t, changes, []netip.Addr{netip.MustParseAddr("10.0.2.100")})
	wan := addLink(t, "wan0", "198.51.100.7/24")
	must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: wan.Attrs().Index, Gw: net.ParseIP("198.51.100.1"), Priority: 100}))
	awaitUnderlay(t, changes, []netip.Addr{netip.MustParseAddr("198.51.100.7")})
}
