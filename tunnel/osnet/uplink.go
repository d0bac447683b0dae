package osnet

import (
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// UplinkTo is the name of the network interface by which the host sends to an address now.
func UplinkTo(to netip.Addr) (string, error) {
	routes, err := netlink.RouteGet(to.AsSlice())
	if err != nil || len(routes) == 0 {
		return "", fmt.Errorf("no route to %s: %w", to, err)
	}
	link, err := netlink.LinkByIndex(routes[0].LinkIndex)
	if err != nil {
		return "", fmt.Errorf("the interface to %s: %w", to, err)
	}
	return link.Attrs().Name, nil
}
