package osnet

import (
	"maps"
	"net"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	eth0 = 2
	eth1 = 3
	tun0 = 7
)

func via(prefix string, link, metric int) netlink.Route {
	return netlink.Route{
		Dst: ipNet(netip.MustParsePrefix(prefix)), LinkIndex: link, Priority: metric, Type: unix.RTN_UNICAST,
	}
}

func TestDetoursLeadPastTheOverlay(t *testing.T) {
	broken := via("0.0.0.0/0", eth1, 10)
	broken.Flags = unix.RTNH_F_LINKDOWN
	multipath := via("172.16.0.0/12", 0, 0)
	multipath.MultiPath = []*netlink.NexthopInfo{{LinkIndex: tun0}, {LinkIndex: eth1}}
	for _, c := range []struct {
		name  string
		main  []netlink.Route
		about []netip.Prefix
		want  map[string]int
	}{
		{"nothing is routed into it", []netlink.Route{via("0.0.0.0/0", eth0, 0)}, nil, nil},
		{
			"the default route leads past it",
			[]netlink.Route{via("0.0.0.0/0", eth0, 0), via("10.2.2.0/24", tun0, 0)},
			nil,
			map[string]int{"10.2.2.0/24": eth0},
		},
		{
			"before the route is there",
			[]netlink.Route{via("0.0.0.0/0", eth0, 0)},
			prefixes("10.2.2.0/24", "fd00::/48"),
			map[string]int{"10.2.2.0/24": eth0, "fd00::/48": Nowhere},
		},
		{
			"the two halves of everything, by a person",
			[]netlink.Route{via("0.0.0.0/0", eth0, 100), via("0.0.0.0/1", tun0, 0), via("128.0.0.0/1", tun0, 0)},
			nil,
			map[string]int{"0.0.0.0/1": eth0, "128.0.0.0/1": eth0},
		},
		{
			"a longer route past it is followed, and one of the overlay within that is not",
			[]netlink.Route{
				via("0.0.0.0/0", eth0, 0), via("10.0.0.0/8", tun0, 0), via("10.1.0.0/16", eth1, 0), via("10.1.9.0/24", tun0, 0),
			},
			nil,
			map[string]int{"10.0.0.0/8": eth0, "10.1.0.0/16": ByRoute, "10.1.9.0/24": eth1},
		},
		{
			"a route without a carrier is not preferred",
			[]netlink.Route{broken, via("0.0.0.0/0", eth0, 100), via("10.2.2.0/24", tun0, 0)},
			nil,
			map[string]int{"10.2.2.0/24": eth0},
		},
		{
			"one of several next hops",
			[]netlink.Route{multipath, via("172.20.0.0/16", tun0, 0)},
			nil,
			map[string]int{"172.20.0.0/16": eth1},
		},
	} {
		want := make(map[netip.Prefix]int)
		for p, index := range c.want {
			want[netip.MustParsePrefix(p)] = index
		}
		if got := detours(c.main, map[int]bool{tun0: true}, c.about); !maps.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", c.name, got, want)
		}
	}
}

// Another instance on the host is known by its routes.
func TestDetoursLeadPastEveryOverlayOfTheHost(t *testing.T) {
	isolate(t)
	lan := addLink(t, "eth0", "192.168.1.2/24")
	must(t, netlink.RouteAdd(&netlink.Route{LinkIndex: lan.Attrs().Index, Gw: net.ParseIP("192.168.1.1")}))
	open(t, "overlay0")
	must(t, configured("overlay0", prefixes("10.71.0.1/32"), prefixes("10.71.0.0/16")))
	open(t, "overlay1")
	must(t, configured("overlay1", prefixes("10.72.0.1/32"), prefixes("10.72.0.0/16", "198.18.0.0/15")))
	for to, want := range map[string]string{"192.168.1.9": "eth0", "203.0.113.9": "eth0", "10.71.9.9": "eth0"} {
		if got, err := UplinkTo(netip.MustParseAddr(to), "overlay0"); err != nil || got != want {
			t.Errorf("datagrams to %s leave by %q, want %q (%v)", to, got, want, err)
		}
	}
	got, err := Detours("overlay0", prefixes("10.2.2.0/24"))
	must(t, err)
	for _, p := range []string{"10.71.0.0/16", "10.72.0.0/16", "198.18.0.0/15", "10.2.2.0/24"} {
		if index := got[netip.MustParsePrefix(p)]; index != lan.Attrs().Index {
			t.Errorf("to %s by interface %d, want %d", p, index, lan.Attrs().Index)
		}
	}
}
