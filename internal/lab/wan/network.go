// Package wan is the model of a wide-area network, in explicit time: between sites there are links with delay, jitter,
// loss and cuts, and in front of each site a port with a rate and a queue in each direction.
//
//	site A ─▶ uplink queue ─▶ link A→B: cut? filtered? too large? lost? delay, jitter ─▶ downlink queue ─▶ site B
//
// Package emulator carries real packets through it, package sim those of a simulation: what happens to a packet is the
// same in both.
package wan

import (
	"math/rand/v2"
	"time"

	"overlayd/internal/lab/agenda"
)

// Instant is a time on the network's clock: how long ago it was started.
type Instant = time.Duration

// Site numbers the sites of a network, from 0.
type Site int

// Link is what happens to packets in one direction between two sites. A packet meets the link as it is when the packet
// has left the uplink's queue: what is already under way when a link is cut still arrives.
type Link struct {
	Delay   time.Duration // one way
	Jitter  time.Duration // extra delay, uniform between 0 and this
	Loss    float64       // probability, independent for each packet
	Cut     bool          // nothing gets through, and nobody is told
	Reorder bool          // jitter may let a packet overtake another; without it the order is kept
	Drop    [Families]Filter
	MTU     int  // bytes of the largest packet that passes; 0 is no limit
	Mute    bool // the sender of a packet above the MTU is not told
}

// Port is one direction of a site's connection to the network. A change applies to packets that come after it.
type Port struct {
	Rate  int64         // bits a second, counting whole IP packets; 0 is no limit
	Queue time.Duration // a packet that would wait longer than this is dropped (drop-tail)
}

// Fate is what became of a packet.
type Fate uint8

// The fates of packets.
const (
	Delivered   Fate = iota
	Lost             // by the link's loss
	Cut              // by a cut link
	QueueFull        // by the drop-tail queue of an uplink or a downlink
	Unreachable      // there is no link to the destination
	Overflow         // more packets were under way than the network holds
	Filtered         // by the link's filter, and nobody is told
	TooLarge         // for the link's MTU, and the sender is to be told
	Fates            // how many there are
)

// String names the fate.
func (f Fate) String() string {
	return [...]string{"delivered", "lost", "cut", "queue full", "unreachable", "overflow", "filtered", "too large"}[f]
}

// Result is the end of a packet's way.
type Result[P any] struct {
	From, To Site
	Data     P // as given to Send
	Due      Instant
	Fate     Fate
	MTU      int // of the link, if the packet was TooLarge
}

// maxUnderWay bounds the packets inside the network.
const maxUnderWay = 1 << 16

// Network is the model. It has no clock: every method is told the time, which must not run backwards. Equal seeds and
// equal calls give equal results. Every packet sent comes out of Pop exactly once.
//
// P is what stands for a packet.
type Network[P any] struct {
	seed  uint64
	sites []*site
	links map[[2]Site]*direction
	queue agenda.Agenda[appointment[P]]
	ended []Result[P] // not yet popped, from first on
	first int
}

// site is the state of a site's two ports.
type site struct{ up, down port }

// port is a Port and the time until which it is busy with the packets that it has accepted.
type port struct {
	Port
	busy Instant
}

// direction is a Link and what has happened on it.
type direction struct {
	Link
	random *rand.Rand
	last   Instant // the latest arrival so far
}

// NewNetwork is a network of the given number of sites without links.
func NewNetwork[P any](sites int, seed uint64) *Network[P] {
	n := &Network[P]{seed: seed, links: make(map[[2]Site]*direction)}
	for range sites {
		n.sites = append(n.sites, &site{})
	}
	return n
}

// SetLink sets what happens from now on to packets from one site to another.
func (n *Network[P]) SetLink(now Instant, from, to Site, link Link) {
	n.advance(now)
	d := n.links[[2]Site{from, to}]
	if d == nil {
		d = &direction{random: rand.New(rand.NewPCG(n.seed, uint64(from)<<32|uint64(to)))}
		n.links[[2]Site{from, to}] = d
	}
	d.Link = link
}

// Link is what SetLink has set; false if it has not.
func (n *Network[P]) Link(from, to Site) (Link, bool) {
	d := n.links[[2]Site{from, to}]
	if d == nil {
		return Link{}, false
	}
	return d.Link, true
}

// SetPorts sets the two directions of a site's connection from now on.
func (n *Network[P]) SetPorts(now Instant, s Site, up, down Port) {
	n.advance(now)
	n.sites[s].up.Port, n.sites[s].down.Port = up, down
}

// Passes reports whether a link lets such a packet through, chance and queues aside.
func (n *Network[P]) Passes(from, to Site, h Header) bool {
	d := n.links[[2]Site{from, to}]
	return d != nil && !d.stops(h)
}

// UnderWay is how many packets are inside the network.
func (n *Network[P]) UnderWay() int { return n.queue.Len() + len(n.ended) - n.first }

// Send puts a packet into the network, which keeps data until Pop returns it.
func (n *Network[P]) Send(now Instant, from, to Site, h Header, data P) {
	n.advance(now)
	p := packet[P]{from: from, to: to, Header: h, data: data}
	if n.UnderWay() >= maxUnderWay {
		n.end(p, now, Overflow)
		return
	}
	departure, ok := n.sites[from].up.admit(now, h.Size)
	switch {
	case !ok:
		n.end(p, now, QueueFull)
	case departure > now:
		n.queue.Push(departure, appointment[P]{stageLink, p})
	default:
		n.cross(p, now)
	}
}

// NextDeadline is when Pop has something to do; false if never.
func (n *Network[P]) NextDeadline() (Instant, bool) {
	if n.first < len(n.ended) {
		return n.ended[n.first].Due, true
	}
	return n.queue.Next()
}

// Pop returns the next packet whose way has ended by now; false if there is none.
func (n *Network[P]) Pop(now Instant) (Result[P], bool) {
	n.advance(now)
	if n.first == len(n.ended) {
		n.ended, n.first = n.ended[:0], 0
		return Result[P]{}, false
	}
	r := n.ended[n.first]
	n.ended[n.first] = Result[P]{}
	n.first++
	return r, true
}

// advance does everything that is due by now.
func (n *Network[P]) advance(now Instant) {
	for at, some := n.queue.Next(); some && at <= now; at, some = n.queue.Next() {
		next := n.queue.Pop()
		switch p := next.packet; next.stage {
		case stageLink:
			n.cross(p, at)
		case stageDownlink:
			n.descend(p, at)
		case stageEnd:
			n.ended = append(n.ended, Result[P]{From: p.from, To: p.to, Data: p.data, Due: at, Fate: p.fate, MTU: p.mtu})
		}
	}
}

// cross takes a packet that has left its uplink at the given time over the link.
func (n *Network[P]) cross(p packet[P], at Instant) {
	d := n.links[[2]Site{p.from, p.to}]
	switch {
	case d == nil:
		n.end(p, at, Unreachable)
		return
	case d.Cut:
		n.end(p, at, Cut)
		return
	case d.Drop[p.family()].Drops(p.Header):
		n.end(p, at, Filtered)
		return
	case d.MTU > 0 && p.Size > d.MTU && d.Mute:
		n.end(p, at, Filtered)
		return
	case d.MTU > 0 && p.Size > d.MTU:
		p.mtu = d.MTU
		n.end(p, at, TooLarge)
		return
	case d.Loss > 0 && d.random.Float64() < d.Loss:
		n.end(p, at, Lost)
		return
	}
	arrival := at + d.Delay
	if d.Jitter > 0 {
		arrival += time.Duration(d.random.Int64N(int64(d.Jitter)))
	}
	if !d.Reorder {
		arrival = max(arrival, d.last)
	}
	d.last = max(arrival, d.last)
	n.queue.Push(arrival, appointment[P]{stageDownlink, p})
}

// stops reports whether a link lets nothing of a packet through, whatever the dice say.
func (l Link) stops(h Header) bool {
	return l.Cut || l.Drop[h.family()].Drops(h) || l.MTU > 0 && h.Size > l.MTU
}

// descend takes a packet that has reached its destination's downlink at the given time through that.
func (n *Network[P]) descend(p packet[P], at Instant) {
	if arrival, ok := n.sites[p.to].down.admit(at, p.Size); ok {
		n.end(p, arrival, Delivered)
		return
	}
	n.end(p, at, QueueFull)
}

func (n *Network[P]) end(p packet[P], at Instant, fate Fate) {
	p.fate = fate
	n.queue.Push(at, appointment[P]{stageEnd, p})
}

// admit is when a packet of the given size, offered now, has left the port; false if it is dropped.
func (p *port) admit(now Instant, size int) (Instant, bool) {
	if p.Rate == 0 {
		return max(now, p.busy), true // packets that still wait from a time with a rate are not overtaken
	}
	start := max(now, p.busy)
	if start-now > p.Queue {
		return 0, false
	}
	p.busy = start + time.Duration(int64(size)*8*int64(time.Second)/p.Rate)
	return p.busy, true
}
