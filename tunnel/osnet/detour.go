package osnet

import (
	"net/netip"
	"slices"

	"github.com/gaissmai/bart"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// What Detours says instead of an interface.
const (
	ByRoute = 0  // the routing tables lead past the overlay
	Nowhere = -1 // only the overlay leads there
)

// Detours lists the interfaces, by index, that the underlay's own datagrams must leave by because the host's routes, or
// the prefixes that are about to be routed, lead into an overlay: that of the named interface, or that of another instance
// on this host. The longest prefix that contains a destination counts; where there is none the routes are to be followed.
//
// A datagram with an explicit interface finds that interface's own routes whatever others are longer or have a better
// metric. So what is routed into the overlay, by whom ever, cannot cut off the node that carries it.
func Detours(name string, about []netip.Prefix) (map[netip.Prefix]int, error) {
	main, err := mainRoutes()
	if err != nil {
		return nil, err
	}
	overlay := make(map[int]bool)
	if link, err := netlink.LinkByName(name); err == nil {
		overlay[link.Attrs().Index] = true
	}
	for _, r := range main {
		if r.Protocol == protocol && r.LinkIndex != 0 {
			overlay[r.LinkIndex] = true
		}
	}
	return detours(main, overlay, about), nil
}

// detours is Detours for given routes and interfaces.
func detours(main []netlink.Route, overlay map[int]bool, about []netip.Prefix) map[netip.Prefix]int {
	covered := make(map[netip.Prefix]bool)
	for _, p := range about {
		covered[p.Masked()] = true
	}
	var others bart.Table[netlink.Route] // the best one for each prefix
	for _, r := range main {
		p, ok := prefixOf(r.Dst)
		if !ok || r.Type != unix.RTN_UNICAST {
			continue
		}
		through := slices.DeleteFunc(interfacesOf(r), func(i int) bool { return i == 0 || overlay[i] })
		if len(through) == 0 {
			if overlay[r.LinkIndex] {
				covered[p] = true
			}
			continue
		}
		r.LinkIndex = through[0]
		if known, found := others.Get(p); !found || better(r, known) {
			others.Insert(p, r)
		}
	}
	found := make(map[netip.Prefix]int)
	for p := range covered {
		for inside := range others.Subnets(p) {
			if _, known := found[inside]; !known {
				found[inside] = ByRoute
			}
		}
	}
	for p := range covered {
		found[p] = Nowhere
		if r, ok := others.LookupPrefix(p); ok {
			found[p] = r.LinkIndex
		}
	}
	return found
}

// better prefers routes that work, then the kernel's order.
func better(a, b netlink.Route) bool {
	const broken = unix.RTNH_F_DEAD | unix.RTNH_F_LINKDOWN
	if brokenA, brokenB := a.Flags&broken != 0, b.Flags&broken != 0; brokenA != brokenB {
		return brokenB
	}
	return a.Priority < b.Priority
}
