package classes

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"overlayd/internal/wire"
)

// builder makes IP packets for the tests.
type builder struct {
	to         string // its family is the packet's
	dscp       uint8
	ecn        uint8
	protocol   uint8
	src, dst   uint16
	fragment   bool
	offset     uint16   // of the fragment, in units of 8 bytes
	options    int      // bytes of IPv4 options
	extensions []uint8  // of IPv6, in front of a fragment header
	behind     []uint8  // and behind it
	payload    [64]byte // starts with the ports, unless it is a later fragment
}

func (b builder) build() []byte {
	to := netip.MustParseAddr(b.to)
	payload := b.payload[:]
	if !b.fragment || b.offset == 0 {
		binary.BigEndian.PutUint16(payload, b.src)
		binary.BigEndian.PutUint16(payload[2:], b.dst)
	}
	if to.Is4() {
		p := make([]byte, ip4Len+b.options)
		p[0] = 0x40 | byte(len(p)/4)
		p[1] = b.dscp<<2 | b.ecn
		p[9] = b.protocol
		if b.fragment {
			binary.BigEndian.PutUint16(p[6:], b.offset)
			if b.offset == 0 {
				p[6] |= 0x20 // more fragments
			}
		}
		copy(p[12:], []byte{10, 71, 0, 1})
		copy(p[16:], to.AsSlice())
		return append(p, payload...)
	}
	p := make([]byte, ip6Len)
	p[0] = 0x60 | b.dscp>>2
	p[1] = b.dscp<<6 | b.ecn<<4
	copy(p[24:], to.AsSlice())
	chain := append([]uint8{}, b.extensions...)
	if b.fragment {
		chain = append(chain, protocolFragment)
	}
	if b.offset == 0 {
		chain = append(chain, b.behind...)
	}
	chain = append(chain, b.protocol)
	p[6] = chain[0]
	for i, kind := range chain[:len(chain)-1] {
		header := make([]byte, 16)
		header[1] = 1
		switch kind {
		case protocolFragment:
			header = header[:8]
			binary.BigEndian.PutUint16(header[2:], b.offset<<3|1)
		case protocolAH:
			header[1] = 2
		}
		header[0] = chain[i+1]
		if kind == protocolFragment && len(b.behind) > 0 {
			header[0] = b.behind[0] // in all fragments
		}
		p = append(p, header...)
	}
	return append(p, payload...)
}

var (
	boston  = wire.NodeID{3}
	belmont = wire.NodeID{7}
)

func TestConditionsOfARule(t *testing.T) {
	sip := Rule{Class: wire.Critical, Protocols: []uint8{17, 6}, Ports: []Ports{{5060, 5061}, {9, 9}}}
	site := Rule{Class: wire.Critical, Networks: []netip.Prefix{
		netip.MustParsePrefix("192.168.7.0/24"), netip.MustParsePrefix("fd00:7::/61"),
	}}
	deep := Rule{Class: wire.Critical, Networks: []netip.Prefix{netip.MustParsePrefix("fd00:7::1:0/112")}}
	four := Rule{Class: wire.Critical, Networks: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}}
	for _, c := range []struct {
		name   string
		rule   Rule
		packet builder
		want   bool
	}{
		{"destination port", sip, builder{to: "10.71.0.3", protocol: 17, src: 40000, dst: 5060}, true},
		{"source port: the answer", sip, builder{to: "10.71.0.3", protocol: 17, src: 5061, dst: 40000}, true},
		{"last of a range", sip, builder{to: "10.71.0.3", protocol: 6, dst: 5061}, true},
		{"second range", sip, builder{to: "10.71.0.3", protocol: 6, dst: 9}, true},
		{"below a range", sip, builder{to: "10.71.0.3", protocol: 17, dst: 5059}, false},
		{"above a range", sip, builder{to: "10.71.0.3", protocol: 17, dst: 5062}, false},
		{"other protocol", sip, builder{to: "10.71.0.3", protocol: 132, dst: 5060}, false},
		{"what looks like ports and is none", sip, builder{to: "10.71.0.3", protocol: 1, dst: 5060}, false},
		{"behind options", sip, builder{to: "10.71.0.3", protocol: 17, dst: 5060, options: 8}, true},
		{"IPv6", sip, builder{to: "fd71::3", protocol: 17, src: 5060}, true},
		{"IPv6, no match", sip, builder{to: "fd71::3", protocol: 17, src: 506}, false},
		{
			"behind extension headers", sip,
			builder{to: "fd71::3", protocol: 17, dst: 5060, extensions: []uint8{0, 43, 51, 60, 135}},
			true,
		},
		{
			"too many extension headers", sip,
			builder{to: "fd71::3", protocol: 17, dst: 5060, extensions: []uint8{0, 60, 60, 60, 60, 60, 60, 60}},
			false,
		},
		{"network", site, builder{to: "192.168.7.255", protocol: 1}, true},
		{"next network", site, builder{to: "192.168.8.0", protocol: 1}, false},
		{"network of IPv6", site, builder{to: "fd00:7:0:7::9", protocol: 1}, true},
		{"next network of IPv6", site, builder{to: "fd00:7:0:8::9", protocol: 1}, false},
		{"long prefix", deep, builder{to: "fd00:7::1:ff", protocol: 1}, true},
		{"next to a long prefix", deep, builder{to: "fd00:7::2:ff", protocol: 1}, false},
		{"all of IPv4", four, builder{to: "10.71.0.3", protocol: 1}, true},
		{"all of IPv4 is not IPv6", four, builder{to: "fd71::3", protocol: 1}, false},
		{"code point", Rule{Class: wire.Critical, DSCP: []uint8{46}}, builder{to: "10.71.0.3", dscp: 46, ecn: 3}, true},
		{"code point of IPv6", Rule{Class: wire.Critical, DSCP: []uint8{46}}, builder{to: "fd71::3", dscp: 46, ecn: 3}, true},
		{"other code point", Rule{Class: wire.Critical, DSCP: []uint8{46, 0}}, builder{to: "10.71.0.3", dscp: 47}, false},
		{"peer", Rule{Class: wire.Critical, Peer: boston}, builder{to: "10.71.0.3"}, true},
		{"other peer", Rule{Class: wire.Critical, Peer: belmont}, builder{to: "10.71.0.3"}, false},
		{"no condition", Rule{Class: wire.Critical}, builder{to: "fd71::3"}, true},
	} {
		got := NewSet([]Rule{c.rule}).Of(c.packet.build(), boston)
		if (got == wire.Critical) != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestTheFirstRuleThatIsMetCounts(t *testing.T) {
	s := NewSet([]Rule{
		{Class: wire.Critical, Ports: []Ports{{22, 22}}, Peer: boston},
		{Class: wire.Bulk, Ports: []Ports{{22, 22}}},
		{Class: wire.DefaultTraffic, DSCP: []uint8{46}, Protocols: []uint8{17}},
	})
	for _, c := range []struct {
		packet builder
		peer   wire.NodeID
		want   wire.TrafficClass
	}{
		{builder{to: "10.71.0.3", protocol: 6, dst: 22}, boston, wire.Critical},
		{builder{to: "10.71.0.7", protocol: 6, dst: 22}, belmont, wire.Bulk},
		{builder{to: "10.71.0.7", protocol: 17, dst: 53, dscp: 46}, belmont, wire.DefaultTraffic},
		{builder{to: "10.71.0.7", protocol: 6, dst: 54, dscp: 46}, belmont, wire.Interactive}, // by its code point
	} {
		if got := s.Of(c.packet.build(), c.peer); got != c.want {
			t.Errorf("%+v: %v, want %v", c.packet, got, c.want)
		}
	}
}

func TestWithoutRulesTheCodePointCounts(t *testing.T) {
	s := NewSet(nil)
	want := map[uint8]wire.TrafficClass{1: wire.Bulk, 8: wire.Bulk}
	for _, dscp := range []uint8{18, 20, 22, 32, 34, 36, 38, 40, 44, 45, 46, 48, 56} {
		want[dscp] = wire.Interactive
	}
	for dscp := range uint8(64) {
		for _, to := range []string{"10.71.0.3", "fd71::3"} {
			if got := s.Of(builder{to: to, dscp: dscp, ecn: 1}.build(), boston); got != want[dscp] {
				t.Errorf("DSCP %d to %s: %v, want %v", dscp, to, got, want[dscp])
			}
		}
	}
}

// The first fragment could be told by its ports, the others could not: so none is.
func TestFragmentsOfOneDatagramHaveOneClass(t *testing.T) {
	s := NewSet([]Rule{
		{Class: wire.Critical, Protocols: []uint8{17}, Ports: []Ports{{5060, 5060}}},
		{Class: wire.Bulk, Protocols: []uint8{17}},
		{Class: wire.Interactive, Protocols: []uint8{60}}, // destination options, where they are what is cut up
	})
	for name, c := range map[string]struct {
		packet builder
		want   wire.TrafficClass
	}{
		"IPv4": {builder{to: "10.71.0.3", protocol: 17, dst: 5060}, wire.Bulk},
		"IPv6": {builder{to: "fd71::3", protocol: 17, dst: 5060, extensions: []uint8{0, 60}}, wire.Bulk},
		"IPv6, extension within": {
			builder{to: "fd71::3", protocol: 17, dst: 5060, behind: []uint8{60}}, wire.Interactive,
		},
	} {
		whole := c.packet
		if got := s.Of(whole.build(), boston); got != wire.Critical {
			t.Errorf("%s: the whole datagram is %v", name, got)
		}
		c.packet.fragment = true
		for _, offset := range []uint16{0, 8, 1000} {
			c.packet.offset = offset
			if got := s.Of(c.packet.build(), boston); got != c.want {
				t.Errorf("%s: fragment at %d is %v, want %v", name, offset, got, c.want)
			}
		}
	}
}

func TestWhatIsCutOffMeetsNoRuleWithPorts(t *testing.T) {
	s := NewSet([]Rule{
		{Class: wire.Critical, Ports: []Ports{{0, 65535}}},
		{Class: wire.Interactive, Protocols: []uint8{17}},
	})
	for _, b := range []builder{
		{to: "10.71.0.3", protocol: 17, options: 4},
		{to: "fd71::3", protocol: 17, extensions: []uint8{0, 43}},
	} {
		p := b.build()
		ported := len(p) - len(b.payload) + 4
		for n := range len(p) {
			if got := s.Of(p[:n], boston); (got == wire.Critical) != (n >= ported) {
				t.Errorf("%d of %d bytes: %v", n, len(p), got)
			}
		}
	}
	broken := builder{to: "10.71.0.3", protocol: 17}.build()
	broken[0] = 0x44 // a header shorter than any is
	if got := s.Of(broken, boston); got != wire.DefaultTraffic {
		t.Errorf("broken header: %v", got)
	}
}

// manyRules are more than anybody has.
func manyRules() []Rule {
	var rules []Rule
	for i := range uint16(16) {
		rules = append(rules,
			Rule{Class: wire.Critical, Protocols: []uint8{17}, Ports: []Ports{{1000 + i, 1000 + i}}},
			Rule{Class: wire.Bulk, Ports: []Ports{{2000 + i, 2000 + i}}, Peer: belmont},
		)
	}
	return rules
}

func FuzzOf(f *testing.F) {
	f.Add(builder{to: "10.71.0.3", protocol: 17, dst: 5060}.build())
	f.Add(builder{to: "10.71.0.3", protocol: 17, fragment: true, options: 8}.build())
	f.Add(builder{to: "fd71::3", protocol: 17, extensions: []uint8{0, 43, 51}, fragment: true}.build())
	f.Add(builder{to: "fd71::3", protocol: 6, extensions: []uint8{60, 139}}.build())
	s := NewSet([]Rule{
		{Class: wire.Critical, Ports: []Ports{{0, 0x7fff}}},
		{Class: wire.Bulk, Protocols: []uint8{17}, Networks: []netip.Prefix{netip.MustParsePrefix("fd71::/16")}},
	})
	f.Fuzz(func(t *testing.T, packet []byte) {
		class := s.Of(packet, boston)
		if class >= wire.TrafficClasses {
			t.Fatalf("class %d", class)
		}
		for i := range packet { // whatever the last packet was
			var last Last
			other := append([]byte{}, packet...)
			other[i] ^= 1 << (i % 8)
			last.Of(s, other, &boston)
			if got := last.Of(s, packet, &boston); got != class {
				t.Fatalf("%v after a packet that differs at %d, otherwise %v", got, i, class)
			}
		}
		if _, ok := dscpOf(packet); !ok {
			return
		}
		if h := read(packet); h.ported != (class == wire.Critical) && (h.source|h.destination)&0x8000 == 0 {
			t.Fatalf("%v with %+v", class, h)
		}
		if len(packet) < 1<<15 && packet[0]>>4 == 4 { // what is behind the header of a fragment says nothing
			cut := append([]byte{}, packet...)
			cut[6] |= 0x20
			of := s.Of(cut, boston)
			for i := ip4Len; i < len(cut); i++ {
				cut[i] ^= 0xff
			}
			if again := s.Of(cut, boston); again != of || of == wire.Critical {
				t.Fatalf("a fragment is %v, then %v", of, again)
			}
		}
	})
}

func TestTheLastPacketSaysNothingOfAnotherOne(t *testing.T) {
	var last Last
	one := NewSet([]Rule{{Class: wire.Critical, Peer: boston, Ports: []Ports{{22, 22}}}})
	two := NewSet([]Rule{{Class: wire.Bulk, Protocols: []uint8{17}}})
	tcp, udp := builder{to: "10.71.0.3", protocol: 6, dst: 22}, builder{to: "10.71.0.3", protocol: 17, dst: 22}
	other := tcp
	other.dst = 23
	for i, c := range []struct {
		set    *Set
		packet builder
		peer   wire.NodeID
		want   wire.TrafficClass
	}{
		{one, tcp, boston, wire.Critical},
		{one, tcp, boston, wire.Critical},
		{one, tcp, belmont, wire.DefaultTraffic},
		{one, tcp, boston, wire.Critical},
		{one, other, boston, wire.DefaultTraffic},
		{one, udp, boston, wire.Critical},
		{two, udp, boston, wire.Bulk},
		{two, tcp, boston, wire.DefaultTraffic},
	} {
		if got := last.Of(c.set, c.packet.build(), &c.peer); got != c.want {
			t.Errorf("packet %d: %v, want %v", i, got, c.want)
		}
	}
}

func TestClassifyingDoesNotAllocate(t *testing.T) {
	s, p := NewSet(manyRules()), builder{to: "fd71::3", protocol: 17, extensions: []uint8{0, 43}, dst: 5060}.build()
	if n := testing.AllocsPerRun(100, func() { s.Of(p, boston) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkOf(b *testing.B) {
	four := builder{to: "10.71.0.3", protocol: 6, src: 40000, dst: 443}.build()
	six := builder{to: "fd71::3", protocol: 6, src: 40000, dst: 443, extensions: []uint8{0}}.build()
	for _, c := range []struct {
		name   string
		rules  []Rule
		packet []byte
	}{
		{"no rules", nil, four},
		{"3 rules", manyRules()[:3], four},
		{"32 rules", manyRules(), four},
		{"32 rules, IPv6 with extension", manyRules(), six},
	} {
		s := NewSet(c.rules)
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.Of(c.packet, boston)
			}
		})
		b.Run(c.name+", again", func(b *testing.B) {
			var last Last
			b.ReportAllocs()
			for b.Loop() {
				last.Of(s, c.packet, &boston)
			}
		})
	}
}

func TestDNSIsCriticalWithoutBeingAsked(t *testing.T) {
	none := NewSet(nil)
	waits := NewSet([]Rule{{Class: wire.DefaultTraffic, Ports: []Ports{{53, 53}}, Networks: []netip.Prefix{netip.MustParsePrefix("10.71.0.0/16")}}})
	for _, c := range []struct {
		name   string
		set    *Set
		packet builder
		want   wire.TrafficClass
	}{
		{"a question", none, builder{to: "10.71.0.3", protocol: 17, src: 40000, dst: 53}, wire.Critical},
		{"an answer", none, builder{to: "10.71.0.3", protocol: 17, src: 53, dst: 40000}, wire.Critical},
		{"over TCP", none, builder{to: "10.71.0.3", protocol: 6, src: 40000, dst: 53}, wire.Critical},
		{"over IPv6", none, builder{to: "fd71::3", protocol: 17, src: 40000, dst: 53}, wire.Critical},
		{"behind options", none, builder{to: "10.71.0.3", protocol: 17, dst: 53, options: 8}, wire.Critical},
		{"with a code point", none, builder{to: "10.71.0.3", protocol: 17, dst: 53, dscp: 8}, wire.Critical},
		{"SCTP", none, builder{to: "10.71.0.3", protocol: 132, dst: 53}, wire.DefaultTraffic},
		{"no port, but looks like it", none, builder{to: "10.71.0.3", protocol: 1, dst: 53}, wire.DefaultTraffic},
		{"over TLS", none, builder{to: "10.71.0.3", protocol: 6, dst: 853}, wire.DefaultTraffic},
		{"multicast", none, builder{to: "224.0.0.251", protocol: 17, src: 5353, dst: 5353}, wire.DefaultTraffic},
		{"a fragment", none, builder{to: "10.71.0.3", protocol: 17, dst: 53, fragment: true}, wire.DefaultTraffic},
		{"a rule says otherwise", waits, builder{to: "10.71.0.3", protocol: 17, dst: 53}, wire.DefaultTraffic},
		{"that rule is not for it", waits, builder{to: "10.72.0.3", protocol: 17, dst: 53}, wire.Critical},
	} {
		var last Last
		for range 2 {
			if got := last.Of(c.set, c.packet.build(), &boston); got != c.want {
				t.Errorf("%s: %v, want %v", c.name, got, c.want)
			}
		}
	}
}
