package routeguard

import (
	"net/netip"
	"strings"
	"testing"
)

func address(prefix, device string, isolated bool) Address {
	return Address{Prefix: netip.MustParsePrefix(prefix), Interface: device, Isolated: isolated}
}

func host() Host {
	return Host{
		Addresses: []Address{
			address("127.0.0.1/8", "lo", false), address("192.168.8.10/24", "eth0", false), address("fe80::1/64", "eth0", false),
			address("2001:db8:8::10/64", "eth0", false), address("172.17.0.1/16", "docker0", true),
		},
		InUse: []InUse{
			{netip.MustParseAddrPort("10.2.2.2:51871"), "boston"}, {netip.MustParseAddrPort("[2001:db8:2::2]:51871"), "boston"},
		},
	}
}

func TestNetworksThatTouchWhatTheHostUsesAreRefused(t *testing.T) {
	for _, c := range []struct{ network, words string }{
		{"10.3.0.0/16", ""},
		{"10.2.3.0/24", ""},
		{"192.168.9.0/24", ""},
		{"2001:db8:9::/64", ""},
		{"192.168.8.0/24", "192.168.8.0/24 eth0"}, // equal
		{"192.168.8.0/25", "192.168.8.0/24 eth0"}, // neighbors
		{"192.168.0.0/16", "192.168.8.0/24 eth0"}, // around it
		{"2001:db8:8::/64", "2001:db8:8::/64 eth0"},
		{"172.17.3.0/24", "172.17.0.0/16 docker0"}, // containers
		{"172.16.0.0/12", ""},                      // around a bridge that every host has
		{"10.2.2.0/24", "10.2.2.2:51871 boston"},
		{"10.0.0.0/8", "10.2.2.2:51871 boston"},
		{"10.2.2.2/32", "10.2.2.2:51871 boston"},
		{"2001:db8:2::/48", "[2001:db8:2::2]:51871 boston"},
	} {
		refusal, refused := host().Check(netip.MustParsePrefix(c.network))
		if refused != (c.words != "") {
			t.Errorf("%s: refused %t, %v", c.network, refused, refusal)
			continue
		}
		for _, word := range strings.Fields(c.words) {
			if !strings.Contains(refusal.String(), word) || refusal.Remedy == "" {
				t.Errorf("%s: %q does not name %s", c.network, refusal, word)
			}
		}
	}
}

func TestAHostWithinTheOverlaysPrefixIsFound(t *testing.T) {
	h := Host{Addresses: []Address{address("10.71.5.7/24", "eth0", false), address("10.9.0.1/16", "eth1", false)}}
	prefixes := []netip.Prefix{netip.MustParsePrefix("10.71.0.0/16"), netip.MustParsePrefix("fd71::/48")}
	if got := h.OnOverlay(prefixes...); len(got) != 1 || got[0].Interface != "eth0" {
		t.Errorf("got %v", got)
	}
	if !h.Owns(netip.MustParseAddr("10.71.5.7")) || h.Owns(netip.MustParseAddr("10.71.5.8")) {
		t.Error("the host does not know its own addresses")
	}
}
