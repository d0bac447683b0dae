package sim

import (
	"net/netip"
	"slices"

	"overlayd/internal/node"
)

// places are where a host is on the underlay: an address of one family or of both, each perhaps behind a router, and
// addresses on bridges of its own that nobody else can reach.
type places struct {
	address  netip.AddrPort // IPv4 if there is any
	address6 netip.AddrPort // not valid: none, or it is address
	nat      *natRouter     // in front of address
	firewall *natRouter     // in front of address6
	bridges  []netip.Addr
}

// listenPort is the UDP port on which every host listens.
const listenPort = 51871

// addresses are those on which the host listens, those of bridges aside.
func (h *Host) addresses() []netip.AddrPort {
	if h.address6.IsValid() {
		return []netip.AddrPort{h.address, h.address6}
	}
	return []netip.AddrPort{h.address}
}

// local are the addresses of the host's interfaces, in their order: Docker and its like come after the uplink.
func (h *Host) local() []netip.Addr {
	var all []netip.Addr
	for _, a := range h.addresses() {
		all = append(all, a.Addr())
	}
	return append(all, h.bridges...)
}

// sockets are what the host listens on: one socket a family.
func (h *Host) sockets() []netip.AddrPort {
	var all []netip.AddrPort
	for _, a := range h.addresses() {
		any := netip.IPv4Unspecified()
		if a.Addr().Is6() {
			any = netip.IPv6Unspecified()
		}
		all = append(all, netip.AddrPortFrom(any, listenPort))
	}
	return all
}

// source is the address from which the host sends to another one; not valid if it has none of that family.
func (h *Host) source(to netip.AddrPort) netip.AddrPort {
	for _, a := range h.addresses() {
		if a.Addr().Is4() == to.Addr().Is4() {
			return a
		}
	}
	return netip.AddrPort{}
}

// router is what stands in front of one of the host's addresses; nil if nothing does.
func (h *Host) router(own netip.AddrPort) *natRouter {
	if own == h.address {
		return h.nat
	}
	return h.firewall
}

// outer is where the others see one of the host's addresses.
func (h *Host) outer(own netip.AddrPort) netip.AddrPort {
	if r := h.router(own); r != nil {
		return r.address
	}
	return own
}

// Endpoint is where the others see the host: its IPv4 address, if it has one.
func (h *Host) Endpoint() netip.AddrPort { return h.outer(h.address) }

// outside is the address of Endpoint.
func (h *Host) outside() netip.Addr { return h.Endpoint().Addr() }

func (h *Host) bind() {
	for _, own := range h.addresses() {
		if r := h.router(own); r != nil {
			h.net.byAddr[r.address] = r
			continue
		}
		h.net.byAddr[own] = h
	}
}

func (h *Host) unbind() {
	for _, own := range h.addresses() {
		delete(h.net.byAddr, h.outer(own))
	}
}

// Move gives a host that is behind no router another address on the underlay, in place of the one of that family.
func (h *Host) Move(to netip.Addr) {
	h.unbind()
	old := &h.address
	if to.Is4() != h.address.Addr().Is4() {
		old = &h.address6
	}
	delete(h.net.owners, old.Addr())
	if h.net.underlay != nil {
		h.net.underlay.move(old.Addr(), to)
	}
	*old = netip.AddrPortFrom(to, old.Port())
	h.net.owners[to] = h
	if h.Core != nil {
		h.bind()
		h.step(node.LocalAddresses{Addrs: h.local()})
	}
}

// launch puts a datagram on the underlay, behind the host's router if there is one. What is for an address of the host
// itself, such as that of a bridge that others have as well, never leaves it.
func (h *Host) launch(d datagram) {
	if slices.Contains(h.bridges, d.to.Addr()) || slices.Contains(h.addresses(), d.to) {
		d.from = netip.AddrPortFrom(d.to.Addr(), listenPort)
		h.net.at(h.net.now, func() {
			if d.to.Port() == listenPort {
				h.receive(d)
			}
		})
		return
	}
	if !d.from.IsValid() || !d.to.IsValid() {
		return // no route
	}
	if r := h.router(d.from); r != nil && d.from == r.inner {
		r.out(d)
		return
	}
	h.net.send(d)
}

// move gives a site another address in place of one that it has.
func (u *Underlay) move(old, to netip.Addr) {
	if site, there := u.sites[old]; there {
		delete(u.sites, old)
		u.sites[to] = site
	}
}
