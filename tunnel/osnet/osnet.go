// Package osnet is the operating system's side of the tunnel, on Linux: the TUN interface, its addresses and routes,
// forwarding, and the addresses of the underlay. It does what it is told and decides no route.
//
// Everything happens in the network namespace of the calling thread, and, but for a Watch that runs, before the call
// returns.
package osnet

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/tun"
)

// What can keep an interface from being made or set up.
var (
	ErrPermission = errors.New("making a network interface needs root or CAP_NET_ADMIN: run this with sudo")
	ErrNoTUN      = errors.New("this system has no TUN devices (/dev/net/tun): load the module with modprobe tun, " +
		"or give the container --device /dev/net/tun")
	ErrNameInUse = errors.New("another program has a network interface of this name: " +
		"stop that one, or choose another name with --interface")
	ErrName   = errors.New("not a name for a network interface: use 1 to 15 letters, digits, '-', '_' or '.'")
	ErrRouted = errors.New("another interface has the addresses of this network: " +
		"take that one away, or make the network with others (overlayd init --prefix)")
	ErrMTU = errors.New("not a usable MTU: use 1280 to 65535, since IPv6 needs 1280")

	// ErrNoIPv6 is what Configure returns when only IPv6 could not be set up. All else is done: it is a warning.
	ErrNoIPv6 = errors.New("IPv6 is disabled on this system (sysctl net.ipv6.conf.*.disable_ipv6): " +
		"the overlay has IPv4 only")
)

const (
	maxNameLen = unix.IFNAMSIZ - 1
	minMTU     = 1280
	maxMTU     = 65535
)

// Open makes a TUN interface, or takes over a persistent one that no program holds. It is down and without addresses;
// Configure sets it up. Close takes it away.
func Open(name string, mtu int) (tun.Device, error) {
	if !validName(name) {
		return nil, fmt.Errorf("interface %q: %w", name, ErrName)
	}
	if mtu < minMTU || mtu > maxMTU {
		return nil, fmt.Errorf("interface %s, MTU %d: %w", name, mtu, ErrMTU)
	}
	if err := openable(name); err != nil {
		return nil, fmt.Errorf("interface %s: %w", name, err)
	}
	device, err := tun.CreateTUN(name, mtu)
	if err != nil {
		return nil, fmt.Errorf("interface %s: %w", name, explain(err))
	}
	return device, nil
}

// openable finds what CreateTUN would stumble over. It is asked first because CreateTUN keeps a descriptor for every
// failure, and a program that tries again would run out of them.
func openable(name string) error {
	if f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0); err != nil {
		return explain(err)
	} else if err := f.Close(); err != nil {
		return err
	}
	link, err := netlink.LinkByName(name)
	if err != nil {
		return nil // there is none, or CreateTUN will tell
	}
	if device, ok := link.(*netlink.Tuntap); !ok || device.Mode != unix.IFF_TUN {
		return ErrNameInUse
	}
	return nil
}

// explain puts an error of the kernel as what a person can do about it.
func explain(err error) error {
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return fmt.Errorf("%w (%v)", ErrPermission, err)
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return fmt.Errorf("%w (%v)", ErrNoTUN, err)
	case errors.Is(err, unix.EBUSY), errors.Is(err, unix.EINVAL): // EINVAL: there is one that is no TUN, or is another's
		return fmt.Errorf("%w (%v)", ErrNameInUse, err)
	default:
		return err
	}
}

// validName holds the kernel's rules, and leaves out what reads badly in a shell or is a pattern to the kernel.
func validName(name string) bool {
	if name == "" || len(name) > maxNameLen || strings.Trim(name, ".") == "" {
		return false
	}
	for _, r := range name {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
		default:
			return false
		}
	}
	return name[0] != '-'
}

// listAttempts is how often a listing is repeated that the kernel says changed while it was read.
const listAttempts = 5

// consistently lists until nothing changes during the listing; the last attempt counts as it is.
func consistently[T any](list func() ([]T, error)) ([]T, error) {
	for range listAttempts - 1 {
		found, err := list()
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			return found, err
		}
	}
	found, err := list()
	if errors.Is(err, netlink.ErrDumpInterrupted) {
		err = nil
	}
	return found, err
}

// Links lists the interfaces of the calling thread's network namespace.
func Links() ([]netlink.Link, error) {
	links, err := consistently(netlink.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	return links, nil
}

// Addrs lists the addresses of an interface, or of all if it is nil.
func Addrs(link netlink.Link) ([]netlink.Addr, error) {
	addrs, err := consistently(func() ([]netlink.Addr, error) { return netlink.AddrList(link, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	return addrs, nil
}

// AddrOf is an address with its prefix length; false if the kernel gave none.
func AddrOf(a netlink.Addr) (netip.Prefix, bool) {
	if a.IPNet == nil {
		return netip.Prefix{}, false
	}
	addr, ok := netip.AddrFromSlice(a.IP)
	ones, _ := a.Mask.Size()
	return netip.PrefixFrom(addr.Unmap(), ones), ok
}
