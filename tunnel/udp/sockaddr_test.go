package udp

import (
	"bytes"
	"net/netip"
	"testing"
)

func TestLinkLocalAddressesKeepTheirScope(t *testing.T) {
	var (
		raw  sockaddr
		zone zoneCache
	)
	for _, text := range []string{"[fe80::1%7]:5", "[2001:db8::1]:5", "[::1]:5"} {
		want := netip.MustParseAddrPort(text)
		n := raw.put(want, true)
		if got := raw.get(n, &zone); got != want {
			t.Errorf("%v became %v", want, got)
		}
	}
	if n := raw.put(netip.MustParseAddrPort("[fe80::1%lo]:5"), true); raw.get(n, &zone).Addr().Zone() != "1" {
		t.Errorf("zone lo is %v", raw.get(n, &zone))
	}
	if raw.put(netip.MustParseAddrPort("[::ffff:1.2.3.4]:5"), true) != 0 {
		t.Error("an IPv4 address on an IPv6 socket")
	}
	if got := raw.get(0, &zone); got.IsValid() {
		t.Errorf("no address became %v", got)
	}
}

func FuzzParseControl(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{20, 0, 0, 0, 0, 0, 0, 0, 17, 0, 0, 0, 104, 0, 0, 0, 0x98, 5, 0, 0})
	f.Add(bytes.Repeat([]byte{255}, 40))
	f.Fuzz(func(t *testing.T, b []byte) {
		if c := parseControl(b); c.segment < 0 {
			t.Errorf("segment %d", c.segment)
		}
	})
}
