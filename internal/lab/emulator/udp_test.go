package emulator

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
)

func TestAUDPPacketIsReadAsItWasMade(t *testing.T) {
	for _, ends := range [][2]string{{"198.51.100.1:7", "198.51.100.2:65535"}, {"[2001:db8::1]:7", "[2001:db8::2]:9"}} {
		from, to := netip.MustParseAddrPort(ends[0]), netip.MustParseAddrPort(ends[1])
		for _, payload := range []string{"", "odd", "even", "\xff\xff"} {
			b := AppendUDP([]byte("before")[:0], from, to, []byte(payload))
			f, d, got, ok := UDP(b)
			if !ok || f != from || d != to || !bytes.Equal(got, []byte(payload)) {
				t.Errorf("%v to %v, %q: %v to %v, %q, %v", from, to, payload, f, d, got, ok)
			}
			_, udp := upper(b)
			addresses := append(from.Addr().AsSlice(), to.Addr().AsSlice()...)
			if sum := checksum(uint32(len(udp))+protocolUDP, addresses, udp); sum != 0 { // over a right checksum it is zero
				t.Errorf("%v, %q: wrong checksum %#x", from, payload, sum)
			}
			if to.Addr().Is4() && checksum(0, b[:ipv4Header]) != 0 {
				t.Error("wrong checksum of the header")
			}
		}
	}
}

func TestWhatIsNoWholeUDPPacketIsNotRead(t *testing.T) {
	whole := udpPacket(false, []byte("hello"))
	fragment := bytes.Clone(whole)
	fragment[7] = 1
	long := bytes.Clone(whole)
	binary.BigEndian.PutUint16(long[ipv4Header+4:], uint16(len(long)))
	tcp := bytes.Clone(whole)
	tcp[9] = 6
	for name, b := range map[string][]byte{
		"nothing": nil, "a later fragment": fragment, "a first fragment": long, "TCP": tcp, "a header": whole[:ipv4Header+7],
	} {
		if _, _, _, ok := UDP(b); ok {
			t.Errorf("%s is read", name)
		}
	}
}
