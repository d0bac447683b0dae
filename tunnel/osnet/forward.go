package osnet

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// What can keep packets from being forwarded.
var (
	ErrNoNetwork = errors.New("no interface of this host has it and no route but the default one leads there: " +
		"add a route to it, or take it out of the subnets that this node advertises")
	ErrForwarding = errors.New("this system does not let us change it: set it on the host, or start the container with it")
)

const (
	sysctls = "/proc/sys/net"

	strict = 1 // values of rp_filter, RFC 3704
	loose  = 2
)

// Forward makes the kernel forward between the overlay's interface and the interfaces on which this host reaches the
// given networks. It turns forwarding on for these interfaces only, as far as the kernel can tell them apart, and turns
// nothing off. To repeat it does no harm. It does all that it can, and returns the first thing that it could not do.
//
// Packets into one LAN may come through two nodes, and their answers leave by the other one: so a strict reverse-path
// filter on the overlay's interface becomes a loose one.
func Forward(name string, subnets []netip.Prefix) error {
	if len(subnets) == 0 {
		return nil
	}
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("interface %s: %w", name, err)
	}
	main, err := mainRoutes()
	if err != nil {
		return err
	}
	var missing []string
	var indices4, indices6 []int
	for _, p := range subnets {
		found := reachedOn(main, link.Attrs().Index, p.Masked())
		switch {
		case len(found) == 0:
			missing = append(missing, p.Masked().String())
		case p.Addr().Is4():
			indices4 = append(indices4, found...)
		default:
			indices6 = append(indices6, found...)
		}
	}
	var errs []error
	if len(missing) > 0 {
		errs = append(errs, fmt.Errorf("network %s: %w", strings.Join(missing, ", "), ErrNoNetwork))
	}
	if len(indices4) > 0 {
		errs = append(errs, forward4(name, namesOf(indices4))...)
	}
	if len(indices6) > 0 {
		errs = append(errs, forward6(append(namesOf(indices6), name))...)
	}
	return cmp.Or(errs...)
}

// reachedOn finds the interfaces, other than one, that packets to a prefix leave by: those of the longest routes that
// contain it, and of all that lie in it. The default route does not count, or every network would be reached.
func reachedOn(main []netlink.Route, except int, p netip.Prefix) []int {
	var around, inside []int
	longest := 0
	for _, r := range main {
		dst, ok := prefixOf(r.Dst)
		if !ok || r.Type != unix.RTN_UNICAST || dst.Addr().Is4() != p.Addr().Is4() || dst.Bits() == 0 && p.Bits() != 0 {
			continue
		}
		through := slices.DeleteFunc(interfacesOf(r), func(i int) bool { return i == 0 || i == except })
		switch {
		case len(through) == 0 || !dst.Overlaps(p):
		case dst.Bits() > p.Bits():
			inside = append(inside, through...)
		case dst.Bits() > longest || len(around) == 0:
			longest, around = dst.Bits(), through
		case dst.Bits() == longest:
			around = append(around, through...)
		}
	}
	all := append(around, inside...)
	slices.Sort(all)
	return slices.Compact(all)
}

func interfacesOf(r netlink.Route) []int {
	list := []int{r.LinkIndex}
	for _, hop := range r.MultiPath {
		list = append(list, hop.LinkIndex)
	}
	return list
}

// namesOf leaves out interfaces that have just gone, and the loopback one, which forwards nothing.
func namesOf(indices []int) []string {
	slices.Sort(indices)
	var names []string
	for _, i := range slices.Compact(indices) {
		link, err := netlink.LinkByIndex(i)
		if err == nil && link.Attrs().RawFlags&unix.IFF_LOOPBACK == 0 {
			names = append(names, link.Attrs().Name)
		}
	}
	return names
}

func forward4(overlay string, lans []string) (errs []error) {
	for _, name := range append(lans, overlay) {
		errs = append(errs, raise("ipv4/conf/"+name+"/forwarding", 1))
	}
	here, _ := read("ipv4/conf/" + overlay + "/rp_filter")
	all, _ := read("ipv4/conf/all/rp_filter")
	if max(here, all) == strict { // the kernel takes the larger one
		errs = append(errs, raise("ipv4/conf/"+overlay+"/rp_filter", loose))
	}
	return errs
}

// forward6 prefers the switch for one interface, which Linux has since 6.17. Before that there is only the one for the
// whole host.
func forward6(names []string) (errs []error) {
	if on, err := read("ipv6/conf/all/forwarding"); err == nil && on != 0 {
		return nil
	}
	if _, err := read("ipv6/conf/" + names[0] + "/force_forwarding"); err != nil {
		return []error{becomeRouter()}
	}
	for _, name := range names {
		errs = append(errs, raise("ipv6/conf/"+name+"/force_forwarding", 1))
	}
	return errs
}

// becomeRouter turns on IPv6 forwarding everywhere. The host would forget the default routes that it has from other
// routers, and hear of none any more: so it is first told to go on listening where it does now.
func becomeRouter() error {
	confs, _ := filepath.Glob(sysctls + "/ipv6/conf/*/accept_ra")
	for _, conf := range confs {
		key := strings.TrimPrefix(conf, sysctls+"/")
		if accept, err := read(key); err == nil && accept == 1 {
			_ = raise(key, 2)
		}
	}
	return raise("ipv6/conf/all/forwarding", 1)
}

func read(key string) (int, error) {
	text, err := os.ReadFile(filepath.Join(sysctls, key))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

// raise sets what is less. So it does not matter that /proc/sys is read-only in a container that was set up well.
func raise(key string, to int) error {
	now, err := read(key)
	if err == nil && now >= to {
		return nil
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(sysctls, key), []byte(strconv.Itoa(to)), 0o644)
	}
	if err != nil {
		return fmt.Errorf("%s=%d: %w (%v)", strings.ReplaceAll("net/"+key, "/", "."), to, ErrForwarding, errors.Unwrap(err))
	}
	return nil
}
