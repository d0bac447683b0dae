package osnet

import (
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// interfaceKind is what an interface can be to the underlay.
type interfaceKind uint8

const (
	ordinary interfaceKind = iota
	isolated               // a bridge or tunnel that leads out of this host only if a default route does
	overlaid               // it carries packets over another network: never an uplink
)

// kindOf tells what an interface is, whatever its routes. A TUN interface, of this program or another VPN, and a
// WireGuard or VXLAN one would carry the underlay over itself. A bridge without a physical port is how containers and
// virtual machines of one host reach each other; every host has the same addresses there.
func kindOf(link netlink.Link, all []netlink.Link) interfaceKind {
	switch link.Type() {
	case "tuntap", "wireguard", "vxlan", "geneve", "bareudp", "xfrm", "vti", "vti6", "gtp":
		return overlaid
	case "sit", "ipip", "ip6tnl", "gre", "gretap", "ip6gre", "ip6gretap":
		return isolated
	case "bridge":
		for _, port := range all {
			if port.Attrs().MasterIndex == link.Attrs().Index && physical(port) {
				return ordinary
			}
		}
		return isolated
	}
	return ordinary
}

// onlyWayOut reports whether the default routes lead out of TUN interfaces and the like only. Then these are no VPN, which
// needs another interface below it, but how this host is connected, as containers without privileges are.
func onlyWayOut(links []netlink.Link, out map[int]bool) bool {
	for _, l := range links {
		if out[l.Attrs().Index] && kindOf(l, links) != overlaid {
			return false
		}
	}
	return true
}

// physical reports whether what a bridge sends to one of its ports can leave this host.
func physical(port netlink.Link) bool {
	switch port.Type() {
	case "device", "bond", "team", "vlan", "hsr", "ipoib":
		return true
	}
	return false
}

// gateways are the interfaces that a default route of any table leads out of.
func gateways() (map[int]bool, error) {
	list, err := consistently(func() ([]netlink.Route, error) {
		filter := &netlink.Route{Table: unix.RT_TABLE_UNSPEC}
		return netlink.RouteListFiltered(netlink.FAMILY_ALL, filter, netlink.RT_FILTER_TABLE)
	})
	if err != nil {
		return nil, err
	}
	found := make(map[int]bool)
	for _, r := range list {
		if dst, ok := prefixOf(r.Dst); r.Type != unix.RTN_UNICAST || r.Dst != nil && (!ok || dst.Bits() > 0) {
			continue
		}
		for _, i := range interfacesOf(r) {
			found[i] = true
		}
	}
	return found, nil
}
