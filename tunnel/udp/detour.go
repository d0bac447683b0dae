package udp

import "github.com/gaissmai/bart"

// NoInterface stands in Detours for destinations that only a route leads to which the underlay must not take. No
// interface has this index: the kernel refuses such datagrams with ENODEV.
const NoInterface = 1<<31 - 1

// Detours are the interfaces, by index, that datagrams to some destinations leave by, whatever the routing tables say.
// The longest prefix that contains a destination counts. Where there is none, or it says zero, the routing tables
// decide. A table is never changed once a socket has it.
//
// The kernel takes the interface of an IPv6 datagram for binding only if no source address is given: a socket that is
// bound to one IPv6 address follows the routes.
type Detours = bart.Table[int32]

// SetDetours takes effect from the next Send on. Nil ends it.
func (s *Socket) SetDetours(d *Detours) {
	if d != nil && d.Size() == 0 {
		d = nil
	}
	s.detours.Store(d)
}

// detour names the outgoing interface of those messages whose destination has one, and takes it from the others.
func (b *Batch) detour(d *Detours) {
	for i := range b.messages {
		m, index := &b.meta[i], int32(0)
		if d != nil {
			index, _ = d.Lookup(b.names[i].addr(b.six))
		}
		if index == 0 && !m.detoured {
			continue
		}
		if m.detoured = index != 0; m.detoured {
			b.controls[i].setOutgoing(index, b.socket.local.Addr())
		}
		b.controls[i].attach(&b.hdrs[i].hdr, m.segments > 1, m.detoured, b.six)
	}
}
