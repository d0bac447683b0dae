package osnet

import (
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"overlayd/internal/lab/netns"
)

// A host that sends more than the way to another node's network carries is told by the kernel of the node before it, so
// TCP makes smaller segments.
func TestHostsOnALANAreToldOfTheMTU(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: it makes a LAN of network namespaces")
	}
	for name, c := range map[string]struct {
		lan, host, node, fallback, overlay, remote, to string
		linkLocal                                      bool
		level, discover, do, mtu                       int
	}{
		"IPv4": {
			lan: "192.168.7.0/24", host: "192.168.7.10/24", node: "192.168.7.1/24", fallback: "0.0.0.0/0",
			overlay: "10.71.0.1/32", remote: "192.168.8.0/24", to: "192.168.8.9:9",
			level: unix.IPPROTO_IP, discover: unix.IP_MTU_DISCOVER, do: unix.IP_PMTUDISC_DO, mtu: unix.IP_MTU,
		},
		"IPv6": {
			lan: "2001:db8:7::/64", host: "2001:db8:7::10/64", node: "2001:db8:7::1/64", fallback: "::/0",
			overlay: "fd00:71::1/128", remote: "2001:db8:8::/64", to: "[2001:db8:8::9]:9", linkLocal: true,
			level: unix.IPPROTO_IPV6, discover: unix.IPV6_MTU_DISCOVER, do: unix.IPV6_PMTUDISC_DO, mtu: unix.IPV6_MTU,
		},
	} {
		t.Run(name, func(t *testing.T) {
			host, err := netns.New()
			must(t, err)
			defer host.Close()
			node, err := netns.New()
			must(t, err)
			defer node.Close()
			must(t, netns.Connect(host, "eth0", node, "lan0", 1500))
			if c.linkLocal { // a router asks for its neighbours from such addresses
				must(t, host.AddAddress("eth0", netip.MustParsePrefix("fe80::10/64")))
				must(t, node.AddAddress("lan0", netip.MustParsePrefix("fe80::1/64")))
			}
			gateway := netip.MustParsePrefix(c.node)
			must(t, host.AddAddress("eth0", netip.MustParsePrefix(c.host)))
			must(t, node.AddAddress("lan0", gateway))
			must(t, host.AddRoute("eth0", netip.MustParsePrefix(c.fallback), gateway.Addr()))
			must(t, node.Do(func() error {
				open(t, "overlay0")
				if _, err := Configure("overlay0", prefixes(c.overlay), []Route{route(c.remote, 1300, true)}); err != nil {
					return err
				}
				return Forward("overlay0", prefixes(c.lan))
			}))
			var conn net.Conn
			must(t, host.Do(func() (err error) { conn, err = net.Dial("udp", c.to); return err }))
			defer conn.Close()
			raw, err := conn.(*net.UDPConn).SyscallConn()
			must(t, err)
			option := func(f func(fd int) error) {
				t.Helper()
				var failed error
				must(t, raw.Control(func(fd uintptr) { failed = f(int(fd)) }))
				must(t, failed)
			}
			option(func(fd int) error { return unix.SetsockoptInt(fd, c.level, c.discover, c.do) })
			mtu := 0
			timeout := time.After(5 * time.Second)
			for tick := time.NewTicker(10 * time.Millisecond); mtu != 1300; {
				_, _ = conn.Write(make([]byte, 1350))
				option(func(fd int) (err error) { mtu, err = unix.GetsockoptInt(fd, c.level, c.mtu); return err })
				select {
				case <-tick.C:
				case <-timeout:
					t.Fatalf("the host believes in an MTU of %d", mtu)
				}
			}
		})
	}
}
