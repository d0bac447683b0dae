package netns

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Wire is the far end of an uplink: what is read from it and written to it are Ethernet frames with one IP packet each.
type Wire struct {
	FD       int // non-blocking; the caller closes it
	Hardware net.HardwareAddr
}

// AddUplink makes an Ethernet device and sets it up. To those who look at it, it is no tunnel of any kind: it is a MACVLAN
// of a TAP device, of which the caller holds the other end. Nobody is asked for hardware addresses: all frames go to the
// device's own, and what is written has to as well. The device speaks no IPv6 of its own accord.
func (n *Namespace) AddUplink(device string, mtu int) (Wire, error) {
	fd, err := n.addTunTap(device+"-tap", unix.IFF_TAP, mtu)
	if err != nil {
		return Wire{}, err
	}
	w, err := n.addMACVLAN(device, device+"-tap", mtu)
	if err != nil {
		unix.Close(fd)
		return Wire{}, fmt.Errorf("make the uplink %s: %w", device, err)
	}
	return Wire{FD: fd, Hardware: w}, nil
}

// AddTUN makes a TUN device and sets it up. Reads and writes on the descriptor that it returns carry one IP packet each,
// without a header; the descriptor is non-blocking and the caller closes it.
func (n *Namespace) AddTUN(device string, mtu int) (int, error) {
	return n.addTunTap(device, unix.IFF_TUN, mtu)
}

// addTunTap makes a TUN or a TAP device.
func (n *Namespace) addTunTap(device string, mode uint16, mtu int) (int, error) {
	fd := -1
	err := n.Do(func() (err error) {
		fd, err = unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		if err != nil {
			return fmt.Errorf("open /dev/net/tun: %w", err)
		}
		req, err := unix.NewIfreq(device)
		if err != nil {
			return err
		}
		req.SetUint16(mode | unix.IFF_NO_PI)
		return unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	})
	if err == nil {
		err = n.setUp(device, mtu)
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("make device %s: %w", device, err)
	}
	return fd, nil
}

// addMACVLAN makes a MACVLAN device without ARP on another device, and returns its hardware address.
func (n *Namespace) addMACVLAN(device, parent string, mtu int) (net.HardwareAddr, error) {
	below, err := n.links.LinkByName(parent)
	if err != nil {
		return nil, err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.ParentIndex = device, below.Attrs().Index
	link := &netlink.Macvlan{LinkAttrs: attrs, Mode: netlink.MACVLAN_MODE_PRIVATE}
	if err := n.links.LinkAdd(link); err != nil {
		return nil, err
	}
	if err := n.links.LinkSetARPOff(link); err != nil {
		return nil, err
	}
	if err := n.setUp(device, mtu); err != nil {
		return nil, err
	}
	return n.HardwareAddress(device)
}

// Connect joins two namespaces by a pair of veth devices and sets both up. Each has an IPv6 link-local address, since the
// kernel sends neighbor solicitations from there: without one a router never resolves a neighbor that it forwards to, and
// every neighbor fails 8 s after its first use.
func Connect(a *Namespace, deviceA string, b *Namespace, deviceB string, mtu int) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = deviceA, mtu
	pair := &netlink.Veth{
		LinkAttrs: attrs, PeerName: deviceB, PeerNamespace: netlink.NsFd(int(b.handle)), PeerMTU: uint32(mtu),
	}
	if err := a.links.LinkAdd(pair); err != nil {
		return fmt.Errorf("make the veth pair %s, %s: %w", deviceA, deviceB, err)
	}
	if err := a.setUp(deviceA, mtu); err != nil {
		return err
	}
	if err := b.setUp(deviceB, mtu); err != nil {
		return err
	}
	return errors.Join(a.addLinkLocal(deviceA), b.addLinkLocal(deviceB))
}

// addLinkLocal gives a device the link-local address of its hardware address (RFC 4291, appendix A). The kernel would do so
// itself, but only some time after the device is up.
func (n *Namespace) addLinkLocal(device string) error {
	h, err := n.HardwareAddress(device)
	if err != nil {
		return err
	}
	if len(h) != 6 {
		return fmt.Errorf("%s has the hardware address %q, which is not of Ethernet", device, h)
	}
	local := netip.AddrFrom16([16]byte{
		0xfe, 0x80, 8: h[0] ^ 2, 9: h[1], 10: h[2], 11: 0xff, 12: 0xfe, 13: h[3], 14: h[4], 15: h[5],
	})
	return n.AddAddress(device, netip.PrefixFrom(local, 64))
}

// AddBridge makes a bridge and sets it up: a switch without an address, whose ports are devices of the same namespace.
func (n *Namespace) AddBridge(device string, mtu int) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = device
	if err := n.links.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil {
		return fmt.Errorf("make the bridge %s: %w", device, err)
	}
	return n.setUp(device, mtu)
}

// AddHostBridge makes a bridge on which the namespace has an address itself, with one end of a veth pair as its port, whose
// other end is in the namespace as well: so the bridge has a carrier, as one has on which something is.
func (n *Namespace) AddHostBridge(device string, addr netip.Prefix, mtu int) error {
	port, plug := device+"-p", device+"-q"
	if err := n.AddBridge(device, mtu); err != nil {
		return err
	}
	if err := Connect(n, port, n, plug, mtu); err != nil {
		return err
	}
	if err := n.AddPort(device, port); err != nil {
		return err
	}
	return n.AddAddress(device, addr)
}

// AddPort makes a device a port of a bridge in the same namespace.
func (n *Namespace) AddPort(bridge, device string) error {
	master, err := n.links.LinkByName(bridge)
	if err != nil {
		return fmt.Errorf("find the bridge %s: %w", bridge, err)
	}
	port, err := n.links.LinkByName(device)
	if err != nil {
		return fmt.Errorf("find device %s: %w", device, err)
	}
	if err := n.links.LinkSetMaster(port, master); err != nil {
		return fmt.Errorf("make %s a port of %s: %w", device, bridge, err)
	}
	return nil
}

// Neighbor is the hardware address that the namespace has in its ARP cache for an IPv4 address; nil if none.
func (n *Namespace) Neighbor(addr netip.Addr) (net.HardwareAddr, error) {
	all, err := n.links.NeighList(0, netlink.FAMILY_V4)
	if err != nil {
		return nil, fmt.Errorf("list the neighbours: %w", err)
	}
	for _, have := range all {
		if got, ok := netip.AddrFromSlice(have.IP.To4()); ok && got == addr && have.State&unix.NUD_FAILED == 0 {
			return have.HardwareAddr, nil
		}
	}
	return nil, nil
}

// HardwareAddress is the hardware address of a device.
func (n *Namespace) HardwareAddress(device string) (net.HardwareAddr, error) {
	link, err := n.links.LinkByName(device)
	if err != nil {
		return nil, fmt.Errorf("find device %s: %w", device, err)
	}
	return link.Attrs().HardwareAddr, nil
}

// setUp sizes a device, keeps IPv6's own chatter off it and sets it up.
func (n *Namespace) setUp(device string, mtu int) error {
	link, err := n.links.LinkByName(device)
	if err != nil {
		return fmt.Errorf("find device %s: %w", device, err)
	}
	if err := n.links.LinkSetMTU(link, mtu); err != nil {
		return fmt.Errorf("set the MTU of %s: %w", device, err)
	}
	for key, value := range map[string]string{"addr_gen_mode": "1", "accept_ra": "0"} {
		if err := n.Sysctl("ipv6/conf/"+device+"/"+key, value); err != nil {
			return err
		}
	}
	return n.Up(device)
}

// DefaultRoute is the prefix that holds every IPv4 address.
func DefaultRoute() netip.Prefix { return netip.PrefixFrom(netip.IPv4Unspecified(), 0) }

// DefaultRoute6 is the prefix that holds every IPv6 address.
func DefaultRoute6() netip.Prefix { return netip.PrefixFrom(netip.IPv6Unspecified(), 0) }

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
