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

// Underlay lists the addresses of this host from which others can be reached: those of interfaces that are up and have a
// carrier, but for the excluded interface, loopback and link-local ones, and IPv6 addresses that are not valid yet or
// not to be used any more. They are in the order of the interfaces, each once.
func Underlay(exclude string) ([]netip.Addr, error) {
	links, err := Links()
	if err != nil {
		return nil, err
	}
	usable := make(map[int]bool)
	for _, l := range links {
		a := l.Attrs()
		const up = unix.IFF_UP | unix.IFF_RUNNING
		usable[a.Index] = a.Name != exclude && a.RawFlags&up == up && a.RawFlags&unix.IFF_LOOPBACK == 0
	}
	addrs, err := Addrs(nil)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(addrs, func(a, b netlink.Addr) int { return a.LinkIndex - b.LinkIndex })
	const unready = unix.IFA_F_TENTATIVE | unix.IFA_F_DADFAILED | unix.IFA_F_DEPRECATED
	var found []netip.Addr
	for _, a := range addrs {
		p, ok := AddrOf(a)
		if !ok || !usable[a.LinkIndex] || !p.Addr().IsGlobalUnicast() || slices.Contains(found, p.Addr()) {
			continue
		}
		if p.Addr().Is6() && a.Flags&unready != 0 && a.Flags&unix.IFA_F_OPTIMISTIC == 0 {
			continue
		}
		found = append(found, p.Addr())
	}
	return found, nil
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
