package udp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// wires makes two interfaces that count what they are to send: "wire" has a default route, "trap" a better one to
// everything of which the test knows addresses.
func wires(t *testing.T) (wire, trap *netlink.Veth) {
	t.Helper()
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	for i, device := range []**netlink.Veth{&wire, &trap} {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = []string{"wire", "trap"}[i]
		attrs.Flags |= net.FlagUp
		*device = &netlink.Veth{LinkAttrs: attrs, PeerName: attrs.Name + "-far"}
		must(netlink.LinkAdd(*device))
		far, err := netlink.LinkByName(attrs.Name + "-far")
		must(err)
		must(netlink.LinkSetUp(far))
		for _, text := range []string{fmt.Sprintf("192.168.%d.1/24", i), fmt.Sprintf("fd00:%d::1/64", i)} {
			addr, err := netlink.ParseAddr(text)
			must(err)
			addr.Flags |= unix.IFA_F_NODAD
			must(netlink.AddrAdd(*device, addr))
		}
	}
	for _, route := range []netlink.Route{
		{LinkIndex: wire.Index, Gw: net.ParseIP("192.168.0.9")},
		{LinkIndex: wire.Index, Gw: net.ParseIP("fd00:0::9")},
		{LinkIndex: trap.Index, Dst: &net.IPNet{IP: net.IPv4(10, 2, 2, 0), Mask: net.CIDRMask(24, 32)}},
		{LinkIndex: trap.Index, Dst: &net.IPNet{IP: net.ParseIP("2001:db8::"), Mask: net.CIDRMask(32, 128)}},
	} {
		must(netlink.RouteAdd(&route))
	}
	for neighbor, device := range map[string]*netlink.Veth{
		"192.168.0.9": wire, "fd00:0::9": wire, "10.2.2.2": trap, "2001:db8::2": trap,
	} {
		must(netlink.NeighAdd(&netlink.Neigh{
			LinkIndex: device.Index, State: netlink.NUD_PERMANENT, IP: net.ParseIP(neighbor),
			HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 9},
		}))
	}
	return wire, trap
}

// sentBy is how many packets an interface has taken to send.
func sentBy(t *testing.T, device *netlink.Veth) uint64 {
	t.Helper()
	link, err := netlink.LinkByName(device.Name)
	if err != nil {
		t.Fatal(err)
	}
	return link.Attrs().Statistics.TxPackets
}

func TestDatagramsLeaveByTheInterfaceOfTheirDetour(t *testing.T) {
	for _, c := range []struct{ at, to, net string }{
		{"0.0.0.0:0", "10.2.2.2:51871", "10.2.2.0/24"},
		{"192.168.0.1:0", "10.2.2.2:51871", "10.2.2.0/24"},
		{"[::]:0", "[2001:db8::2]:51871", "2001:db8::/32"},
	} {
		inNamespace(t, 1500, func(t *testing.T) {
			wire, trap := wires(t)
			to := netip.MustParseAddrPort(c.to)
			s, err := open(netip.MustParseAddrPort(c.at))
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			packets := packetsOf(append(slices.Repeat([]int{1200}, 9), 100, 1300)...)
			send := func(device string, want *netlink.Veth) {
				t.Helper()
				before := sentBy(t, want)
				batch := s.NewBatch()
				batch.Packets(to, 7, packets)
				if sent, err := s.Send(batch); sent != len(packets) || err != nil {
					t.Fatalf("%s: %d sent, %v", c.at, sent, err)
				}
				deadline := time.Now().Add(time.Second)
				for sentBy(t, want) == before && time.Now().Before(deadline) {
				}
				if sentBy(t, want) == before {
					t.Errorf("%s: nothing left by %s", c.at, device)
				}
			}
			if netip.MustParseAddrPort(c.at).Addr().IsUnspecified() {
				send("trap", trap) // as the routes say
			}
			d := new(Detours)
			d.Insert(netip.MustParsePrefix(c.net), int32(wire.Index))
			s.SetDetours(d)
			trapped := sentBy(t, trap)
			send("wire", wire)
			s.pauseSegments()
			send("wire, one by one", wire)
			noise := uint64(0)
			if to.Addr().Is6() {
				noise = uint64(len(packets)) - 1 // the kernel sends by itself
			}
			if n := sentBy(t, trap) - trapped; n > noise {
				t.Errorf("%s: %d packets left by the trap", c.at, n)
			}

			d = new(Detours)
			d.Insert(netip.MustParsePrefix(c.net), NoInterface)
			s.SetDetours(d)
			batch := s.NewBatch()
			batch.Packets(to, 0, packets)
			if sent, err := s.Send(batch); sent != 0 || !errors.Is(err, unix.ENODEV) {
				t.Errorf("%s: without an interface %d were sent, %v", c.at, sent, err)
			}
			s.SetDetours(nil)
			if sent, err := s.Send(batch); sent != len(packets) || err != nil { // the same batch, as the routes say
				t.Errorf("%s: after the detour %d were sent, %v", c.at, sent, err)
			}
		})
	}
}

func TestDetoursAllocateNothing(t *testing.T) {
	s := listen(t, "127.0.0.1:0")
	d := new(Detours)
	d.Insert(netip.MustParsePrefix("127.0.0.0/8"), 1)
	s.SetDetours(d)
	batch, packets := s.NewBatch(), packetsOf(100, 100, 100)
	if n := testing.AllocsPerRun(100, func() {
		batch.Reset()
		batch.Packets(s.LocalAddr(), 7, packets)
		_, _ = s.Send(batch)
	}); n > 0 {
		t.Errorf("%v allocations a batch", n)
	}
}
