package tunnel

import (
	"net/netip"
	"testing"

	"github.com/gaissmai/bart"

	"overlayd/internal/wire"
)

// Networks behind a member never contain addresses of the overlay, whatever their prefix says.
func TestAnOverlayAddressIsItsOwnersAlone(t *testing.T) {
	const self, sender, other, nobody = "10.71.0.1", "10.71.0.3", "10.71.0.2", "10.71.200.7"
	from, boston := &registration{id: wire.NodeID{3}}, &registration{id: wire.NodeID{2}}
	v := view{ids: new(bart.Table[*registration]), addrs: new(bart.Table[*registration])}.withPeer(from).withPeer(boston)
	v = v.withOwner(netip.MustParseAddr(sender), from).withOwner(netip.MustParseAddr(other), boston)
	a := arrivals{view: &v, from: from, sites: compile(Sites{
		Self: addrs(self), Overlay: prefixes("10.71.0.0/16"), Local: prefixes("192.168.8.0/24"),
		Behind: map[wire.NodeID][]netip.Prefix{from.id: prefixes("10.0.0.0/8")},
	})}
	for _, c := range []struct {
		source string
		taken  bool
	}{
		{sender, true}, {"10.9.9.9", true}, {other, false}, {self, false}, {nobody, false}, {"192.168.8.10", false},
	} {
		for _, to := range []string{self, "192.168.8.10"} {
			inner := ipPacket(c.source, to, 0, 1)
			o := newOuter(netip.MustParseAddr(sender), netip.MustParseAddr(self))
			buffer := append(inner, make([]byte, ip4Len)...)
			_, size := a.accept(buffer[:o.wrap(buffer, len(inner))])
			if taken := size > 0; taken != c.taken {
				t.Errorf("from %s to %s: taken %t", c.source, to, taken)
			}
		}
	}
}
