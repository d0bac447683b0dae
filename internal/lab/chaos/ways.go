package chaos

import "overlayd/internal/lab/wan"

// The sizes of frames, in bytes: what WireGuard and a label put around a packet, and headers around that.
const (
	sealing   = 32
	labelSize = 8
	headers4  = 28
	headers6  = 48
	probeSize = 300 // of overlayd's own frames, the larger ones that a path needs
)

// passes reports whether both directions of a link carry a frame of so many bytes in one family.
func (p *plan) passes(a, b int, family wan.Family, content wan.Content, size int) bool {
	h := wan.Header{Size: size + headers4, Content: content}
	if family == wan.IPv6 {
		h.Size, h.IPv6 = size+headers6, true
	}
	for _, d := range [][2]int{{a, b}, {b, a}} {
		if l := p.links[d]; l.cut || l.drop[family].Drops(h) {
			return false
		}
	}
	return true
}

// hop reports whether two nodes reach each other, by one of the families, with all of some frames. Behind two routers
// they may; nobody is promised that.
func (p *plan) hop(a, b int, size int, contents ...wan.Content) bool {
	for family := range wan.Families {
		if !p.has(a, family) || !p.has(b, family) || p.nodes[a].nat && p.nodes[b].nat {
			continue
		}
		all := p.passes(a, b, family, wan.Control, probeSize)
		for _, c := range contents {
			all = all && p.passes(a, b, family, c, size)
		}
		if all {
			return true
		}
	}
	return false
}

func (p *plan) has(i int, family wan.Family) bool {
	if family == wan.IPv6 {
		return p.nodes[i].six
	}
	return p.nodes[i].four
}

// direct reports whether two nodes have a direct way for packets of so many bytes.
func (p *plan) direct(a, b, packet int) bool {
	return p.hop(a, b, packet+headers4+sealing, wan.Initiation, wan.Response, wan.Transport)
}

// relayed reports whether a hop of a way over relays carries packets of so many bytes.
func (p *plan) relayed(a, b, packet int) bool {
	return p.hop(a, b, packet+headers4+sealing+labelSize, wan.Labeled)
}

// relays reports whether a node may be counted on to relay: it is honest, a member, and behind no router.
func (p *plan) relays(i int) bool {
	n := p.nodes[i]
	return !n.hostile && !n.revoked && !n.nat
}

// way reports whether two nodes have a way that carries packets of so many bytes: direct, or over one or two relays, as
// many as are looked for without need of luck.
func (p *plan) way(a, b, packet int) bool {
	if p.direct(a, b, packet) {
		return true
	}
	for r := range p.nodes {
		if r == a || r == b || !p.relays(r) || !p.relayed(a, r, packet) {
			continue
		}
		if p.relayed(r, b, packet) {
			return true
		}
		for q := range p.nodes {
			if q != a && q != b && q != r && p.relays(q) && p.relayed(r, q, packet) && p.relayed(q, b, packet) {
				return true
			}
		}
	}
	return false
}
