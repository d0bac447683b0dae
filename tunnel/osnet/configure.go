package osnet

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	// protocol marks our routes, so that we never take out one that a person has put in.
	protocol netlink.RouteProtocol = 0x6f

	addrGenModeNone = 1 // IN6_ADDR_GEN_MODE_NONE of linux/if_link.h
)

// Configure gives the interface these addresses and no others, routes these prefixes through it and no others of ours,
// and sets it up. To repeat it does no harm. A prefix that another interface has is left to it: ErrRouted. Where IPv6 is disabled it sets up IPv4 and returns ErrNoIPv6.
func Configure(name string, addrs []netip.Prefix, routes []netip.Prefix) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("interface %s: %w", name, err)
	}
	// Without an address of its own the interface solicits no router into the overlay. Where IPv6 is disabled there is
	// nothing to keep quiet.
	_ = netlink.LinkSetIP6AddrGenMode(link, addrGenModeNone)
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("set interface %s up: %w", name, explainChange(err))
	}
	without6, err := setAddrs(link, addrs)
	if err != nil {
		return fmt.Errorf("interface %s: %w", name, err)
	}
	routes6, err := setRoutes(link, routes, without6)
	if err != nil {
		return fmt.Errorf("interface %s: %w", name, err)
	}
	if without6 || routes6 {
		return fmt.Errorf("interface %s: %w", name, ErrNoIPv6)
	}
	return nil
}

// setAddrs makes the addresses of an interface the wanted ones. Those that the kernel refuses because there is no IPv6
// are left out.
func setAddrs(link netlink.Link, wanted []netip.Prefix) (without6 bool, err error) {
	present, err := consistently(func() ([]netlink.Addr, error) { return netlink.AddrList(link, netlink.FAMILY_ALL) })
	if err != nil {
		return false, fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range present {
		p, ok := addrOf(a)
		if !ok || slices.Contains(wanted, p) || p.Addr().IsLinkLocalUnicast() {
			continue
		}
		if err := netlink.AddrDel(link, &a); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			return false, fmt.Errorf("remove address %v: %w", p, explainChange(err))
		}
	}
	for _, p := range wanted {
		addr := &netlink.Addr{IPNet: ipNet(p)}
		if p.Addr().Is6() {
			addr.Flags = unix.IFA_F_NODAD // nobody else can have it, and it must be usable at once
		}
		switch err := netlink.AddrReplace(link, addr); {
		case err == nil:
		case p.Addr().Is6() && noIPv6(err):
			without6 = true
		default:
			return without6, fmt.Errorf("add address %v: %w", p, explainChange(err))
		}
	}
	return without6, nil
}

// setRoutes makes our routes through an interface the wanted ones.
func setRoutes(link netlink.Link, wanted []netip.Prefix, without6 bool) (skipped6 bool, err error) {
	present, err := ourRoutes(link)
	if err != nil {
		return false, fmt.Errorf("list routes: %w", err)
	}
	for _, r := range present {
		if p, ok := prefixOf(r.Dst); ok && slices.ContainsFunc(wanted, func(w netip.Prefix) bool { return w.Masked() == p }) {
			continue
		}
		if err := netlink.RouteDel(&r); err != nil && !errors.Is(err, unix.ESRCH) {
			return false, fmt.Errorf("remove route %v: %w", r.Dst, explainChange(err))
		}
	}
	for _, p := range wanted {
		if p.Addr().Is6() && without6 {
			continue
		}
		if err := routedElsewhere(link, p.Masked()); err != nil {
			return skipped6, err
		}
		route := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: ipNet(p.Masked()), Protocol: protocol}
		if p.Addr().Is4() {
			route.Scope = netlink.SCOPE_LINK
		}
		switch err := netlink.RouteReplace(route); {
		case err == nil:
		case p.Addr().Is6() && noIPv6(err):
			skipped6 = true
		default:
			return skipped6, fmt.Errorf("add route %v: %w", p, explainChange(err))
		}
	}
	return skipped6, nil
}

// routedElsewhere finds another interface through which exactly this prefix is routed, such as that of the network that
// the host is in: to take its route would cut the host off. A route to more or to less is none of ours.
func routedElsewhere(link netlink.Link, p netip.Prefix) error {
	family := netlink.FAMILY_V4
	if p.Addr().Is6() {
		family = netlink.FAMILY_V6
	}
	found, err := consistently(func() ([]netlink.Route, error) {
		filter := &netlink.Route{Dst: ipNet(p), Table: unix.RT_TABLE_MAIN}
		return netlink.RouteListFiltered(family, filter, netlink.RT_FILTER_DST|netlink.RT_FILTER_TABLE)
	})
	if err != nil {
		return fmt.Errorf("list routes to %v: %w", p, err)
	}
	for _, r := range found {
		if r.LinkIndex == link.Attrs().Index {
			continue
		}
		through := "another way"
		if other, err := netlink.LinkByIndex(r.LinkIndex); err == nil {
			through = "through " + other.Attrs().Name
		}
		return fmt.Errorf("%v is routed %s: %w", p, through, ErrRouted)
	}
	return nil
}

func ourRoutes(link netlink.Link) ([]netlink.Route, error) {
	return consistently(func() ([]netlink.Route, error) {
		filter := &netlink.Route{LinkIndex: link.Attrs().Index, Protocol: protocol}
		return netlink.RouteListFiltered(netlink.FAMILY_ALL, filter, netlink.RT_FILTER_OIF|netlink.RT_FILTER_PROTOCOL)
	})
}

// noIPv6 reports whether the kernel refused something because IPv6 is disabled, on the interface (EACCES) or as a whole.
func noIPv6(err error) bool {
	return errors.Is(err, unix.EACCES) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EAFNOSUPPORT) ||
		errors.Is(err, unix.ENODEV)
}

func explainChange(err error) error {
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("%w (%v)", ErrPermission, err)
	}
	return err
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

func prefixOf(n *net.IPNet) (netip.Prefix, bool) {
	if n == nil {
		return netip.Prefix{}, false
	}
	addr, ok := netip.AddrFromSlice(n.IP)
	ones, _ := n.Mask.Size()
	return netip.PrefixFrom(addr.Unmap(), ones), ok
}
