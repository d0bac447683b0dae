package tunnel

import (
	"net/netip"

	"overlayd/tunnel/udp"
)

// SetDetours names the interfaces, by index, that datagrams to some destinations leave by whatever the host's routes
// say: the longest prefix counts, zero leaves it to the routes, and what has a negative index is not sent. It takes
// effect for the next datagrams.
func (p *Plane) SetDetours(interfaces map[netip.Prefix]int) {
	d := new(udp.Detours)
	for prefix, index := range interfaces {
		if index < 0 {
			index = udp.NoInterface
		}
		d.Insert(prefix, int32(index))
	}
	for _, s := range p.sockets {
		s.SetDetours(d)
	}
}
