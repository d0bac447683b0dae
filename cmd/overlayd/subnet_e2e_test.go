package main

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"overlayd/internal/lab/netns"
)

// routes says whether the machine routes a prefix into the overlay, or does not.
func (d *service) routes(to netip.Prefix, want bool) error {
	d.Helper()
	found := false
	d.must(d.ns.Do(func() error {
		link, err := netlink.LinkByName(d.device)
		if err != nil {
			return err
		}
		list, err := netlink.RouteList(link, netlink.FAMILY_V4)
		found = slices.ContainsFunc(list, func(r netlink.Route) bool { return r.Dst != nil && r.Dst.String() == to.String() })
		return err
	}))
	if found != want {
		return fmt.Errorf("%s routes %s into the overlay: %t", d.name, to, found)
	}
	return nil
}

// carries says whether the daemon sends to a network through a member, or through nobody.
func (d *service) carries(name string, subnet netip.Prefix, want bool) error {
	d.Helper()
	m := d.members()[name]
	if slices.Contains(m.Carries, subnet) != want || slices.Contains(m.Subnets, subnet) != want {
		return fmt.Errorf("%s has %s advertise %v and carry %v", d.name, name, m.Subnets, m.Carries)
	}
	return d.routes(subnet, want)
}

// What a node may advertise is said with its invitation, or later, while it runs.
func TestNetworksBehindANode(t *testing.T) {
	t.Parallel()
	r := newRegion(t)
	sites := r.network("belmont", "boston")
	belmont, boston := sites[0], sites[1]
	subnet := netip.MustParsePrefix("192.168.7.0/24")
	newton := r.site("newton")
	printer := &site{service: r.node("printer", r.namespace())}
	r.must(netns.Connect(newton.service.ns, "lan0", printer.service.ns, "eth0", 1500))
	r.must(newton.service.ns.AddAddress("lan0", netip.MustParsePrefix("192.168.7.1/24")))
	r.must(printer.service.ns.AddAddress("eth0", netip.MustParsePrefix("192.168.7.9/24")))
	r.must(printer.service.ns.AddRoute("eth0", netns.DefaultRoute(), netip.MustParseAddr("192.168.7.1")))

	r.refused(belmont.ctl("invite", "--endpoint", belmont.endpoint(), "--subnet", "192.168.7.1/24"), "--subnet", "192.168.7")
	newton.joins(belmont, "--subnet", subnet.String())
	newton.start("--subnets", subnet.String()+",192.168.8.0/24") // the other one is not allowed
	r.meet(belmont, boston, newton)
	all := func(want bool) func() error {
		return func() error {
			return errors.Join(belmont.carries("newton", subnet, want), boston.carries("newton", subnet, want))
		}
	}
	r.eventually(soon, all(true))
	if list := boston.members()["newton"].Subnets; !slices.Equal(list, []netip.Prefix{subnet}) {
		t.Errorf("newton advertises %v", list)
	}
	r.says(boston.does("members"), subnet.String())
	ear, from := printer.ear(), boston.ipv4()
	boston.drum(netip.MustParseAddr("192.168.7.9"))
	ear.hears(r.bench, from, soon)

	r.refused(boston.ctl("subnet", "withdraw", "newton", subnet.String()), "no admin")
	r.refused(belmont.ctl("subnet", "grant", "newton", subnet.String()), "already")
	r.refused(belmont.ctl("subnet", "withdraw", "newton", "192.168.8.0/24"), "192.168.8.0/24")
	r.refused(belmont.ctl("subnet", "grant", "atlantis", "192.168.8.0/24"), "atlantis")
	r.refused(belmont.ctl("subnet", "grant", "newton", "192.168.8.1/24"), "192.168.8")
	begin := time.Now()
	r.says(belmont.does("subnet", "withdraw", "newton", subnet.String()), "newton", subnet.String())
	r.eventually(soon, all(false))
	last := ear.goesQuiet(r.bench, from, soon)
	t.Logf("the route is gone after %v; the last datagram came after %v", time.Since(begin), last.Sub(begin))

	// Nothing is started again: the node has been told to advertise it all the time.
	begin = time.Now()
	belmont.does("subnet", "grant", "newton", subnet.String())
	r.eventually(soon, all(true))
	t.Logf("the route is back after %v", time.Since(begin))
	ear.hears(r.bench, from, soon)
	if told := newton.status().Subnets; !slices.Equal(told, []netip.Prefix{subnet}) {
		t.Errorf("newton says that it advertises %v", told)
	}
	newton.stop()
	newton.start("--subnets", subnet.String())
	ear.hears(r.bench, from, backWithin)
}
