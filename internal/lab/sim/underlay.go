package sim

import (
	"net/netip"
	"time"

	"overlayd/internal/lab/wan"
	"overlayd/internal/wire"
	"overlayd/tunnel/fwd"
)

// Underlay carries datagrams through the model that the emulator of real runs uses: with queues in front of each site and
// links between them, of whole IP packets. It takes the place of Net.Link and Net.Between.
type Underlay struct {
	net     *Net
	network *wan.Network[freight]
	sites   map[netip.Addr]wan.Site
	sent    []uint64      // bytes, by site
	armed   time.Duration // when the network is looked at next; negative: never

	// Seen, if set, is called for every datagram of a host that leaves a site, with whether it is data without a label.
	Seen func(s wan.Site, from, to netip.Addr, data bool)
}

// freight is what a packet carries.
type freight struct {
	datagram datagram
	bare     func() // called in place of that when the packet arrives; nil: a datagram
}

// Over puts the hosts at the given addresses on a wide-area network; site i is at those of addresses[i]. At first there
// are no links.
func (n *Net) Over(addresses ...[]netip.Addr) *Underlay {
	u := &Underlay{
		net: n, network: wan.NewNetwork[freight](len(addresses), n.Seed), sites: make(map[netip.Addr]wan.Site),
		sent: make([]uint64, len(addresses)), armed: -1,
	}
	for i, all := range addresses {
		for _, a := range all {
			u.sites[a] = wan.Site(i)
		}
	}
	n.underlay = u
	return u
}

// Link is what SetLink has set; false if it has not.
func (u *Underlay) Link(from, to wan.Site) (wan.Link, bool) { return u.network.Link(from, to) }

// SetLink sets what happens from now on to packets from one site to another.
func (u *Underlay) SetLink(from, to wan.Site, link wan.Link) {
	u.network.SetLink(u.net.Now(), from, to, link)
}

// SetPorts sets the two directions of a site's connection from now on.
func (u *Underlay) SetPorts(s wan.Site, up, down wan.Port) {
	u.network.SetPorts(u.net.Now(), s, up, down)
}

// Sent is how many bytes a site has sent so far, in whole IP packets.
func (u *Underlay) Sent(s wan.Site) uint64 { return u.sent[s] }

// Carry sends an IP packet of so many bytes from one site to another, past the hosts, and calls arrived when, and if, it
// has arrived.
func (u *Underlay) Carry(from, to wan.Site, size int, arrived func()) {
	u.sent[from] += uint64(size)
	u.network.Send(u.net.Now(), from, to, wan.Header{Size: size}, freight{bare: arrived})
	u.arm()
}

func (u *Underlay) send(d datagram) {
	from, known := u.sites[d.from.Addr()]
	if !known {
		return
	}
	h := d.header()
	u.sent[from] += uint64(h.Size)
	if u.Seen != nil {
		u.Seen(from, d.from.Addr(), d.to.Addr(), h.Content == wan.Transport)
	}
	if to, known := u.sites[d.to.Addr()]; known {
		u.network.Send(u.net.Now(), from, to, h, freight{datagram: d})
		u.arm()
	}
}

// arm makes sure that the network is looked at when it has something to do.
func (u *Underlay) arm() {
	due, some := u.network.NextDeadline()
	if !some || u.armed >= 0 && due >= u.armed {
		return
	}
	u.armed = due
	u.net.at(u.net.start.Add(due), func() {
		if u.armed != due {
			return // an earlier look has taken its place
		}
		u.armed = -1
		u.deliver()
		u.arm()
	})
}

func (u *Underlay) deliver() {
	for r, some := u.network.Pop(u.net.Now()); some; r, some = u.network.Pop(u.net.Now()) {
		switch {
		case r.Fate != wan.Delivered:
		case r.Data.bare != nil:
			r.Data.bare()
		default:
			u.net.arrive(r.Data.datagram)
		}
	}
}

// payload is how many bytes a datagram carries, a label aside.
func (d datagram) payload() int {
	if d.data == nil {
		return len(d.control)
	}
	return d.data.size
}

// header is what a link sees of a datagram.
func (d datagram) header() wan.Header {
	content := wan.OtherUDP
	switch {
	case d.data != nil:
		content = wan.Transport
	case wire.Classify(d.control) == wire.ClassControl:
		content = wan.Control
	}
	return onWire(wan.Header{Size: d.payload(), Content: content}, fwd.Hop{Addr: d.to, Label: wire.Label(d.label)})
}
