package osnet

import (
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
)

// Missing lists, in words, what Configure has set up on an interface and somebody else has taken away: addresses, routes
// to the given prefixes, and whether it is up. It is empty too if the interface is gone, or if the system does not tell.
func Missing(name string, addrs, prefixes []netip.Prefix) (list []string) {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return nil
	}
	if link.Attrs().Flags&net.FlagUp == 0 {
		list = append(list, "it is down")
	}
	without6 := sixDisabled(name)
	present, err := Addrs(link)
	if err != nil {
		return list
	}
	for _, p := range addrs {
		has := slices.ContainsFunc(present, func(a netlink.Addr) bool {
			q, ok := AddrOf(a)
			return ok && p == q
		})
		if !has && !(p.Addr().Is6() && without6) {
			list = append(list, "address "+p.Addr().String())
		}
	}
	main, err := mainRoutes()
	if err != nil {
		return list
	}
	for _, p := range prefixes {
		has := slices.ContainsFunc(main, func(r netlink.Route) bool {
			dst, ok := prefixOf(r.Dst)
			return ok && dst == p.Masked() && ours(r, link)
		})
		if !has && !(p.Addr().Is6() && without6) {
			list = append(list, "route to "+p.String())
		}
	}
	return list
}

// sixDisabled reports whether an interface can have no IPv6 addresses.
func sixDisabled(name string) bool {
	text, err := os.ReadFile(sysctls + "/ipv6/conf/" + name + "/disable_ipv6")
	return err != nil || strings.TrimSpace(string(text)) != "0"
}
