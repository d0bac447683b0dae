package sim

import (
	"net/netip"
	"time"
)

// natRouter is a NAT with endpoint-independent mapping and address-and-port-dependent filtering (RFC 4787), as a
// masquerading Linux router has for a single host behind it. If it has the address of the host, it is a firewall that
// only lets answers in.
type natRouter struct {
	net     *Net
	inside  *Host
	inner   netip.AddrPort               // the host's own address
	address netip.AddrPort               // the one that the others see
	allowed map[netip.AddrPort]time.Time // remote endpoints, and when the host last sent to each
}

const natLifetime = 30 * time.Second

// out is a datagram of the host on its way to the underlay.
func (r *natRouter) out(d datagram) {
	r.allowed[d.to] = r.net.now
	d.from = r.address
	r.net.send(d)
}

func (r *natRouter) receive(d datagram) {
	last, known := r.allowed[d.from]
	if !known || r.net.now.Sub(last) > natLifetime {
		return
	}
	r.allowed[d.from] = r.net.now
	d.to = r.inner
	r.inside.receive(d)
}
