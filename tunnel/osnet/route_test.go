package osnet

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

func route(prefix string, mtu int, optional bool) Route {
	return Route{Prefix: netip.MustParsePrefix(prefix), MTU: mtu, Optional: optional}
}

// way says how the kernel would send a packet of this host.
func way(t *testing.T, to string) (device, src string, mtu int) {
	t.Helper()
	found, err := netlink.RouteGet(net.ParseIP(to))
	if err != nil || len(found) != 1 {
		t.Fatalf("no way to %s: %v, %v", to, found, err)
	}
	link, err := netlink.LinkByIndex(found[0].LinkIndex)
	must(t, err)
	return link.Attrs().Name, found[0].Src.String(), found[0].MTU
}

func expectWay(t *testing.T, to, device, src string, mtu int) {
	t.Helper()
	if d, s, m := way(t, to); d != device || s != src || m != mtu {
		t.Errorf("to %s: through %s from %s with MTU %d; want %s, %s, %d", to, d, s, m, device, src, mtu)
	}
}

func TestNetworksBehindNodesHaveAnMTUAndTheOverlayAddressAsSource(t *testing.T) {
	isolate(t)
	addLink(t, "eth0", "192.168.1.1/24")
	open(t, "overlay0")
	addrs := prefixes("10.71.0.1/32", "fd00:71::1/128")
	routes := []Route{
		route("10.71.0.0/16", 0, false), route("fd00:71::/48", 0, false),
		route("192.168.7.0/24", 1380, true), route("2001:db8:7::/64", 1380, true),
		route("192.168.8.0/24", 9000, true), // more than the interface has
	}
	for range 2 {
		left, err := Configure("overlay0", addrs, routes)
		must(t, err)
		if len(left) != 0 {
			t.Errorf("left elsewhere: %v", left)
		}
		expectWay(t, "10.71.9.9", "overlay0", "10.71.0.1", 0)
		expectWay(t, "192.168.7.9", "overlay0", "10.71.0.1", 1380)
		expectWay(t, "192.168.8.9", "overlay0", "10.71.0.1", 0)
		expectWay(t, "2001:db8:7::9", "overlay0", "fd00:71::1", 1380)
	}
	routes[2].MTU, routes[3].MTU = 1300, 0
	_, err := Configure("overlay0", addrs, routes)
	must(t, err)
	expectWay(t, "192.168.7.9", "overlay0", "10.71.0.1", 1300)
	expectWay(t, "2001:db8:7::9", "overlay0", "fd00:71::1", 0)
}

func TestAnOptionalRouteGivesWay(t *testing.T) {
	isolate(t)
	open(t, "overlay0")
	addrs := prefixes("10.71.0.1/32", "fd00:71::1/128")
	routes := []Route{
		route("192.168.7.0/24", 0, true), route("2001:db8:7::/64", 0, true), route("192.168.8.0/24", 0, true),
	}
	_, err := Configure("overlay0", addrs, routes)
	must(t, err)
	expectWay(t, "192.168.7.9", "overlay0", "10.71.0.1", 0)

	lan := addLink(t, "eth0", "192.168.7.4/24", "2001:db8:7::4/64")
	expectWay(t, "192.168.7.9", "eth0", "192.168.7.4", 0) // before anybody was called
	expectWay(t, "2001:db8:7::9", "eth0", "2001:db8:7::4", 0)
	want := []Elsewhere{{routes[0].Prefix, "eth0"}, {routes[1].Prefix, "eth0"}}
	for range 2 {
		left, err := Configure("overlay0", addrs, routes)
		must(t, err)
		if !slices.Equal(left, want) {
			t.Errorf("left elsewhere: %v, want %v", left, want)
		}
		expect(t, "overlay0", "10.71.0.1/32 fd00:71::1/128", "192.168.8.0/24")
	}
	must(t, netlink.LinkDel(lan))
	left, err := Configure("overlay0", addrs, routes)
	must(t, err)
	if len(left) != 0 {
		t.Errorf("left elsewhere: %v", left)
	}
	expectWay(t, "192.168.7.9", "overlay0", "10.71.0.1", 0)
}

func TestOneBadRouteDoesNotKeepTheOthersOut(t *testing.T) {
	isolate(t)
	addLink(t, "eth0", "10.71.3.4/16")
	open(t, "overlay0")
	_, err := Configure("overlay0", prefixes("10.71.0.1/32", "fd00:71::1/128"), []Route{
		route("10.71.0.0/16", 0, false), route("2001:db8:7::/64", 1000, true), route("192.168.7.0/24", 0, true),
	})
	if !errors.Is(err, ErrRouted) || !errors.Is(err, ErrMTU) {
		t.Errorf("got %v, want that a prefix is routed elsewhere and an MTU too small", err)
	}
	expect(t, "overlay0", "10.71.0.1/32 fd00:71::1/128", "192.168.7.0/24")
}

// A route that a moment long is not there sends a packet to the default gateway, with the wrong source.
func TestRenumberingLeavesNoGap(t *testing.T) {
	isolate(t)
	open(t, "overlay0")
	routes := []Route{route("10.71.0.0/16", 0, false), route("192.168.7.0/24", 1380, true)}
	_, err := Configure("overlay0", prefixes("10.71.0.1/16", "fd00:71::1/128"), routes)
	if err != nil {
		t.Fatal(err)
	}
	told := watch(t, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE)
	const renumberings = 4
	for i := range renumberings {
		to := fmt.Sprintf("10.71.0.%d", 2+i)
		_, err := Configure("overlay0", prefixes(to+"/32", "fd00:71::2/128"), routes)
		must(t, err)
		expectWay(t, "192.168.7.9", "overlay0", to, 1380)
		expectWay(t, "10.71.9.9", "overlay0", to, 0)
		expect(t, "overlay0", to+"/32 fd00:71::2/128", "10.71.0.0/16 192.168.7.0/24")
	}
	// The kernel does not tell of routes that it takes out together with their source address. But what was put in again
	// shows.
	put := 0
	for _, m := range told() {
		switch r := nl.DeserializeRtMsg(m.Data); {
		case netlink.RouteProtocol(r.Protocol) != protocol:
		case m.Header.Type == unix.RTM_NEWROUTE:
			put++
		default:
			t.Errorf("a route of ours was taken out: %v", r)
		}
	}
	if put != renumberings*len(routes) {
		t.Errorf("%d routes were put in or replaced, want %d", put, renumberings*len(routes))
	}
}

// The kernel removes the further addresses of a network with the first one.
func TestAddressesInOneNetworkAreExchanged(t *testing.T) {
	isolate(t)
	open(t, "overlay0")
	routes := []Route{route("192.168.7.0/24", 1380, true)}
	for _, to := range []string{"10.71.0.1", "10.71.0.2", "10.71.0.3"} {
		_, err := Configure("overlay0", prefixes(to+"/16"), routes)
		must(t, err)
		expect(t, "overlay0", to+"/16", "192.168.7.0/24")
		expectWay(t, "192.168.7.9", "overlay0", to, 1380)
	}
}

// watch begins to note what the kernel tells of changes; the function that it returns lists it.
func watch(t *testing.T, groups ...uint) func() []syscall.NetlinkMessage {
	t.Helper()
	socket, err := nl.Subscribe(unix.NETLINK_ROUTE, groups...)
	must(t, err)
	t.Cleanup(socket.Close)
	return func() (all []syscall.NetlinkMessage) {
		buf := make([]byte, 1<<16)
		for {
			n, _, err := unix.Recvfrom(socket.GetFd(), buf, unix.MSG_DONTWAIT)
			if errors.Is(err, unix.EAGAIN) {
				return all
			}
			must(t, err)
			messages, err := syscall.ParseNetlinkMessage(slices.Clone(buf[:n]))
			must(t, err)
			all = append(all, messages...)
		}
	}
}

// Whoever calls Configure at every change must not be told of a change by it.
func TestNothingIsToldWhenNothingChanges(t *testing.T) {
	isolate(t)
	open(t, "overlay0")
	addrs := prefixes("10.71.0.1/32", "fd00:71::1/128")
	var routes []Route
	for i := range 100 {
		routes = append(routes, route(fmt.Sprintf("172.20.%d.0/24", i), 1380, true))
		routes = append(routes, route(fmt.Sprintf("2001:db8:%x::/64", i), 1380, true))
	}
	_, err := Configure("overlay0", addrs, routes)
	must(t, err)
	told := watch(t, unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR,
		unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE)
	var messages []syscall.NetlinkMessage
	for range 10 { // the kernel tells some of the beginning late
		begin := time.Now()
		_, err = Configure("overlay0", addrs, routes)
		must(t, err)
		t.Logf("200 routes that are there already: %v", time.Since(begin))
		if messages = told(); len(messages) == 0 {
			return
		}
	}
	t.Errorf("the kernel tells of %d changes every time", len(messages))
}
