package netns

import (
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"
)

// A router asks its neighbors again and again whether they are still there. The timers are shortened from 5 s and 1 s.
func TestARouterKeepsItsIPv6Neighbors(t *testing.T) {
	far, router, host := newNamespace(t), newNamespace(t), newNamespace(t)
	address := netip.MustParseAddrPort("[fd00:2::2]:7007")
	err := errors.Join(
		Connect(far, "eth0", router, "wan0", 1500), Connect(host, "eth0", router, "lan0", 1500),
		far.AddAddress("eth0", netip.MustParsePrefix("fd00:1::2/64")),
		router.AddAddress("wan0", netip.MustParsePrefix("fd00:1::1/64")),
		router.AddAddress("lan0", netip.MustParsePrefix("fd00:2::1/64")),
		host.AddAddress("eth0", netip.PrefixFrom(address.Addr(), 64)),
		far.AddRoute("eth0", DefaultRoute6(), netip.MustParseAddr("fd00:1::1")),
		router.Sysctl("ipv6/conf/all/forwarding", "1"),
		router.Sysctl("ipv6/neigh/lan0/base_reachable_time_ms", "100"),
		router.Sysctl("ipv6/neigh/lan0/delay_first_probe_time", "1"),
		router.Sysctl("ipv6/neigh/lan0/retrans_time_ms", "50"),
	)
	if err != nil {
		t.Fatal(err)
	}
	var in net.PacketConn
	var out net.Conn
	err = errors.Join(
		host.Do(func() (err error) { in, err = net.ListenPacket("udp6", address.String()); return err }),
		far.Do(func() (err error) { out, err = net.Dial("udp6", address.String()); return err }),
	)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	defer out.Close()
	passes := func() bool {
		if _, err := out.Write([]byte{1}); err != nil {
			t.Fatal(err)
		}
		if err := in.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		n, _, _ := in.ReadFrom(make([]byte, 8))
		return n == 1
	}
	for begun := time.Now(); !passes(); { // the kernel takes up to a second until it uses a new device
		if time.Since(begun) > 5*time.Second {
			t.Fatal("no packet passed the router in 5 s")
		}
	}
	const sent = 30
	passed := 0
	for range sent {
		<-time.After(100 * time.Millisecond) // the pace of the packets
		if passes() {
			passed++
		}
	}
	if passed < sent-1 {
		t.Errorf("%d of %d packets passed the router in 3 s", passed, sent)
	}
}
