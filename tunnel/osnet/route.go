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

	// optionalMetric lets every route to the same network that comes later win by itself, before anybody has had time to
	// call Configure: those of DHCP clients and routing daemons have smaller ones.
	optionalMetric = 4096

	metric6 = 1024 // IP6_RT_PRIO_USER: what the kernel makes of none
	minMTU4 = 68   // RFC 791
)

// Route is a prefix that is to be routed through the interface.
type Route struct {
	Prefix netip.Prefix

	// MTU is that of the way beyond the interface, in bytes; 0 is the interface's. The kernel tells hosts whose packets
	// are larger.
	MTU int

	// Optional gives way to any other interface that has the same prefix. That is right for the networks behind other
	// nodes, since this host may be in one of them.
	Optional bool
}

// Elsewhere is a prefix that was left to another interface. The name is empty if it is not one interface that has it.
type Elsewhere struct {
	Prefix    netip.Prefix
	Interface string
}

func (e Elsewhere) String() string {
	if e.Interface == "" {
		return e.Prefix.String() + " is routed another way"
	}
	return e.Prefix.String() + " is routed through " + e.Interface
}

// setRoutes makes our routes through an interface the wanted ones. A changed route is replaced in one step, and nothing
// is done about one that is as it should be.
func setRoutes(link netlink.Link, addrs []netip.Prefix, wanted []Route, without6 bool) (
	left []Elsewhere, skipped6 bool, err error,
) {
	main, err := mainRoutes()
	if err != nil {
		return nil, false, err
	}
	var errs []error
	var keep []netlink.Route
	seen := make(map[netip.Prefix]bool)
	for _, w := range wanted {
		w.Prefix = w.Prefix.Masked()
		if seen[w.Prefix] || w.Prefix.Addr().Is6() && without6 {
			continue
		}
		seen[w.Prefix] = true
		if other, found := routedElsewhere(main, link, w.Prefix); found && w.Optional {
			left = append(left, other)
			continue
		} else if found {
			errs = append(errs, fmt.Errorf("%v: %w", other, ErrRouted))
			continue
		}
		route, err := routeOf(link, addrs, w)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		keep = append(keep, route)
		if slices.ContainsFunc(main, func(r netlink.Route) bool { return ours(r, link) && same(r, route) }) {
			continue
		}
		switch err := netlink.RouteReplace(&route); {
		case err == nil:
		case w.Prefix.Addr().Is6() && noIPv6(err):
			skipped6 = true
		default:
			errs = append(errs, fmt.Errorf("add route %v: %w", w.Prefix, explainChange(err)))
		}
	}
	if err := removeRoutes(main, link, keep); err != nil {
		errs = append(errs, err)
	}
	return left, skipped6, errors.Join(errs...)
}

// removeRoutes takes out those of the listed routes that are ours and have not been kept or replaced.
func removeRoutes(main []netlink.Route, link netlink.Link, keep []netlink.Route) error {
	for _, r := range main {
		if !ours(r, link) || slices.ContainsFunc(keep, func(k netlink.Route) bool { return inPlaceOf(k, r) }) {
			continue
		}
		if err := netlink.RouteDel(&r); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("remove route %v: %w", r.Dst, explainChange(err))
		}
	}
	return nil
}

// routeOf is the kernel's form of a route. What this host itself sends on it has the overlay's address: it is the only
// one that the other nodes take from it.
func routeOf(link netlink.Link, addrs []netip.Prefix, w Route) (netlink.Route, error) {
	least := minMTU4
	if w.Prefix.Addr().Is6() {
		least = minMTU
	}
	if w.MTU != 0 && (w.MTU < least || w.MTU > maxMTU) {
		return netlink.Route{}, fmt.Errorf("route %v, MTU %d: %w", w.Prefix, w.MTU, ErrMTU)
	}
	r := netlink.Route{
		LinkIndex: link.Attrs().Index, Dst: ipNet(w.Prefix), Protocol: protocol, MTU: w.MTU,
		Table: unix.RT_TABLE_MAIN, Type: unix.RTN_UNICAST,
	}
	if w.MTU >= link.Attrs().MTU {
		r.MTU = 0 // the kernel would believe it, and lose what the interface cannot carry
	}
	if w.Prefix.Addr().Is4() {
		r.Scope = netlink.SCOPE_LINK
	} else {
		r.Priority = metric6
	}
	if w.Optional {
		r.Priority = optionalMetric
	}
	if src, ok := sourceFor(w.Prefix, addrs); ok {
		r.Src = src.AsSlice()
	}
	return r, nil
}

// sourceFor is the first of the addresses that is in the prefix, or else the first one of its family.
func sourceFor(p netip.Prefix, addrs []netip.Prefix) (src netip.Addr, ok bool) {
	for _, a := range addrs {
		if p.Contains(a.Addr()) {
			return a.Addr(), true
		}
		if !ok && a.Addr().Is4() == p.Addr().Is4() {
			src, ok = a.Addr(), true
		}
	}
	return src, ok
}

// inPlaceOf reports whether the kernel takes one route for the other's replacement.
func inPlaceOf(a, b netlink.Route) bool {
	p, okA := prefixOf(a.Dst)
	q, okB := prefixOf(b.Dst)
	return okA && okB && p == q && a.Priority == b.Priority
}

// same compares what setRoutes sets.
func same(a, b netlink.Route) bool {
	return inPlaceOf(a, b) && a.MTU == b.MTU && a.Src.Equal(b.Src) && a.Type == b.Type
}

func ours(r netlink.Route, link netlink.Link) bool {
	return r.LinkIndex == link.Attrs().Index && r.Protocol == protocol
}

// routedElsewhere finds another interface through which exactly this prefix is routed, such as that of the network that
// the host is in: to take its route would cut the host off. A route to more or to less is none of ours.
func routedElsewhere(main []netlink.Route, link netlink.Link, p netip.Prefix) (Elsewhere, bool) {
	for _, r := range main {
		if dst, ok := prefixOf(r.Dst); !ok || dst != p || r.LinkIndex == link.Attrs().Index {
			continue
		}
		e := Elsewhere{Prefix: p}
		if other, err := netlink.LinkByIndex(r.LinkIndex); err == nil && r.LinkIndex != 0 {
			e.Interface = other.Attrs().Name
		}
		return e, true
	}
	return Elsewhere{}, false
}

// mainRoutes lists the main table, of both families.
func mainRoutes() ([]netlink.Route, error) {
	found, err := consistently(func() ([]netlink.Route, error) {
		filter := &netlink.Route{Table: unix.RT_TABLE_MAIN}
		return netlink.RouteListFiltered(netlink.FAMILY_ALL, filter, netlink.RT_FILTER_TABLE)
	})
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	return found, nil
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
