package offload

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

const offset = 16 // where packets begin in their buffers

// flow makes packets of one flow.
type flow struct {
	six      bool
	protocol uint8
	port     uint16
	options  []byte // of TCP
	seq      uint32
	id       uint16
}

type tweak func(ip, segment []byte)

// packet makes the next packet of the flow, in a buffer with headroom. Tweaks come before the checksums.
func (f *flow) packet(payload []byte, flags uint8, tweaks ...tweak) []byte {
	header := udpLen
	if f.protocol == protocolTCP {
		header = tcpLen + len(f.options)
	}
	start := ip4Len
	if f.six {
		start = ip6Len
	}
	buffer := make([]byte, offset+start+header+len(payload))
	p := buffer[offset:]
	segment := p[start:]
	if f.six {
		p[0], p[6], p[7] = 0x60, f.protocol, 64
		binary.BigEndian.PutUint16(p[4:], uint16(len(segment)))
		p[8], p[24], p[39] = 0xfd, 0xfd, 9
	} else {
		p[0], p[6], p[8], p[9] = 0x45, 0x40, 64, f.protocol
		binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
		binary.BigEndian.PutUint16(p[4:], f.id)
		copy(p[12:], []byte{10, 0, 0, 1, 10, 0, 0, 2})
		f.id++
	}
	binary.BigEndian.PutUint16(segment, f.port)
	binary.BigEndian.PutUint16(segment[2:], 443)
	if f.protocol == protocolTCP {
		binary.BigEndian.PutUint32(segment[4:], f.seq)
		binary.BigEndian.PutUint32(segment[8:], 77)
		segment[12], segment[13] = uint8(header/4)<<4, flags
		copy(segment[tcpLen:], f.options)
		f.seq += uint32(len(payload))
	} else {
		binary.BigEndian.PutUint16(segment[4:], uint16(len(segment)))
	}
	copy(segment[header:], payload)
	for _, t := range tweaks {
		t(p, segment)
	}
	at := udpChecksumAt
	if f.protocol == protocolTCP {
		at = tcpChecksumAt
	}
	if !f.six {
		storeChecksum(p[10:], sum(p[:ip4Len], 0))
	}
	storeChecksum(segment[at:], sum(segment, pseudoSum(addressesOf(p, f.six), f.protocol, len(segment))))
	return buffer
}

func payload(n int, fill byte) []byte { return bytes.Repeat([]byte{fill}, n) }

// join joins packets and returns what would be written for each group.
func join(buffers [][]byte) [][]byte {
	j := NewJoiner(true)
	var written [][]byte
	for i := range j.Join(buffers, offset) {
		written = append(written, bytes.Join(j.Vectors(nil, i), nil))
	}
	return written
}

// split takes what was written apart again.
func split(t testing.TB, written [][]byte) [][]byte {
	t.Helper()
	var packets [][]byte
	var s Splitter
	for _, w := range written {
		if err := s.Begin(bytes.Clone(w)); err != nil {
			t.Fatal(err)
		}
		for s.Pending() {
			out := make([]byte, MaxPacket)
			packets = append(packets, out[:s.Next(out)])
		}
	}
	return packets
}

// unjoined is what the packets are without their buffers.
func unjoined(buffers [][]byte) [][]byte {
	var packets [][]byte
	for _, b := range buffers {
		packets = append(packets, bytes.Clone(b[offset:]))
	}
	return packets
}

func flows() map[string]*flow {
	stamps := []byte{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2}
	return map[string]*flow{
		"TCP over IPv4": {protocol: protocolTCP, port: 1, seq: 1<<32 - 2000, options: stamps, id: 65530},
		"TCP over IPv6": {protocol: protocolTCP, port: 2, six: true},
		"UDP over IPv4": {protocol: protocolUDP, port: 3},
		"UDP over IPv6": {protocol: protocolUDP, port: 4, six: true},
	}
}

func TestAFlowBecomesOnePacketAndComesApartAgain(t *testing.T) {
	for name, f := range flows() {
		t.Run(name, func(t *testing.T) {
			var buffers [][]byte
			for i := range 40 {
				buffers = append(buffers, f.packet(payload(1347, byte(i)), tcpACK))
			}
			buffers = append(buffers, f.packet(payload(5, 99), tcpACK|tcpPSH))
			want := unjoined(buffers)
			written := join(buffers)
			if len(written) != 1 {
				t.Fatalf("%d packets written, want 1", len(written))
			}
			if got := split(t, written); !slices.EqualFunc(got, want, bytes.Equal) {
				t.Error("the packets differ")
			}
		})
	}
}

func TestWhatDoesNotBelongTogetherStaysApart(t *testing.T) {
	tcp := func() *flow { return flows()["TCP over IPv4"] }
	six := func() *flow { return flows()["TCP over IPv6"] }
	udp := func() *flow { return flows()["UDP over IPv4"] }
	after := func(f *flow, second func(f *flow) []byte) [][]byte {
		return [][]byte{f.packet(payload(100, 1), tcpACK), second(f)}
	}
	plain := func(size int, flags uint8, tweaks ...tweak) func(f *flow) []byte {
		return func(f *flow) []byte { return f.packet(payload(size, 2), flags, tweaks...) }
	}
	for name, buffers := range map[string][][]byte{
		"gap":                 after(tcp(), func(f *flow) []byte { f.seq++; return f.packet(payload(100, 2), tcpACK) }),
		"larger":              after(tcp(), plain(101, tcpACK)),
		"FIN":                 after(tcp(), plain(100, tcpACK|tcpFIN)),
		"ECN echo":            after(tcp(), plain(100, tcpACK|0x40)),
		"no payload":          after(tcp(), plain(0, tcpACK)),
		"new acknowledgement": after(tcp(), plain(100, tcpACK, func(_, s []byte) { s[11]++ })),
		"other option":        after(tcp(), plain(100, tcpACK, func(_, s []byte) { s[tcpLen+5]++ })),
		"other flow":          after(tcp(), plain(100, tcpACK, func(_, s []byte) { s[1]++ })),
		"other host":          after(tcp(), plain(100, tcpACK, func(p, _ []byte) { p[19]++ })),
		"other TTL":           after(tcp(), plain(100, tcpACK, func(p, _ []byte) { p[8]-- })),
		"other class":         after(tcp(), plain(100, tcpACK, func(p, _ []byte) { p[1] = 3 })),
		"fragment":            after(tcp(), plain(100, tcpACK, func(p, _ []byte) { p[6] = 0x20 })),
		"other flow label":    after(six(), plain(100, tcpACK, func(p, _ []byte) { p[3]++ })),
		"other hop limit":     after(six(), plain(100, tcpACK, func(p, _ []byte) { p[7]++ })),
		"larger datagram":     after(udp(), plain(101, 0)),
		"UDP length":          after(udp(), plain(100, 0, func(_, s []byte) { s[5]-- })),
		"after a short one": func(f *flow) [][]byte {
			return [][]byte{
				f.packet(payload(100, 1), tcpACK),
				f.packet(payload(50, 2), tcpACK),
				f.packet(payload(50, 3), tcpACK),
			}
		}(tcp()),
		"after a push": func(f *flow) [][]byte {
			return [][]byte{
				f.packet(payload(100, 1), tcpACK),
				f.packet(payload(100, 2), tcpACK|tcpPSH),
				f.packet(payload(100, 3), tcpACK),
			}
		}(tcp()),
		"not IP": {append(make([]byte, offset), 0xff, 2, 3), append(make([]byte, offset), 0xff, 2, 3)},
		"truncated": {
			tcp().packet(payload(100, 1), tcpACK)[:offset+30],
			tcp().packet(payload(100, 1), tcpACK)[:offset+30],
		},
	} {
		t.Run(name, func(t *testing.T) {
			want := 2
			packets := unjoined(buffers)
			written := join(buffers)
			if len(written) != want {
				t.Fatalf("%d packets written, want %d", len(written), want)
			}
			if got := split(t, written); !slices.EqualFunc(got, packets, equalButID) {
				t.Error("the packets differ")
			}
		})
	}
}

func TestAWrongChecksumIsNotHidden(t *testing.T) {
	for name, f := range flows() {
		for broken := range 3 {
			var buffers [][]byte
			for i := range 3 {
				b := f.packet(payload(100, byte(i)), tcpACK)
				if i == broken {
					b[len(b)-1] ^= 1
				}
				buffers = append(buffers, b)
			}
			packets := unjoined(buffers)
			if got := split(t, join(buffers)); !slices.EqualFunc(got, packets, equalButID) {
				t.Errorf("%s: the packets differ when packet %d is broken", name, broken)
			}
		}
	}
	f := flows()["TCP over IPv4"]
	b := f.packet(payload(100, 1), tcpACK)
	b[offset+10]++
	if n := len(join([][]byte{b, f.packet(payload(100, 1), tcpACK)})); n != 2 {
		t.Error("a wrong checksum of the IP header was hidden")
	}
}

// equalButID compares packets except for what joining may change in an IPv4 header: the identification.
func equalButID(a, b []byte) bool {
	if len(a) != len(b) || len(a) < ip4Len || a[0] != 0x45 || b[0] != 0x45 {
		return bytes.Equal(a, b)
	}
	a, b = bytes.Clone(a), bytes.Clone(b)
	for _, p := range [][]byte{a, b} {
		clear(p[4:6])
		clear(p[10:12])
	}
	return bytes.Equal(a, b)
}

func TestMixedFlowsKeepTheirOrder(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		var all []*flow
		for _, f := range flows() {
			all = append(all, f)
		}
		for i := range rng.IntN(15) {
			all = append(all, &flow{protocol: protocolTCP, port: uint16(100 + i), six: rng.IntN(2) == 0})
		}
		var buffers [][]byte
		for range 1 + rng.IntN(128) {
			f := all[rng.IntN(1+rng.IntN(len(all)))]
			flags := []uint8{tcpACK, tcpACK, tcpACK, tcpACK | tcpPSH, tcpACK | tcpFIN, 2}[rng.IntN(6)]
			size := []int{500, 500, 500, rng.IntN(500), 501}[rng.IntN(5)]
			buffers = append(buffers, f.packet(payload(size, byte(rng.Uint32())), flags))
		}
		want := byFlow(unjoined(buffers))
		got := byFlow(split(t, join(buffers)))
		if len(got) != len(want) {
			t.Fatalf("seed %d: %d flows, want %d", seed, len(got), len(want))
		}
		for key := range want {
			if !slices.EqualFunc(got[key], want[key], equalButID) {
				t.Fatalf("seed %d: a flow was changed", seed)
			}
		}
	}
}

func byFlow(packets [][]byte) map[string][][]byte {
	flows := make(map[string][][]byte)
	for _, p := range packets {
		q := parse(p)
		key := string(append(bytes.Clone(addressesOf(p, q.six)), p[q.start:q.start+4]...))
		key += string(rune(q.protocol))
		flows[key] = append(flows[key], p)
	}
	return flows
}

func TestASinglePacketGetsItsChecksum(t *testing.T) {
	for name, f := range flows() {
		want := f.packet(payload(101, 7), tcpACK)[offset:]
		p := parse(want)
		at := udpChecksumAt
		if f.protocol == protocolTCP {
			at = tcpChecksumAt
		}
		in := append(make([]byte, HeaderLen), want...)
		header{flags: needsChecksum, start: uint16(p.start), offset: uint16(at)}.put(in)
		pseudo := pseudoSum(addressesOf(want, f.six), f.protocol, len(want)-p.start)
		binary.NativeEndian.PutUint16(in[HeaderLen+p.start+at:], fold(pseudo))
		if got := split(t, [][]byte{in}); !bytes.Equal(got[0], want) {
			t.Errorf("%s: the packet differs", name)
		}
	}
}

func TestSplitterRefusesWhatDoesNotFit(t *testing.T) {
	f := flows()["TCP over IPv4"]
	good := append(make([]byte, HeaderLen), f.packet(payload(100, 1), tcpACK)[offset:]...)
	for name, h := range map[string]header{
		"unknown type":     {kind: 9, size: 10, start: ip4Len},
		"other family":     {kind: gsoTCP6, size: 10, start: ip4Len},
		"no size":          {kind: gsoTCP4, start: ip4Len},
		"start too small":  {kind: gsoTCP4, size: 10, start: 8},
		"start too large":  {kind: gsoTCP4, size: 10, start: 140},
		"checksum outside": {flags: needsChecksum, start: 150, offset: 16},
	} {
		b := bytes.Clone(good)
		h.put(b)
		var s Splitter
		if err := s.Begin(b); err != ErrMalformed || s.Pending() {
			t.Errorf("%s: %v", name, err)
		}
	}
	var s Splitter
	if s.Begin(nil) != ErrMalformed {
		t.Error("nothing was taken for a packet")
	}
	if err := s.Begin(good); err != nil || s.Next(make([]byte, 10)) != 0 || s.Pending() {
		t.Error("a packet that does not fit was handed out")
	}
}

func TestSumIsThatOfRFC1071(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, 300)
	for i := range 2000 {
		for k := range b {
			b[k] = byte(rng.Uint32())
			if i%3 == 0 {
				b[k] = 0xff
			}
		}
		part := b[:rng.IntN(len(b))]
		var want uint32
		for k := 0; k < len(part); k += 2 {
			word := uint32(part[k]) << 8
			if k+1 < len(part) {
				word |= uint32(part[k+1])
			}
			want += word
			want = want>>16 + want&0xffff
		}
		var got [2]byte
		binary.NativeEndian.PutUint16(got[:], fold(sum(part, 0)))
		if uint32(binary.BigEndian.Uint16(got[:])) != want {
			t.Fatalf("sum of %x is %x, want %04x", part, got, want)
		}
	}
}

func TestJoiningDoesNotAllocate(t *testing.T) {
	f := flows()["TCP over IPv4"]
	var buffers [][]byte
	for i := range 40 {
		buffers = append(buffers, f.packet(payload(1347, byte(i)), tcpACK))
	}
	j := NewJoiner(true)
	vectors := make([][]byte, 0, 128)
	run := func() {
		for i := range j.Join(buffers, offset) {
			vectors = j.Vectors(vectors[:0], i)
		}
		j.Reset()
	}
	run()
	if n := testing.AllocsPerRun(100, run); n != 0 {
		t.Errorf("%v allocations a batch", n)
	}
}
