package emulator

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"overlayd/internal/lab/wan"
	"overlayd/internal/wire"
)

// udpPacket is a UDP packet of one family with a payload; addresses a and b, do not fragment.
func udpPacket(six bool, payload []byte) []byte {
	udp := make([]byte, udpHeader+len(payload))
	binary.BigEndian.PutUint16(udp[4:], uint16(len(udp)))
	copy(udp[udpHeader:], payload)
	if six {
		h := make([]byte, ipv6Header)
		h[0], h[6] = 0x60, protocolUDP
		copy(h[8:], netip.MustParseAddr("2001:db8::1").AsSlice())
		copy(h[24:], netip.MustParseAddr("2001:db8::2").AsSlice())
		return append(h, udp...)
	}
	h := make([]byte, ipv4Header)
	h[0], h[6], h[9] = 0x45, 0x40, protocolUDP
	copy(h[12:], []byte{198, 51, 100, 1})
	copy(h[16:], []byte{198, 51, 100, 2})
	return append(h, udp...)
}

// behindLabel is a frame as a relay gets it.
func behindLabel(frame []byte) []byte {
	b := make([]byte, wire.LabelHeaderLen)
	wire.PutLabel(b, 7)
	return append(b, frame...)
}

func TestExamineSeesWhatAMiddleboxSees(t *testing.T) {
	data := append([]byte{4, 0, 0, 0}, make([]byte, 100)...)
	for name, c := range map[string]struct {
		payload []byte
		want    wan.Content
	}{
		"an initiation":       {append([]byte{1, 0, 0, 0}, make([]byte, 144)...), wan.Initiation},
		"a response":          {append([]byte{2, 0, 0, 0}, make([]byte, 88)...), wan.Response},
		"a cookie":            {append([]byte{3, 0, 0, 0}, make([]byte, 60)...), wan.Cookie},
		"data":                {data, wan.Transport},
		"data behind a label": {behindLabel(data), wan.Labeled},
		"anything":            {[]byte("hello"), wan.OtherUDP},
		"nothing":             {nil, wan.OtherUDP},
	} {
		for _, six := range []bool{false, true} {
			b := udpPacket(six, c.payload)
			if got := examine(b); got != (wan.Header{Size: len(b), IPv6: six, Content: c.want}) {
				t.Errorf("%s (IPv6: %v): %+v", name, six, got)
			}
		}
	}
	fragment := udpPacket(false, data)
	fragment[7] = 100
	if got := examine(fragment).Content; got != wan.OtherContent {
		t.Errorf("a later fragment: %v", got)
	}
}

func TestTooBigTellsTheSenderWhatTheLinkCarries(t *testing.T) {
	for _, six := range []bool{false, true} {
		b := udpPacket(six, make([]byte, 1400))
		told := tooBig(make([]byte, MTU+48), b, 1280)
		if got := examine(told); got.Content != wan.ICMPError || got.IPv6 != six || len(told) > 1280 {
			t.Fatalf("IPv6: %v: %+v", six, got)
		}
		if destination(told) != map[bool]netip.Addr{
			false: netip.MustParseAddr("198.51.100.1"), true: netip.MustParseAddr("2001:db8::1"),
		}[six] {
			t.Errorf("it goes to %v", destination(told))
		}
		var sum uint16
		if six {
			m := told[ipv6Header:]
			sum = checksum(uint32(len(m))+protocolICMPv6, told[8:ipv6Header], m)
		} else {
			sum = checksum(0, told[:ipv4Header]) | checksum(0, told[ipv4Header:])
		}
		if sum != 0 { // a checksum over a right checksum is zero
			t.Errorf("IPv6: %v: wrong checksum %#x", six, sum)
		}
		if again := tooBig(make([]byte, MTU+48), told, 68); again != nil {
			t.Error("an error is answered by an error")
		}
	}
	b := udpPacket(false, make([]byte, 1400))
	b[6] = 0
	if told := tooBig(make([]byte, MTU+48), b, 1280); told != nil {
		t.Error("a packet that may be cut into fragments is answered")
	}
}
