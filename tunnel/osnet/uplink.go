package osnet

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// UplinkTo is the name of the network interface by which the underlay's datagrams to an address leave now: the one that
// the host's routes name, or, where that is the overlay's, the one that leads past it.
func UplinkTo(to netip.Addr, overlay string) (string, error) {
	routes, err := netlink.RouteGet(to.AsSlice())
	if err != nil || len(routes) == 0 {
		return "", fmt.Errorf("no route to %s: %w", to, err)
	}
	name, err := nameOf(routes[0].LinkIndex)
	if err != nil || name != overlay {
		return name, err
	}
	around, err := Detours(overlay, nil)
	if err != nil {
		return "", err
	}
	best, index := -1, Nowhere
	for p, i := range around {
		if p.Contains(to) && p.Bits() > best {
			best, index = p.Bits(), i
		}
	}
	if index <= 0 {
		return "", fmt.Errorf("only the overlay leads to %s", to)
	}
	return nameOf(index)
}

func nameOf(index int) (string, error) {
	link, err := netlink.LinkByIndex(index)
	if err != nil {
		return "", fmt.Errorf("interface %d: %w", index, err)
	}
	return link.Attrs().Name, nil
}
