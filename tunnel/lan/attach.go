package lan

import (
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"overlayd/tunnel/osnet"
)

// attachment is where a gateway address belongs.
type attachment struct {
	index    int
	name     string
	mac      MAC
	networks []netip.Prefix // all of the interface, of the address's family
}

func (a attachment) equal(b attachment) bool {
	return a.index == b.index && a.name == b.name && a.mac == b.mac && slices.Equal(a.networks, b.networks)
}

// iface is what attach needs to know of an interface.
type iface struct {
	attachment
	addrs []netip.Prefix
	up    bool
}

// attach finds the interface for a gateway address: the one with the smallest network that contains it, or that its
// zone names; of several, one that is up.
func attach(ifaces []iface, gateway netip.Addr) (attachment, error) {
	zone := gateway.Zone()
	gateway = gateway.WithZone("")
	if gateway.IsLinkLocalUnicast() && gateway.Is6() && zone == "" {
		return attachment{}, fmt.Errorf("gateway %v: %w", gateway, ErrZone)
	}
	best, bits := iface{}, -1
	for _, i := range ifaces {
		if zone != "" && i.name != zone {
			continue
		}
		for _, a := range i.addrs {
			if a.Addr() == gateway {
				return attachment{}, fmt.Errorf("gateway %v on %s: %w", gateway, i.name, ErrOwn)
			}
			inside := a.Contains(gateway) && !a.IsSingleIP() && i.mac.unicast()
			if inside && (a.Bits() > bits || a.Bits() == bits && i.up && !best.up) {
				best, bits = i, a.Bits()
			}
		}
	}
	if bits < 0 {
		return attachment{}, fmt.Errorf("gateway %v: %w", gateway, ErrNoLAN)
	}
	found := best.attachment
	for _, a := range best.addrs {
		if a.Addr().Is4() == gateway.Is4() {
			found.networks = append(found.networks, a.Masked())
		}
	}
	slices.SortFunc(found.networks, netip.Prefix.Compare)
	found.networks = slices.Compact(found.networks)
	return found, nil
}

// interfaces lists those of the calling thread's network namespace.
func interfaces() ([]iface, error) {
	links, err := osnet.Links()
	if err != nil {
		return nil, err
	}
	addrs, err := osnet.Addrs(nil)
	if err != nil {
		return nil, err
	}
	var list []iface
	for _, l := range links {
		at := l.Attrs()
		i := iface{
			attachment: attachment{index: at.Index, name: at.Name},
			up:         at.RawFlags&(unix.IFF_UP|unix.IFF_RUNNING) == unix.IFF_UP|unix.IFF_RUNNING,
		}
		if at.EncapType == "ether" && len(at.HardwareAddr) == len(i.mac) {
			i.mac = MAC(at.HardwareAddr)
		}
		for _, a := range addrs {
			if p, ok := osnet.AddrOf(a); ok && a.LinkIndex == at.Index {
				i.addrs = append(i.addrs, p)
			}
		}
		list = append(list, i)
	}
	return list, nil
}
