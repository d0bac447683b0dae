package main

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"overlayd/config"
)

// tap counts the datagrams of a node's own underlay that its host routes into the overlay.
type tap struct {
	fd    int
	index int
}

// tapped opens a socket that sees what the host sends into the overlay.
func (s *site) tapped() *tap {
	s.Helper()
	var t tap
	s.must(s.ns.Do(func() (err error) {
		link, err := netlink.LinkByName(s.device)
		if err != nil {
			return err
		}
		all := uint16(unix.ETH_P_ALL)<<8 | uint16(unix.ETH_P_ALL)>>8
		if t.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK, int(all)); err != nil {
			return err
		}
		t.index = link.Attrs().Index
		return unix.Bind(t.fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: t.index})
	}))
	s.Cleanup(func() { _ = unix.Close(t.fd) })
	return &t
}

// seen is how many IPv4 datagrams from the underlay's port were sent into the overlay since the last call.
func (t *tap) seen() (n int) {
	buffer := make([]byte, 2048)
	for {
		size, from, err := unix.Recvfrom(t.fd, buffer, 0)
		if err != nil {
			return n
		}
		link, _ := from.(*unix.SockaddrLinklayer)
		if link == nil || link.Pkttype != unix.PACKET_OUTGOING || size < 28 || buffer[0]>>4 != 4 || buffer[9] != unix.IPPROTO_UDP {
			continue
		}
		if at := int(buffer[0]&15) * 4; int(buffer[at])<<8|int(buffer[at+1]) == config.DefaultPort {
			n++
		}
	}
}

// A node that advertises the very network in which it is reached cuts nobody off.
func TestASubnetThatContainsUnderlayAddressesCutsNobodyOff(t *testing.T) {
	t.Parallel()
	r := newRegion(t)
	sites := r.network("belmont", "boston")
	belmont, boston := sites[0], sites[1]
	theirs, around := netip.PrefixFrom(boston.at, 24).Masked(), netip.MustParsePrefix("10.9.0.0/16")
	tap := belmont.tapped()
	ear := belmont.isHeardBy(boston, soon)
	for subnet, word := range map[netip.Prefix]string{theirs: boston.endpoint(), around: netip.PrefixFrom(belmont.at, 24).Masked().String()} {
		belmont.does("subnet", "grant", "boston", subnet.String())
		boston.stop()
		boston.start("--subnets", subnet.String())
		ear.hears(r.bench, belmont.ipv4(), backWithin)
		tap.seen()
		for begin := time.Now(); time.Since(begin) < 3*time.Second; {
			ear.hears(r.bench, belmont.ipv4(), time.Second)
		}
		if n := tap.seen(); n > 0 {
			t.Errorf("%s: %d datagrams of the underlay were sent into the overlay", subnet, n)
		}
		r.must(belmont.reaches("boston"))
		r.eventually(soon, func() error {
			text := strings.Join(belmont.status().Warnings, "\n")
			if !strings.Contains(text, subnet.String()+", which boston advertises") || !strings.Contains(text, word) {
				return fmt.Errorf("no warning of %s and %s: %q", subnet, word, text)
			}
			return nil
		})
		r.must(belmont.routes(subnet, false))
	}
	boston.stop()
	boston.start()
	r.eventually(soon, func() error {
		if list := belmont.status().Warnings; len(list) > 0 {
			return fmt.Errorf("warned of what is not advertised any more: %q", list)
		}
		return nil
	})
}

// A person, a DHCP client or another VPN routes everything into the overlay.
func TestRoutesOfOthersIntoTheOverlayCutNobodyOff(t *testing.T) {
	t.Parallel()
	r := newRegion(t)
	sites := r.network("belmont", "boston")
	belmont, boston := sites[0], sites[1]
	ear := belmont.isHeardBy(boston, soon)
	for _, half := range []string{"0.0.0.0/1", "128.0.0.0/1"} {
		r.must(belmont.ns.AddRoute(belmont.device, netip.MustParsePrefix(half), netip.Addr{}))
	}
	time.Sleep(500 * time.Millisecond) // the kernel's word is gathered before it is acted upon
	tap := belmont.tapped()
	begin := time.Now()
	for time.Since(begin) < 3*time.Second {
		ear.hears(r.bench, belmont.ipv4(), time.Second)
	}
	if n := tap.seen(); n > 0 {
		t.Errorf("%d datagrams of the underlay were sent into the overlay", n)
	}
	r.must(belmont.reaches("boston"))
}
