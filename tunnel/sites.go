package tunnel

import (
	"net/netip"
	"slices"

	"github.com/gaissmai/bart"

	"overlayd/internal/wire"
)

// Sites says which networks lie behind which nodes. It is never changed once given to SetSites.
type Sites struct {
	Self     []netip.Addr                   // this node's own overlay addresses
	Overlay  []netip.Prefix                 // of all overlay addresses: no network behind a node has any of them
	Local    []netip.Prefix                 // networks behind this node that it advertises
	Carriers map[netip.Prefix]wire.NodeID   // outbound: which peer carries packets to a network
	Behind   map[wire.NodeID][]netip.Prefix // inbound: the networks that packets from a peer may come from
}

// SetSites takes effect for the next packets. Until the first one, and as long as Self is empty, packets travel between
// overlay addresses alone, and are not looked at when they arrive.
func (p *Plane) SetSites(s Sites) { p.sites.Store(compile(s)) }

// sites is what the data path makes of Sites; it is never changed.
type sites struct {
	self4    []uint32 // in the byte order of the network
	self6    [][16]byte
	overlay  bart.Lite
	local    bart.Lite
	carriers bart.Table[wire.NodeID]
	behind   map[wire.NodeID]*bart.Lite
}

func compile(s Sites) *sites {
	c := &sites{behind: make(map[wire.NodeID]*bart.Lite, len(s.Behind))}
	for _, addr := range s.Self {
		if addr = addr.Unmap(); addr.Is4() {
			c.self4 = append(c.self4, number4(addr.As4()))
		} else {
			c.self6 = append(c.self6, addr.As16())
		}
	}
	for _, prefix := range s.Overlay {
		c.overlay.Insert(prefix)
	}
	for _, prefix := range s.Local {
		c.local.Insert(prefix)
	}
	for prefix, id := range s.Carriers {
		c.carriers.Insert(prefix, id)
	}
	for id, prefixes := range s.Behind {
		table := new(bart.Lite)
		for _, prefix := range prefixes {
			table.Insert(prefix)
		}
		c.behind[id] = table
	}
	return c
}

// none reports whether there is nothing to say: overlay addresses alone are used, and not checked.
func (s *sites) none() bool { return len(s.self4)+len(s.self6) == 0 }

// isSelf reports whether an address is this node's own.
func (s *sites) isSelf(addr netip.Addr) bool {
	if addr.Is4() {
		return slices.Contains(s.self4, number4(addr.As4()))
	}
	return slices.Contains(s.self6, addr.As16())
}

// isHere reports whether an address is this node's own or in a network behind it.
func (s *sites) isHere(addr netip.Addr) bool { return s.isSelf(addr) || s.local.Contains(addr) }

// header is the outer header for packets to a peer; false if the two have no address of the same family.
func (s *sites) header(v *view, to *registration) (outer, bool) {
	var six netip.Addr
	for _, addr := range *to.own.Load() {
		switch {
		case v.owner(addr) != to: // another peer has claimed it since
		case addr.Is4() && len(s.self4) > 0:
			return newOuter(address4(s.self4[0]), addr), true
		case addr.Is6() && len(s.self6) > 0:
			six = addr
		}
	}
	if six.IsValid() {
		return newOuter(netip.AddrFrom16(s.self6[0]), six), true
	}
	return outer{}, false
}

func number4(a [4]byte) uint32 {
	return uint32(a[0])<<24 | uint32(a[1])<<16 | uint32(a[2])<<8 | uint32(a[3])
}

func address4(n uint32) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}
