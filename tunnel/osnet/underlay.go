package osnet

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// settleFor is how long changes are gathered before one call tells of all.
const settleFor = 100 * time.Millisecond

// Host is what this host's interfaces have, but for the overlay's.
type Host struct {
	// Endpoints are the addresses from which others may reach this host: those of interfaces that are up, have a carrier
	// and lead out of the host, without loopback and link-local ones, and IPv6 addresses that are not valid yet or not
	// to be used any more. Those of interfaces with a default route come first, then the order is that of the
	// interfaces. Each is there once.
	Endpoints []netip.Addr

	// Addresses are those of all interfaces, with the length of their networks.
	Addresses []Address
}

// Address is one of an interface.
type Address struct {
	netip.Prefix
	Interface string
	Isolated  bool // the interface does not lead out of this host, or it is that of another overlay
}

// Underlay lists what the interfaces of this host have, but for one.
func Underlay(exclude string) (Host, error) {
	links, err := Links()
	if err != nil {
		return Host{}, err
	}
	out, err := gateways()
	if err != nil {
		return Host{}, fmt.Errorf("list routes: %w", err)
	}
	addrs, err := Addrs(nil)
	if err != nil {
		return Host{}, err
	}
	byIndex := make(map[int]netlink.Link)
	for _, l := range links {
		byIndex[l.Attrs().Index] = l
	}
	slices.SortStableFunc(addrs, func(a, b netlink.Addr) int {
		if out[a.LinkIndex] != out[b.LinkIndex] {
			if out[a.LinkIndex] {
				return -1
			}
			return 1
		}
		return a.LinkIndex - b.LinkIndex
	})
	only := onlyWayOut(links, out)
	var h Host
	for _, a := range addrs {
		p, ok := AddrOf(a)
		link := byIndex[a.LinkIndex]
		if !ok || link == nil || link.Attrs().Name == exclude {
			continue
		}
		kind := kindOf(link, links)
		if out[a.LinkIndex] && (kind == isolated || only) {
			kind = ordinary
		}
		h.Addresses = append(h.Addresses, Address{Prefix: p, Interface: link.Attrs().Name, Isolated: kind != ordinary})
		if kind == ordinary && publishable(link, a, p.Addr()) && !slices.Contains(h.Endpoints, p.Addr()) {
			h.Endpoints = append(h.Endpoints, p.Addr())
		}
	}
	return h, nil
}

// publishable reports whether an address of an interface can be used by others now.
func publishable(link netlink.Link, a netlink.Addr, addr netip.Addr) bool {
	const up = unix.IFF_UP | unix.IFF_RUNNING
	flags := link.Attrs().RawFlags
	if flags&up != up || flags&unix.IFF_LOOPBACK != 0 || !addr.IsGlobalUnicast() {
		return false
	}
	const unready = unix.IFA_F_TENTATIVE | unix.IFA_F_DADFAILED | unix.IFA_F_DEPRECATED
	return addr.Is4() || a.Flags&unready == 0 || a.Flags&unix.IFA_F_OPTIMISTIC != 0
}

// Watch calls changed, from a goroutine of its own, a little after interfaces, addresses or routes of this host have
// changed: once for changes that come together. It returns at once, and ends when ctx does. Messages of the kernel that
// were lost count as a change.
func Watch(ctx context.Context, changed func()) error {
	socket, err := nl.Subscribe(unix.NETLINK_ROUTE,
		unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR,
		unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE)
	if err != nil {
		return fmt.Errorf("watch the network interfaces: %w", err)
	}
	events := make(chan struct{}, 1)
	context.AfterFunc(ctx, socket.Close)
	go receive(ctx, socket, events)
	go report(ctx, events, changed)
	return nil
}

// receive notes that messages came, until ctx ends, which closes the socket.
func receive(ctx context.Context, socket *nl.NetlinkSocket, events chan<- struct{}) {
	defer close(events)
	for {
		_, _, err := socket.Receive()
		if ctx.Err() != nil {
			return
		}
		if err != nil && !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.EINTR) {
			time.Sleep(settleFor) // whatever it is, it must not turn into a busy loop
		}
		select {
		case events <- struct{}{}:
		default: // one is waiting to be seen
		}
	}
}

// report gathers what comes within settleFor and tells of it once.
func report(ctx context.Context, events <-chan struct{}, changed func()) {
	for range events {
		select {
		case <-time.After(settleFor):
		case <-ctx.Done():
			return
		}
		select {
		case <-events:
		default:
		}
		if ctx.Err() != nil {
			return
		}
		changed()
	}
}
