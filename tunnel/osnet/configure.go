package osnet

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const addrGenModeNone = 1 // IN6_ADDR_GEN_MODE_NONE of linux/if_link.h

// Configure gives the interface these addresses and no others, routes these prefixes through it and no others of ours,
// and sets it up. To repeat it does no harm, and costs only a few listings if nothing has changed; what stays
// as it was is never missing in between.
//
// A prefix that another interface has is left to it: that is ErrRouted, or for an optional route no error, and then it
// is in the list of those that were left elsewhere, which has the order of the routes. Where IPv6 is disabled Configure
// sets up IPv4 and returns ErrNoIPv6. One route that cannot be made does not keep the others from being made.
func Configure(name string, addrs []netip.Prefix, routes []Route) ([]Elsewhere, error) {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return nil, fmt.Errorf("interface %s: %w", name, err)
	}
	if err := setUp(link); err != nil {
		return nil, fmt.Errorf("set interface %s up: %w", name, explainChange(err))
	}
	left, err := configure(link, addrs, routes)
	if err != nil {
		return left, fmt.Errorf("interface %s: %w", name, err)
	}
	return left, nil
}

// configure adds first and removes last: the kernel takes an address's routes away with it, so they must have the new
// one by then.
func configure(link netlink.Link, addrs []netip.Prefix, routes []Route) ([]Elsewhere, error) {
	without6, err := addAddrs(link, addrs)
	if err != nil {
		return nil, err
	}
	left, routes6, routesErr := setRoutes(link, addrs, routes, without6)
	removed, err := removeAddrs(link, addrs)
	if err == nil && removed {
		// With its first address in a network the kernel removes the others there, too.
		if _, err = addAddrs(link, addrs); err == nil {
			left, routes6, routesErr = setRoutes(link, addrs, routes, without6)
		}
	}
	if err := errors.Join(err, routesErr); err != nil {
		return left, err
	}
	if without6 || routes6 {
		return left, ErrNoIPv6
	}
	return left, nil
}

// setUp changes nothing on an interface that is as it should be: a change is told to everybody who watches, and one of
// them may be about to call Configure again.
func setUp(link netlink.Link) error {
	name := link.Attrs().Name
	mode, err := os.ReadFile("/proc/sys/net/ipv6/conf/" + name + "/addr_gen_mode")
	if err != nil || strings.TrimSpace(string(mode)) != fmt.Sprint(addrGenModeNone) {
		// Without an address of its own the interface solicits no router into the overlay. Where IPv6 is disabled there
		// is nothing to keep quiet.
		_ = netlink.LinkSetIP6AddrGenMode(link, addrGenModeNone)
	}
	if link.Attrs().Flags&net.FlagUp != 0 {
		return nil
	}
	return netlink.LinkSetUp(link)
}

// addAddrs gives an interface the wanted addresses that it does not have. Those that the kernel refuses because there
// is no IPv6 are left out.
func addAddrs(link netlink.Link, wanted []netip.Prefix) (without6 bool, err error) {
	present, err := Addrs(link)
	if err != nil {
		return false, err
	}
	usable := make(map[netip.Prefix]bool)
	for _, a := range present {
		if p, ok := AddrOf(a); ok {
			usable[p] = a.Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) == 0
		}
	}
	for _, p := range wanted {
		if usable[p] {
			continue
		}
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

// removeAddrs takes the addresses from an interface that are not wanted.
func removeAddrs(link netlink.Link, wanted []netip.Prefix) (removed bool, err error) {
	present, err := Addrs(link)
	if err != nil {
		return false, err
	}
	for _, a := range present {
		p, ok := AddrOf(a)
		if !ok || slices.Contains(wanted, p) || p.Addr().IsLinkLocalUnicast() {
			continue
		}
		if err := netlink.AddrDel(link, &a); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			return removed, fmt.Errorf("remove address %v: %w", p, explainChange(err))
		}
		removed = true
	}
	return removed, nil
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
