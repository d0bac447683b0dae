package osnet

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/tun"
)

// isolate moves the test into a network namespace of its own, where it is root and nothing else is. The thread stays
// locked: it ends with the test, and the namespace with it.
func isolate(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: it makes network interfaces in a namespace of its own")
	}
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skipf("cannot make a network namespace: %v", err)
	}
}

func open(t *testing.T, name string) tun.Device {
	t.Helper()
	device, err := Open(name, 1400)
	if errors.Is(err, ErrNoTUN) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = device.Close() })
	return device
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func prefixes(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// configured is Configure with routes that are no more than a prefix.
func configured(name string, addrs, routes []netip.Prefix) error {
	var list []Route
	for _, p := range routes {
		list = append(list, Route{Prefix: p})
	}
	_, err := Configure(name, addrs, list)
	return err
}

// addLink makes an interface that is up and has a carrier and addresses.
func addLink(t *testing.T, name string, addrs ...string) netlink.Link {
	t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: name + "-far"}
	must(t, netlink.LinkAdd(veth))
	far, err := netlink.LinkByName(veth.PeerName)
	must(t, err)
	must(t, netlink.LinkSetUp(far))
	must(t, netlink.LinkSetUp(veth))
	for _, a := range addrs {
		must(t, netlink.AddrAdd(veth, &netlink.Addr{IPNet: ipNet(netip.MustParsePrefix(a)), Flags: unix.IFA_F_NODAD}))
	}
	return veth
}

// state lists the addresses of an interface and our routes through it.
func state(t *testing.T, name string) (addrs, routes []string) {
	t.Helper()
	link, err := netlink.LinkByName(name)
	must(t, err)
	if link.Attrs().Flags&net.FlagUp == 0 {
		t.Errorf("%s is not up", name)
	}
	found, err := netlink.AddrList(link, netlink.FAMILY_ALL)
	must(t, err)
	for _, a := range found {
		p, _ := AddrOf(a)
		if p.Addr().Is6() && a.Flags&unix.IFA_F_TENTATIVE != 0 {
			t.Errorf("%v waits for duplicate address detection", p)
		}
		addrs = append(addrs, p.String())
	}
	main, err := mainRoutes()
	must(t, err)
	for _, r := range main {
		if ours(r, link) {
			routes = append(routes, r.Dst.String())
		}
	}
	slices.Sort(addrs)
	slices.Sort(routes)
	return addrs, routes
}

func expect(t *testing.T, name, addrs, routes string) {
	t.Helper()
	gotAddrs, gotRoutes := state(t, name)
	if a, r := strings.Join(gotAddrs, " "), strings.Join(gotRoutes, " "); a != addrs || r != routes {
		t.Errorf("%s has addresses %s and routes %s; want %s and %s", name, a, r, addrs, routes)
	}
}

func TestConfigureMakesTheInterfaceAsWanted(t *testing.T) {
	isolate(t)
	device := open(t, "overlay0")
	if mtu, err := device.MTU(); err != nil || mtu != 1400 {
		t.Errorf("MTU %d, %v", mtu, err)
	}
	addrs, routes := prefixes("10.71.0.1/32", "fd00:71::1/128"), prefixes("10.71.0.0/16", "fd00:71::/48")
	for range 2 { // the second time changes nothing
		must(t, configured("overlay0", addrs, routes))
		expect(t, "overlay0", "10.71.0.1/32 fd00:71::1/128", "10.71.0.0/16 fd00:71::/48")
	}
	found, err := netlink.RouteGet(net.ParseIP("10.71.9.9"))
	must(t, err)
	if len(found) != 1 || !found[0].Src.Equal(net.ParseIP("10.71.0.1")) {
		t.Errorf("packets into the overlay go by %v", found)
	}
	must(t, configured("overlay0", prefixes("10.72.0.1/16"), prefixes("10.72.0.0/16", "192.168.7.1/24")))
	expect(t, "overlay0", "10.72.0.1/16", "10.72.0.0/16 192.168.7.0/24")
	must(t, configured("overlay0", nil, nil))
	expect(t, "overlay0", "", "")
}

func TestRoutesOfOthersStay(t *testing.T) {
	isolate(t)
	open(t, "overlay0")
	must(t, configured("overlay0", prefixes("10.71.0.1/32"), nil))
	link, err := netlink.LinkByName("overlay0")
	must(t, err)
	dst := ipNet(netip.MustParsePrefix("172.16.0.0/12"))
	byHand := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: dst, Scope: netlink.SCOPE_LINK}
	must(t, netlink.RouteAdd(byHand))
	must(t, configured("overlay0", prefixes("10.71.0.1/32"), prefixes("10.71.0.0/16")))
	if found, err := netlink.RouteGet(net.ParseIP("172.16.1.1")); err != nil || len(found) != 1 {
		t.Errorf("the route of a person is gone: %v, %v", found, err)
	}
}

// The network that the host is in may have the addresses that the overlay would have.
func TestAPrefixThatIsRoutedElsewhereIsLeftThere(t *testing.T) {
	isolate(t)
	lan := addLink(t, "eth0", "10.71.3.4/16", "fd00:71::4/48")
	open(t, "overlay0")
	for _, prefix := range []string{"10.71.0.0/16", "fd00:71::/48"} {
		err := configured("overlay0", prefixes("10.71.0.1/32", "fd00:71::1/128"), prefixes(prefix))
		if !errors.Is(err, ErrRouted) || !strings.Contains(err.Error(), prefix) || !strings.Contains(err.Error(), "eth0") {
			t.Errorf("%s: got %v, want that eth0 has it", prefix, err)
		}
	}
	for _, to := range []string{"10.71.9.9", "fd00:71::9"} {
		found, err := netlink.RouteGet(net.ParseIP(to))
		if err != nil || len(found) != 1 || found[0].LinkIndex != lan.Attrs().Index {
			t.Errorf("packets to %s do not go out of eth0: %v, %v", to, found, err)
		}
	}
	must(t, configured("overlay0", prefixes("10.71.0.1/32"), prefixes("10.71.128.0/17"))) // less of it is fine
}

func TestWithoutIPv6ThereIsIPv4AndAWarning(t *testing.T) {
	isolate(t)
	if err := os.WriteFile("/proc/sys/net/ipv6/conf/all/disable_ipv6", []byte("1"), 0o644); err != nil {
		t.Skipf("cannot disable IPv6: %v", err)
	}
	open(t, "overlay0")
	err := configured("overlay0", prefixes("10.71.0.1/32", "fd00:71::1/128"), prefixes("10.71.0.0/16", "fd00:71::/48"))
	if !errors.Is(err, ErrNoIPv6) {
		t.Errorf("got %v, want the warning that there is no IPv6", err)
	}
	expect(t, "overlay0", "10.71.0.1/32", "10.71.0.0/16")
}

func TestInterfaceIsSilentByItself(t *testing.T) {
	isolate(t)
	open(t, "overlay0")
	must(t, configured("overlay0", prefixes("10.71.0.1/32", "fd00:71::1/128"), nil))
	addrs, _ := state(t, "overlay0")
	for _, a := range addrs {
		if strings.HasPrefix(a, "fe80:") {
			t.Errorf("the interface has made itself the address %s, and solicits routers from it", a)
		}
	}
}

func TestNamesThatAreNotTaken(t *testing.T) {
	for _, name := range []string{"", ".", "..", "a/b", "a b", "over%d", "-x", "sixteen-letters0", "über"} {
		if _, err := Open(name, 1400); !errors.Is(err, ErrName) {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, mtu := range []int{0, 1279, 65536} {
		if _, err := Open("overlay0", mtu); !errors.Is(err, ErrMTU) {
			t.Errorf("MTU %d: %v", mtu, err)
		}
	}
}

func TestNameInUseIsSaid(t *testing.T) {
	isolate(t)
	open(t, "overlay0")
	if _, err := Open("overlay0", 1400); !errors.Is(err, ErrNameInUse) {
		t.Errorf("a second time: %v", err)
	}
	addLink(t, "other0")
	if _, err := Open("other0", 1400); !errors.Is(err, ErrNameInUse) {
		t.Errorf("an interface of another kind: %v", err)
	}
	if _, err := Configure("missing0", nil, nil); err == nil {
		t.Error("an interface that is not there was configured")
	}
}

func TestErrorsOfTheKernelAreExplained(t *testing.T) {
	for errno, want := range map[unix.Errno]error{
		unix.EPERM: ErrPermission, unix.EACCES: ErrPermission, unix.EBUSY: ErrNameInUse,
		unix.ENOENT: ErrNoTUN, unix.ENODEV: ErrNoTUN,
	} {
		if err := explain(&os.PathError{Op: "open", Path: "/dev/net/tun", Err: errno}); !errors.Is(err, want) {
			t.Errorf("%v becomes %v", errno, err)
		}
	}
}

func TestUnderlayListsWhatOthersCanReach(t *testing.T) {
	isolate(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	changes := make(chan struct{}, 1000)
	must(t, Watch(ctx, func() { changes <- struct{}{} }))
	lo, err := netlink.LinkByName("lo")
	must(t, err)
	must(t, netlink.LinkSetUp(lo))
	open(t, "overlay0")
	must(t, configured("overlay0", prefixes("10.71.0.1/32"), nil))
	addLink(t, "wan0", "198.51.100.7/24", "2001:db8::7/64")
	addLink(t, "lan0", "192.168.1.7/24")
	down := addLink(t, "down0", "192.168.2.7/24")
	must(t, netlink.LinkSetDown(down))
	want := []netip.Addr{
		netip.MustParseAddr("198.51.100.7"), netip.MustParseAddr("2001:db8::7"), netip.MustParseAddr("192.168.1.7"),
	}
	awaitUnderlay(t, changes, want)
}

// awaitUnderlay lists after every change until the list is as wanted: a link has its carrier a moment after it is up.
func awaitUnderlay(t *testing.T, changes <-chan struct{}, want []netip.Addr) {
	t.Helper()
	timeout := time.After(10 * time.Second)
	for {
		host, err := Underlay("overlay0")
		got := host.Endpoints
		must(t, err)
		if slices.Equal(got, want) {
			return
		}
		select {
		case <-changes:
		case <-timeout:
			t.Fatalf("got %v, want %v", got, want)
		}
	}
}

func TestWatchTellsOfChangesAndEnds(t *testing.T) {
	isolate(t)
	before := goleak.IgnoreCurrent()
	ctx, cancel := context.WithCancel(context.Background())
	changes := make(chan time.Time, 100)
	must(t, Watch(ctx, func() { changes <- time.Now() }))
	awaitChange := func(what string) {
		t.Helper()
		select {
		case <-changes:
		case <-time.After(10 * time.Second):
			t.Fatalf("nobody was told of %s", what)
		}
	}
	wan := addLink(t, "wan0", "198.51.100.7/24")
	awaitChange("a new interface")
	for len(changes) > 0 {
		<-changes
	}
	must(t, netlink.AddrDel(wan, &netlink.Addr{IPNet: ipNet(netip.MustParsePrefix("198.51.100.7/24"))}))
	awaitChange("an address that is gone")
	cancel()
	goleak.VerifyNone(t, before)
}

func TestWatchGathersWhatComesTogether(t *testing.T) {
	isolate(t)
	wan := addLink(t, "wan0")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	changes := make(chan struct{}, 1000)
	must(t, Watch(ctx, func() { changes <- struct{}{} }))
	begin := time.Now()
	for i := range 200 {
		addr := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i), 1}), 24)
		must(t, netlink.AddrAdd(wan, &netlink.Addr{IPNet: ipNet(addr)}))
	}
	<-changes
	most := int(time.Since(begin)/settleFor) + 1
	if n := 1 + len(changes); n > most {
		t.Errorf("told %d times in %v, want at most %d", n, time.Since(begin), most)
	}
}

func TestWhatOthersTakeFromTheInterfaceIsNamed(t *testing.T) {
	isolate(t)
	open(t, "overlay0")
	addrs, routes := prefixes("10.71.0.1/32", "fd00:71::1/128"), prefixes("10.71.0.0/16", "fd00:71::/48")
	link, err := netlink.LinkByName("overlay0")
	must(t, err)
	for _, c := range []struct {
		name string
		take func() error
		want string
	}{
		{"nothing", func() error { return nil }, ""},
		{"the link", func() error { return netlink.LinkSetDown(link) }, "it is down"},
		{"an address", func() error { return netlink.AddrDel(link, &netlink.Addr{IPNet: ipNet(addrs[0])}) }, "address 10.71.0.1"},
		{"a route", func() error {
			return netlink.RouteDel(&netlink.Route{LinkIndex: link.Attrs().Index, Dst: ipNet(routes[1])})
		}, "route to fd00:71::/48"},
	} {
		must(t, configured("overlay0", addrs, routes))
		must(t, c.take())
		got := strings.Join(Missing("overlay0", addrs, routes), ", ")
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: missing %q, want %q", c.name, got, c.want)
		}
		must(t, configured("overlay0", addrs, routes))
		expect(t, "overlay0", "10.71.0.1/32 fd00:71::1/128", "10.71.0.0/16 fd00:71::/48")
	}
	must(t, netlink.LinkDel(link))
	if got := Missing("overlay0", addrs, routes); len(got) > 0 {
		t.Errorf("without an interface these are missing: %v", got)
	}
}
