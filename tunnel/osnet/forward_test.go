package osnet

import (
	"errors"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func setSysctl(t *testing.T, key, value string) {
	t.Helper()
	must(t, os.WriteFile(sysctls+"/"+key, []byte(value), 0o644))
}

// expectSysctls takes keys with the values that they should have; those that this kernel lacks count as 0.
func expectSysctls(t *testing.T, want map[string]int) {
	t.Helper()
	for key, value := range want {
		if got, err := read(key); got != value {
			t.Errorf("%s is %d, want %d (%v)", key, got, value, err)
		}
	}
}

func TestForwardingIsTurnedOnWhereItIsNeeded(t *testing.T) {
	isolate(t)
	addLink(t, "wan0", "198.51.100.7/24", "2001:db8:ffff::7/64")
	addLink(t, "lan0", "192.168.7.1/24", "2001:db8:7::1/64")
	open(t, "overlay0")
	setSysctl(t, "ipv4/conf/all/rp_filter", "1")
	must(t, configured("overlay0", prefixes("10.71.0.1/32"), prefixes("10.71.0.0/16")))
	for range 2 {
		must(t, Forward("overlay0", prefixes("192.168.7.0/24")))
		expectSysctls(t, map[string]int{
			"ipv4/conf/lan0/forwarding": 1, "ipv4/conf/overlay0/forwarding": 1, "ipv4/conf/wan0/forwarding": 0,
			"ipv4/conf/all/forwarding": 0, "ipv6/conf/all/forwarding": 0,
			"ipv4/conf/overlay0/rp_filter": loose, "ipv4/conf/lan0/rp_filter": 0, "ipv4/conf/all/rp_filter": strict,
		})
	}
	must(t, Forward("overlay0", prefixes("2001:db8:7::/64")))
	if _, err := read("ipv6/conf/lan0/force_forwarding"); err == nil {
		expectSysctls(t, map[string]int{
			"ipv6/conf/lan0/force_forwarding": 1, "ipv6/conf/overlay0/force_forwarding": 1,
			"ipv6/conf/wan0/force_forwarding": 0, "ipv6/conf/all/forwarding": 0,
		})
	} else {
		expectSysctls(t, map[string]int{"ipv6/conf/all/forwarding": 1})
	}
}

func TestAnIPv6RouterGoesOnListeningToOthers(t *testing.T) {
	isolate(t)
	addLink(t, "wan0")
	addLink(t, "quiet0")
	setSysctl(t, "ipv6/conf/wan0/accept_ra", "1")
	setSysctl(t, "ipv6/conf/quiet0/accept_ra", "0")
	must(t, becomeRouter())
	expectSysctls(t, map[string]int{
		"ipv6/conf/all/forwarding": 1, "ipv6/conf/wan0/accept_ra": 2, "ipv6/conf/quiet0/accept_ra": 0,
	})
}

func TestANetworkThatIsNotHereIsNamed(t *testing.T) {
	isolate(t)
	wan := addLink(t, "wan0", "198.51.100.7/24")
	addLink(t, "lan0", "192.168.7.1/24")
	open(t, "overlay0")
	must(t, configured("overlay0", prefixes("10.71.0.1/32"), prefixes("10.71.0.0/16", "192.168.9.0/24")))
	anywhere := &netlink.Route{LinkIndex: wan.Attrs().Index, Gw: []byte{198, 51, 100, 1}}
	must(t, netlink.RouteAdd(anywhere))
	err := Forward("overlay0", prefixes("192.168.8.0/24", "192.168.9.0/24", "192.168.7.0/24"))
	if !errors.Is(err, ErrNoNetwork) || !strings.Contains(err.Error(), "192.168.8.0/24, 192.168.9.0/24:") {
		t.Errorf("got %v, want that two networks are not here", err)
	}
	expectSysctls(t, map[string]int{"ipv4/conf/lan0/forwarding": 1, "ipv4/conf/wan0/forwarding": 0})
	must(t, Forward("overlay0", prefixes("0.0.0.0/0"))) // all of the Internet is a network, too
	expectSysctls(t, map[string]int{"ipv4/conf/wan0/forwarding": 1})
}

func TestWhereNetworksAreReached(t *testing.T) {
	const overlay, lan, deeper, wan = 1, 2, 3, 4
	through := func(index int, prefix string) netlink.Route {
		return netlink.Route{LinkIndex: index, Dst: ipNet(netip.MustParsePrefix(prefix)), Type: unix.RTN_UNICAST}
	}
	both := through(0, "10.3.0.0/16")
	both.MultiPath = []*netlink.NexthopInfo{{LinkIndex: lan}, {LinkIndex: deeper}}
	nowhere := through(lan, "10.4.0.0/16")
	nowhere.Type = unix.RTN_BLACKHOLE
	main := []netlink.Route{
		through(wan, "0.0.0.0/0"), through(wan, "10.1.0.0/16"), through(lan, "10.1.7.0/24"),
		through(deeper, "10.1.8.0/24"), through(overlay, "10.1.9.0/24"), both, nowhere, through(wan, "fd00::/64"),
	}
	for prefix, want := range map[string][]int{
		"10.1.7.0/24": {lan}, "10.1.7.128/25": {lan}, "10.1.6.0/24": {wan}, "10.1.9.0/24": {wan},
		"10.1.0.0/16": {lan, deeper, wan}, "10.1.8.0/23": {deeper, wan}, "10.3.1.0/24": {lan, deeper},
		"10.4.0.0/16": nil, "10.2.0.0/16": nil, "fd00::/65": {wan}, "::/0": {wan},
	} {
		got := reachedOn(main, overlay, netip.MustParsePrefix(prefix))
		if !slices.Equal(got, want) {
			t.Errorf("%s is reached on %v, want %v", prefix, got, want)
		}
	}
}

func TestWhatIsOnAlreadyNeedsNoWriting(t *testing.T) {
	isolate(t)
	addLink(t, "lan0", "192.168.7.1/24")
	must(t, raise("ipv4/conf/lan0/forwarding", 1))
	must(t, unix.Unshare(unix.CLONE_NEWNS)) // the mount below is this thread's alone
	must(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	must(t, unix.Mount("/proc/sys", "/proc/sys", "", unix.MS_BIND, ""))
	must(t, unix.Mount("", "/proc/sys", "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	must(t, raise("ipv4/conf/lan0/forwarding", 1))
	err := raise("ipv4/conf/lan0-far/forwarding", 1)
	if !errors.Is(err, ErrForwarding) || !strings.Contains(err.Error(), "net.ipv4.conf.lan0-far.forwarding=1") {
		t.Errorf("got %v, want what to set", err)
	}
}
