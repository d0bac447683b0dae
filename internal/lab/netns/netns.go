// Package netns makes network namespaces, the devices in them and the processes that run in them, so that all of it
// is gone when the process that made it is gone, even by SIGKILL: a namespace is held by a file descriptor only, a
// device lives in a namespace, and a child is told by the kernel to die with its parent.
//
//	Namespace  ── AddUplink, Connect (veth), AddBridge, Masquerade, Block
//	Spawner    ── Start(process, in Namespace)
package netns

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// ErrNotRoot says that the caller may not make namespaces.
var ErrNotRoot = errors.New("network namespaces need root: run it with sudo")

// Namespace is a network namespace without a name, with its loopback device up.
type Namespace struct {
	handle netns.NsHandle
	links  *netlink.Handle
	kept   string // where it is bound in the file system, if it is
}

// New makes a namespace. It returns ErrNotRoot if the process may not.
func New() (*Namespace, error) {
	var handle netns.NsHandle
	err := onOwnThread(func() (err error) {
		handle, err = netns.New()
		return err
	})
	if errors.Is(err, unix.EPERM) {
		return nil, ErrNotRoot
	}
	if err != nil {
		return nil, fmt.Errorf("make a network namespace: %w", err)
	}
	links, err := netlink.NewHandleAt(handle)
	if err != nil {
		handle.Close()
		return nil, fmt.Errorf("open netlink in a new namespace: %w", err)
	}
	n := &Namespace{handle: handle, links: links}
	if err := n.Up("lo"); err != nil {
		n.Close()
		return nil, err
	}
	return n, nil
}

// Close lets go of the namespace. It vanishes with its devices once no process runs in it.
func (n *Namespace) Close() error {
	n.links.Close()
	var errs []error
	if n.kept != "" {
		errs = append(errs, unix.Unmount(n.kept, unix.MNT_DETACH), os.Remove(n.kept))
	}
	return errors.Join(append(errs, n.handle.Close())...)
}

// Do runs f on a thread inside the namespace. Sockets that f opens stay in the namespace; goroutines that it starts
// do not run there.
func (n *Namespace) Do(f func() error) error {
	return onOwnThread(func() error {
		if err := netns.Set(n.handle); err != nil {
			return fmt.Errorf("enter the namespace: %w", err)
		}
		return f()
	})
}

// Keep binds the namespace to /run/netns under the given name, so that `ip netns exec NAME` finds it until Close.
func (n *Namespace) Keep(name string) error {
	const dir = "/run/netns"
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	path := filepath.Join(dir, name)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL, 0o444)
	if err != nil {
		return err
	}
	f.Close()
	n.kept = path
	source := fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), int(n.handle))
	if err := unix.Mount(source, path, "", unix.MS_BIND, ""); err != nil {
		n.kept = ""
		return errors.Join(fmt.Errorf("bind the namespace to %s: %w", path, err), os.Remove(path))
	}
	return nil
}

// Sysctl sets a network setting of the namespace, such as "ipv4/ip_forward".
func (n *Namespace) Sysctl(key, value string) error {
	return n.Do(func() error {
		return os.WriteFile(filepath.Join("/proc/sys/net", key), []byte(value), 0o644)
	})
}

// AddAddress gives the device an address.
func (n *Namespace) AddAddress(device string, addr netip.Prefix) error {
	link, err := n.links.LinkByName(device)
	if err != nil {
		return fmt.Errorf("find device %s: %w", device, err)
	}
	ip := &netlink.Addr{IPNet: ipNet(addr), Flags: unix.IFA_F_NODAD}
	if err := n.links.AddrReplace(link, ip); err != nil {
		return fmt.Errorf("add %v to %s: %w", addr, device, err)
	}
	return nil
}

// RemoveAddress takes an address from the device.
func (n *Namespace) RemoveAddress(device string, addr netip.Prefix) error {
	link, err := n.links.LinkByName(device)
	if err != nil {
		return fmt.Errorf("find device %s: %w", device, err)
	}
	if err := n.links.AddrDel(link, &netlink.Addr{IPNet: ipNet(addr)}); err != nil {
		return fmt.Errorf("remove %v from %s: %w", addr, device, err)
	}
	return nil
}

// AddRoute routes a prefix out of the device, by way of a gateway if that is valid.
func (n *Namespace) AddRoute(device string, to netip.Prefix, gateway netip.Addr) error {
	link, err := n.links.LinkByName(device)
	if err != nil {
		return fmt.Errorf("find device %s: %w", device, err)
	}
	route := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: ipNet(to), Scope: netlink.SCOPE_LINK}
	if gateway.IsValid() {
		route.Gw = gateway.AsSlice()
		route.Scope = netlink.SCOPE_UNIVERSE
	}
	if err := n.links.RouteReplace(route); err != nil {
		return fmt.Errorf("route %v out of %s: %w", to, device, err)
	}
	return nil
}

// Up sets a device up.
func (n *Namespace) Up(device string) error {
	link, err := n.links.LinkByName(device)
	if err != nil {
		return fmt.Errorf("find device %s: %w", device, err)
	}
	if err := n.links.LinkSetUp(link); err != nil {
		return fmt.Errorf("set device %s up: %w", device, err)
	}
	return nil
}

// onOwnThread runs f on a thread of its own, which ends with f: whatever namespace f has entered, no other goroutine
// ever runs there.
func onOwnThread(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		done <- f()
	}()
	return <-done
}
