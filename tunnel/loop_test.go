package tunnel

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/gaissmai/bart"
)

// What this node itself sends on the underlay is not carried if the host routes it into the overlay; what others send
// from the same port is.
func TestOwnUnderlayIsNotCarried(t *testing.T) {
	for name, c := range map[string]struct {
		from, to string
		port     uint16
		refused  bool
	}{
		"own, to a member":            {"10.71.0.1", "10.71.0.2", 51871, true},
		"own, to a host behind one":   {"10.71.0.1", "10.2.0.9", 51871, true},
		"own, IPv6":                   {"fd71::1", "fd71::2", 51871, true},
		"another program's":           {"10.71.0.1", "10.71.0.2", 4000, false},
		"own, from the one address":   {"10.1.0.1", "10.2.0.9", 51871, true},
		"of a host that runs overlay": {"10.1.0.9", "10.2.0.9", 51871, false},
	} {
		d := departs{port: 51871, bound: netip.MustParseAddr("10.1.0.1")}
		s := compile(Sites{Self: addrs("10.71.0.1", "fd71::1"), Local: prefixes("10.1.0.0/16")})
		d.begin(&view{ids: new(bart.Table[*registration]), addrs: new(bart.Table[*registration])}, s)
		p := ipPacket(c.from, c.to, 0, 1)
		at := ip6Len
		if netip.MustParseAddr(c.from).Is4() {
			at = ip4Len
		}
		binary.BigEndian.PutUint16(p[at:], c.port)
		if got := d.own(p, at, sourceOf(p)); got != c.refused {
			t.Errorf("%s: own %v", name, got)
		}
		if how := d.of(p); c.refused && !how.refused {
			t.Errorf("%s: %+v", name, how)
		}
	}
}
