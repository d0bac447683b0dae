package tunnel

import (
	"bytes"
	"encoding/binary"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"overlayd/internal/wire"
	"overlayd/tunnel/fwd"
)

// ipPacket is a packet of either version.
func ipPacket(from, to string, class byte, number uint32) []byte {
	source, destination := netip.MustParseAddr(from), netip.MustParseAddr(to)
	if source.Is4() {
		p := packet(source, destination, 100, number)
		p[1] = class
		return p
	}
	p := make([]byte, ip6Len+60)
	p[0], p[1] = 0x60|class>>4, class<<4
	binary.BigEndian.PutUint16(p[4:], 60)
	p[6], p[7] = 17, 64
	copy(p[8:], source.AsSlice())
	copy(p[24:], destination.AsSlice())
	binary.BigEndian.PutUint32(p[ip6Len:], number)
	return p
}

// meet gives each site the others as peers, with a direct path and these addresses.
func meet(addresses map[*site][]string) {
	for s := range addresses {
		table := &fwd.Table{Routes: make(map[wire.NodeID]*fwd.Route), Sources: make(map[netip.AddrPort]*fwd.Path)}
		for peer, own := range addresses {
			if peer == s {
				continue
			}
			var allowed []netip.Prefix
			for _, addr := range own {
				allowed = append(allowed, single(netip.MustParseAddr(addr)))
			}
			if err := s.plane.AddPeer(peer.id, peer.public, allowed); err != nil {
				s.t.Fatal(err)
			}
			path := pathTo(peer, peer.addr(), 0)
			table.Routes[peer.id], table.Sources[peer.addr()] = routeOn(path), path
		}
		s.plane.Publish(table)
	}
}

// arrives lets the host behind one site send a packet that the host behind another must get as it is.
func arrives(t *testing.T, from, to *site, p []byte) {
	t.Helper()
	from.tun.fromHost <- p
	select {
	case got := <-to.tun.toHost:
		if !bytes.Equal(got, p) {
			t.Fatalf("got  %x\nwant %x", got, p)
		}
	case <-time.After(patience):
		t.Fatalf("a packet from %v did not come", sourceOf(p))
	}
}

// pair is two sites with a network behind each.
func pair(t *testing.T, ownA, ownB []string) (a, b *site) {
	a, b = newSite(t, 1), newSite(t, 2)
	meet(map[*site][]string{a: ownA, b: ownB})
	netA, netB := prefixes("10.1.0.0/16", "fd01::/64"), prefixes("10.2.0.0/16", "fd02::/64")
	a.plane.SetSites(Sites{
		Self: addrs(ownA...), Local: netA, Carriers: carriedBy(b, netB...), Behind: map[wire.NodeID][]netip.Prefix{b.id: netB},
	})
	b.plane.SetSites(Sites{
		Self: addrs(ownB...), Local: netB, Carriers: carriedBy(a, netA...), Behind: map[wire.NodeID][]netip.Prefix{a.id: netA},
	})
	return a, b
}

func addrs(texts ...string) (list []netip.Addr) {
	for _, text := range texts {
		list = append(list, netip.MustParseAddr(text))
	}
	return list
}

func carriedBy(s *site, networks ...netip.Prefix) map[netip.Prefix]wire.NodeID {
	m := make(map[netip.Prefix]wire.NodeID)
	for _, n := range networks {
		m[n] = s.id
	}
	return m
}

func TestHostsBehindSitesReachEachOther(t *testing.T) {
	both := func(n string) []string { return []string{"10.71.0." + n, "fd00::" + n} }
	for name, own := range map[string][2][]string{
		"IPv4 and IPv6": {both("1"), both("2")},
		"one has IPv6":  {{"fd00::1"}, both("2")},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t, own[0], own[1])
			hostA, hostB, hostA6, hostB6 := "10.1.7.7", "10.2.9.9", "fd01::7", "fd02::9"
			for _, p := range [][]byte{
				ipPacket(hostA, hostB, 0xb9, 1),      // behind A to behind B
				ipPacket(hostA6, hostB6, 0x2e, 2),    //
				ipPacket(hostA6, "fd00::2", 0, 3),    // behind A to B itself
				ipPacket("fd00::1", hostB6, 0, 4),    // A itself to behind B
				ipPacket("fd00::1", "fd00::2", 0, 5), // plain
			} {
				arrives(t, a, b, p)
			}
			for _, p := range [][]byte{
				ipPacket(hostB, hostA, 3, 6),
				ipPacket("10.71.0.2", hostA, 0, 7), // B itself to behind A
				ipPacket("fd00::2", hostA6, 0, 8),
				ipPacket(hostB6, "fd00::1", 0, 9),
			} {
				arrives(t, b, a, p)
			}
			for _, s := range []*site{a, b} {
				if got := s.plane.Stats(); got.InRefused+got.OutRefused+got.NoPeer+got.NotAdmitted > 0 {
					t.Errorf("%+v", got)
				}
			}
		})
	}
}

func TestPacketsThatMayNotComeOrGoAreRefused(t *testing.T) {
	const self, peer = "10.71.0.1", "10.71.0.2"
	wrapped := func(inner []byte, tweaks ...func(p []byte)) []byte {
		o := newOuter(netip.MustParseAddr(self), netip.MustParseAddr(peer))
		buffer := append(inner, make([]byte, ip6Len)...)
		p := buffer[:o.wrap(buffer, len(inner))]
		for _, tweak := range tweaks {
			tweak(p)
		}
		return p
	}
	for _, c := range []struct {
		name    string
		packet  []byte // that A's host sends
		permit  bool   // A itself lets it pass
		out, in uint64 // refused at A, at B
		noPeer  uint64
	}{
		{name: "a source that is not of A", packet: ipPacket("10.9.0.1", "10.2.0.1", 0, 1), out: 1},
		{name: "such a source to B itself", packet: ipPacket("10.9.0.1", peer, 0, 1), out: 1},
		{name: "B's own address", packet: ipPacket(peer, "10.2.0.1", 0, 1), out: 1},
		{name: "a network that nobody carries", packet: ipPacket(self, "10.3.0.1", 0, 1), noPeer: 1},
		{name: "not IP", packet: bytes.Repeat([]byte{0xff}, 40), noPeer: 1},
		{name: "a spoofed inner source", packet: ipPacket("10.9.0.1", "10.2.0.1", 0, 1), permit: true, in: 1},
		{name: "a source behind B", packet: ipPacket("10.2.0.9", "10.2.0.1", 0, 1), permit: true, in: 1},
		{name: "a forbidden inner destination", packet: ipPacket("10.1.0.1", "10.99.0.1", 0, 1), permit: true, in: 1},
		{name: "a plain one that goes on from B", packet: ipPacket(self, "10.71.0.3", 0, 1), permit: true, in: 1},
		{name: "nothing within", packet: wrapped(make([]byte, 20)), in: 1},
		{name: "cut off within", packet: wrapped(ipPacket("10.1.0.1", "10.2.0.1", 0, 1)[:60]), in: 1},
		{name: "a fragment", packet: wrapped(ipPacket("10.1.0.1", "10.2.0.1", 0, 1), func(p []byte) { p[6] = 0x20 }), in: 1},
		{name: "options outside", packet: wrapped(ipPacket("10.1.0.1", "10.2.0.1", 0, 1), func(p []byte) { p[0] = 0x46 }), in: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := pair(t, []string{self}, []string{peer})
			if c.permit {
				all := prefixes("0.0.0.0/0")
				a.plane.SetSites(Sites{Self: addrs("10.71.0.1"), Local: all, Carriers: carriedBy(b, all...)})
				if err := a.plane.AddPeer(b.id, b.public, prefixes(peer+"/32", "10.71.0.3/32")); err != nil {
					t.Fatal(err)
				}
			}
			a.tun.fromHost <- c.packet
			arrives(t, a, b, ipPacket(self, peer, 0, 7)) // behind it, and nothing came before
			if s := a.plane.Stats(); s.OutRefused != c.out || s.NoPeer != c.noPeer {
				t.Errorf("%+v", s)
			}
			if s := b.plane.Stats(); s.InRefused != c.in {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestTwoSitesMayLeadToOneNetwork(t *testing.T) {
	a, b, c := newSite(t, 1), newSite(t, 2), newSite(t, 3)
	meet(map[*site][]string{a: {"10.71.0.1"}, b: {"10.71.0.2"}, c: {"10.71.0.3"}})
	network := prefixes("10.9.0.0/16")
	for _, s := range []*site{b, c} {
		s.plane.SetSites(Sites{Self: []netip.Addr{s.inner}, Local: network})
	}
	behind := map[wire.NodeID][]netip.Prefix{b.id: network, c.id: network}
	there, back := ipPacket("10.71.0.1", "10.9.1.1", 0, 1), ipPacket("10.9.1.1", "10.71.0.1", 0, 2)
	for _, carrier := range []*site{b, c, b} {
		a.plane.SetSites(Sites{Self: []netip.Addr{a.inner}, Carriers: carriedBy(carrier, network...), Behind: behind})
		arrives(t, a, carrier, there)
		arrives(t, b, a, back)
		arrives(t, c, a, back)
	}
	longer := carriedBy(b, network...)
	maps.Copy(longer, carriedBy(c, prefixes("10.9.1.0/24")...))
	a.plane.SetSites(Sites{Self: []netip.Addr{a.inner}, Carriers: longer, Behind: behind})
	arrives(t, a, c, there)
	arrives(t, a, b, ipPacket("10.71.0.1", "10.9.2.1", 0, 1))
}

func TestBeforeSitesAreSetNothingIsLookedAt(t *testing.T) {
	a, b, _, _ := connected(t)
	a.plane.SetSites(Sites{Local: prefixes("10.1.0.0/16"), Carriers: carriedBy(b, prefixes("10.2.0.0/16")...)})
	odd := ipPacket(a.inner.String(), b.inner.String(), 0, 1)
	odd[9] = protocolSite
	arrives(t, a, b, odd)
	a.tun.fromHost <- ipPacket("10.1.0.1", "10.2.0.1", 0, 1)
	eventually(t, "the packet has no way", func() bool { return a.plane.Stats().NoPeer == 1 })
}

func TestTheOuterHeaderIsAProperOne(t *testing.T) {
	for name, c := range map[string]struct{ from, to, innerFrom, innerTo string }{
		"IPv4 in IPv4": {"10.71.0.1", "10.71.0.2", "10.1.0.1", "10.2.0.1"},
		"IPv6 in IPv4": {"10.71.255.254", "10.71.255.253", "fd01::1", "fd02::1"},
		"IPv4 in IPv6": {"fd00::1", "fd00::2", "10.1.0.1", "10.2.0.1"},
		"IPv6 in IPv6": {"fd00::1", "fd00::2", "fd01::1", "fd02::1"},
	} {
		for _, class := range []byte{0, 0x03, 0xb8, 0xff} {
			inner := ipPacket(c.innerFrom, c.innerTo, class, 99)
			o := newOuter(netip.MustParseAddr(c.from), netip.MustParseAddr(c.to))
			buffer := append(slices.Clone(inner), make([]byte, ip6Len)...)
			p := buffer[:o.wrap(buffer, len(inner))]
			if !bytes.Equal(trim(p), p) || sourceOf(p) != netip.MustParseAddr(c.from) || trafficClass(p) != class {
				t.Errorf("%s: wrapped into %x", name, p)
			}
			if sum := headerSum(p); p[0]>>4 == 4 && sum != 0xffff {
				t.Errorf("%s: the header sums up to %x", name, sum)
			}
			if n, ok := carried(p); !ok || !bytes.Equal(p[n:], inner) {
				t.Errorf("%s: %x comes out again", name, p[n:])
			}
			if n := o.wrap(buffer[:len(inner)+o.len()-1], len(inner)); n != 0 {
				t.Errorf("%s: %d bytes in a buffer without room", name, n)
			}
		}
	}
	huge := make([]byte, 1<<16)
	o := newOuter(netip.MustParseAddr("10.71.0.1"), netip.MustParseAddr("10.71.0.2"))
	if n := o.wrap(huge, maxOuter-ip4Len); n != maxOuter {
		t.Errorf("%d bytes, want %d", n, maxOuter)
	}
	if n := o.wrap(huge, maxOuter-ip4Len+1); n != 0 {
		t.Errorf("%d bytes, which no datagram holds", n)
	}
}

// headerSum is the sum by which the checksum of an IPv4 header is verified.
func headerSum(p []byte) uint32 {
	var sum uint32
	for i := 0; i < ip4Len; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(p[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return sum
}

// FuzzArrivals gives the gate whatever a peer may send, and looks at what reaches the host.
func FuzzArrivals(f *testing.F) {
	network := prefixes("10.2.0.0/16", "fd02::/64")
	p := new(Plane)
	p.peers.init()
	from := p.live(wire.NodeID{2}, [32]byte{2}, addrs("10.71.0.2", "fd00::2")...).registration
	s := compile(Sites{
		Self: addrs("10.71.0.1", "fd00::1"), Local: prefixes("10.1.0.0/16", "fd01::/64"),
		Behind: map[wire.NodeID][]netip.Prefix{from.id: network},
	})
	for _, inner := range [][]byte{
		ipPacket("10.2.0.1", "10.1.0.1", 0, 1), ipPacket("10.71.0.2", "10.71.0.1", 0, 1), ipPacket("fd02::1", "fd00::1", 0, 1),
		ipPacket("fd00::2", "fd01::1", 0, 1), ipPacket("10.3.0.1", "10.1.0.1", 0, 1), ipPacket("10.2.0.1", "10.3.0.1", 0, 1),
	} {
		f.Add(inner)
		for _, o := range []outer{
			newOuter(netip.MustParseAddr("10.71.0.2"), netip.MustParseAddr("10.71.0.1")),
			newOuter(netip.MustParseAddr("fd00::2"), netip.MustParseAddr("fd00::1")),
		} {
			buffer := append(slices.Clone(inner), make([]byte, ip6Len)...)
			f.Add(buffer[:o.wrap(buffer, len(inner))])
		}
	}
	within := func(addr netip.Addr, networks []netip.Prefix, or ...string) bool {
		return slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(addr) }) ||
			slices.Contains(or, addr.String())
	}
	f.Fuzz(func(t *testing.T, came []byte) {
		a := arrivals{sites: s, view: p.peers.view.Load(), from: from}
		for range 2 { // the second time by what is remembered
			skip, size := a.accept(came)
			if size == 0 {
				continue
			}
			got := came[skip : skip+size]
			source, destination := sourceOf(got), netip.Addr{}
			switch {
			case len(got) >= ip6Len && got[0]>>4 == 6:
				destination = netip.AddrFrom16([16]byte(got[24:40]))
			case len(got) >= ip4Len && got[0]>>4 == 4:
				destination = netip.AddrFrom4([4]byte(got[16:20]))
			}
			if skip == 0 && !within(destination, nil, "10.71.0.1", "fd00::1") {
				t.Fatalf("a plain packet to %v", destination)
			}
			if skip > 0 && (!within(source, network, "10.71.0.2", "fd00::2") ||
				!within(destination, prefixes("10.1.0.0/16", "fd01::/64"), "10.71.0.1", "fd00::1")) {
				t.Fatalf("a packet from %v to %v came out of another", source, destination)
			}
		}
	})
}
