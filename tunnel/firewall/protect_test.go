package firewall_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"overlayd/internal/lab/netns"
	"overlayd/tunnel/firewall"
)

// hosts are two machines on one LAN, of which the first has overlay addresses that the other one routes to it.
type hosts struct {
	testing.TB
	host, neighbor *netns.Namespace
	ear            map[bool]*net.UDPConn // of the host, by whether it is IPv6
	said           int
}

const device = "overlay0"

var (
	overlay4, overlay6 = netip.MustParseAddr("10.71.0.1"), netip.MustParseAddr("fd71::1")
	overlay            = []netip.Addr{overlay4, overlay6}
)

func newHosts(t *testing.T) *hosts {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: makes network namespaces")
	}
	h := &hosts{TB: t, ear: make(map[bool]*net.UDPConn)}
	h.host, h.neighbor = h.namespace(), h.namespace()
	h.must(netns.Connect(h.host, "eth0", h.neighbor, "eth0", 1500))
	if _, err := h.host.AddTUN(device, 1400); err != nil {
		t.Skipf("no TUN interface here: %v", err)
	}
	h.must(h.host.Up(device))
	h.must(h.host.Up("lo"))
	for _, a := range overlay {
		h.must(h.host.AddAddress(device, netip.PrefixFrom(a, a.BitLen())))
	}
	for _, lan := range []struct{ host, neighbor string }{
		{"192.168.1.1/24", "192.168.1.2/24"}, {"fd01::1/64", "fd01::2/64"},
	} {
		at := netip.MustParsePrefix(lan.host)
		h.must(h.host.AddAddress("eth0", at))
		h.must(h.neighbor.AddAddress("eth0", netip.MustParsePrefix(lan.neighbor)))
		to := overlay[0]
		if at.Addr().Is6() {
			to = overlay[1]
		}
		h.must(h.neighbor.AddRoute("eth0", netip.PrefixFrom(to, to.BitLen()), at.Addr()))
	}
	for _, a := range overlay {
		h.ear[a.Is6()] = h.socket(h.host, netip.AddrPortFrom(a, 7000))
	}
	return h
}

func (h *hosts) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func (h *hosts) namespace() *netns.Namespace {
	h.Helper()
	ns, err := netns.New()
	if errors.Is(err, netns.ErrNotRoot) {
		h.Skip(err)
	}
	h.must(err)
	h.Cleanup(func() { _ = ns.Close() })
	return ns
}

func (h *hosts) socket(in *netns.Namespace, at netip.AddrPort) (conn *net.UDPConn) {
	h.Helper()
	h.must(in.Do(func() (err error) {
		conn, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
		return err
	}))
	h.Cleanup(func() { _ = conn.Close() })
	return conn
}

// hears says whether datagrams from a machine get to the overlay address.
func (h *hosts) hears(from *netns.Namespace, to netip.Addr, want bool) {
	h.Helper()
	speaker := h.socket(from, netip.AddrPortFrom(unspecified(to), 0))
	ear, buffer := h.ear[to.Is6()], make([]byte, 64)
	h.said++
	word := fmt.Appendf(nil, "%d", h.said)
	deadline := time.Now().Add(2 * time.Second)
	if !want {
		deadline = time.Now().Add(300 * time.Millisecond)
	}
	for time.Now().Before(deadline) {
		_, err := speaker.WriteToUDPAddrPort(word, netip.AddrPortFrom(to, 7000))
		if err != nil {
			h.Logf("to %s: %v", to, err)
		}
		h.must(ear.SetReadDeadline(time.Now().Add(50 * time.Millisecond)))
		if n, _, err := ear.ReadFromUDPAddrPort(buffer); err == nil && bytes.Equal(buffer[:n], word) {
			if !want {
				h.Errorf("a datagram to %s got in", to)
			}
			return
		}
	}
	if want {
		h.Errorf("no datagram to %s got in", to)
	}
}

func unspecified(a netip.Addr) netip.Addr {
	if a.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

func (h *hosts) protect(local ...netip.Prefix) {
	h.Helper()
	err := h.host.Do(func() error { return firewall.Protect(device, overlay, local) })
	if err != nil {
		h.Skipf("no nftables here: %v", err)
	}
}

func TestOverlayAddressesAreReachedThroughTheOverlayOnly(t *testing.T) {
	h := newHosts(t)
	for _, a := range overlay {
		h.hears(h.neighbor, a, true) // so it is without the rules
	}
	h.protect()
	h.protect() // once more changes nothing
	for _, a := range overlay {
		h.hears(h.neighbor, a, false)
		h.hears(h.host, a, true) // the host itself
	}
	h.protect(netip.MustParsePrefix("192.168.1.0/24"), netip.MustParsePrefix("fd01::/64"))
	for _, a := range overlay {
		h.hears(h.neighbor, a, true) // the network is behind the node
	}
	h.protect(netip.MustParsePrefix("192.168.2.0/24"), netip.MustParsePrefix("fd02::/64"))
	for _, a := range overlay {
		h.hears(h.neighbor, a, false)
	}
	for range 2 {
		h.must(h.host.Do(func() error { return firewall.Remove(device) }))
	}
	for _, a := range overlay {
		h.hears(h.neighbor, a, true)
	}
}

// Somebody elsewhere who claims to be in the network behind the node is not believed.
func TestASourceMustComeByItsInterface(t *testing.T) {
	h := newHosts(t)
	h.must(h.host.Sysctl("ipv4/conf/all/rp_filter", "0"))
	h.must(h.host.Sysctl("ipv4/conf/eth0/rp_filter", "0"))
	lan := h.namespace()
	h.must(netns.Connect(h.host, "lan0", lan, "eth0", 1500))
	h.must(h.host.AddAddress("lan0", netip.MustParsePrefix("192.168.9.1/24")))
	h.must(lan.AddAddress("eth0", netip.MustParsePrefix("192.168.9.2/24")))
	h.must(lan.AddRoute("eth0", netip.PrefixFrom(overlay4, 32), netip.MustParseAddr("192.168.9.1")))
	h.protect(netip.MustParsePrefix("192.168.9.0/24"))
	h.hears(lan, overlay4, true)
	h.must(h.neighbor.AddAddress("lo", netip.MustParsePrefix("192.168.9.2/32")))
	speaker := h.socket(h.neighbor, netip.MustParseAddrPort("192.168.9.2:0"))
	for range 10 {
		_, err := speaker.WriteToUDPAddrPort([]byte("x"), netip.AddrPortFrom(overlay4, 7000))
		h.must(err)
	}
	h.must(h.ear[false].SetReadDeadline(time.Now().Add(300 * time.Millisecond)))
	if _, from, err := h.ear[false].ReadFromUDPAddrPort(make([]byte, 64)); err == nil {
		t.Errorf("a datagram from %v got in by the wrong interface", from)
	}
}
