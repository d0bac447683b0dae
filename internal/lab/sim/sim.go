// Package sim runs whole networks of production cores (node.Core) in one goroutine on a virtual clock. From one seed
// everything happens in the same order, byte for byte.
//
//	node.Core ◀── Datagram ── Host ◀── underlay: delay, jitter, loss, cuts, NATs ◀── Host ◀── Send ── node.Core
//	    └── Publish: fwd.Table ──▶ Host: routes data, switches labels as package tunnel does
//
// Hosts do what package tunnel does in production, without WireGuard: data is a numbered packet, and what arrives twice
// is delivered once. The underlay is one of links alone, or an Underlay: the model that real runs use, with queues.
package sim

import (
	"encoding/binary"
	"hash/crc64"
	"math/rand/v2"
	"net/netip"
	"time"

	"overlayd/internal/lab/agenda"
	"overlayd/internal/wire"
)

// Net is a simulated underlay and the hosts on it.
type Net struct {
	Seed  uint64
	now   time.Time
	start time.Time
	rng   *rand.Rand
	queue agenda.Agenda[func()]

	hosts  []*Host
	byID   map[wire.NodeID]*Host
	owners map[netip.Addr]*Host // by the address that others see
	byAddr map[netip.AddrPort]port
	links  map[link]*Link
	trace  uint64 // running hash of everything that was delivered
	mixed  []byte // scratch

	// Between, if set, is the underlay between two hosts that have no Link of their own.
	Between func(from, to *Host) Link

	// Census, if set, holds the invariants of the membership at every host after each of its steps.
	Census *Census

	// Check, if set, is called after every event: it holds the invariants.
	Check func()

	tap func(d datagram) // sees, if set, whatever is delivered

	underlay *Underlay // in place of links and Between; nil: none
}

// port is what listens at an underlay address.
type port interface {
	receive(d datagram)
}

type link struct{ from, to netip.Addr }

// Link is one direction between two underlay addresses.
type Link struct {
	Delay  time.Duration
	Jitter time.Duration // uniform, added to Delay; order is kept
	Loss   float64
	Cut    bool
	last   time.Time // of arrival
}

// New is an empty network whose clock stands at a fixed date.
func New(seed uint64) *Net {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	return &Net{
		Seed: seed, now: start, start: start, rng: rand.New(rand.NewPCG(seed, 0)),
		byID:   make(map[wire.NodeID]*Host),
		owners: make(map[netip.Addr]*Host), byAddr: make(map[netip.AddrPort]port), links: make(map[link]*Link),
	}
}

// Now is the virtual time since the start.
func (n *Net) Now() time.Duration { return n.now.Sub(n.start) }

// Clock is the virtual time as a date: what the clocks of hosts without skew show.
func (n *Net) Clock() time.Time { return n.now }

// Trace is a hash of everything that happened: equal seeds give equal traces.
func (n *Net) Trace() uint64 { return n.trace }

// After does something once, d from now.
func (n *Net) After(d time.Duration, do func()) { n.at(n.now.Add(d), do) }

func (n *Net) at(t time.Time, do func()) {
	n.queue.Push(t.Sub(n.start), do)
}

// Run lets the time pass until d after now.
func (n *Net) Run(d time.Duration) {
	until := n.now.Add(d)
	for at, some := n.queue.Next(); some && at <= until.Sub(n.start); at, some = n.queue.Next() {
		do := n.queue.Pop()
		n.now = n.start.Add(at)
		do()
		if n.Check != nil {
			n.Check()
		}
	}
	n.now = until
}

// Every does something again and again, until it returns false.
func (n *Net) Every(d time.Duration, do func() bool) {
	var again func()
	again = func() {
		if do() {
			n.After(d, again)
		}
	}
	n.After(d, again)
}

// Link is the direction from one host to another, for the scenario to change at any time. The default is 10 ms.
func (n *Net) Link(from, to *Host) *Link { return n.linkOf(from.outside(), to.outside()) }

// Both applies a change to both directions between two hosts.
func (n *Net) Both(a, b *Host, change func(*Link)) {
	change(n.Link(a, b))
	change(n.Link(b, a))
}

func (n *Net) linkOf(from, to netip.Addr) *Link {
	l := n.links[link{from, to}]
	if l == nil {
		l = &Link{Delay: 10 * time.Millisecond}
		n.links[link{from, to}] = l
	}
	return l
}

// distance is a delay of 5 to 65 ms between two hosts, the same each time and in both directions.
func (n *Net) distance(a, b *Host) time.Duration {
	if b.index < a.index {
		a, b = b, a
	}
	mixed := rand.NewPCG(n.Seed, uint64(a.index)<<32|uint64(b.index))
	return 5*time.Millisecond + time.Duration(mixed.Uint64()%uint64(60*time.Millisecond))
}

// datagram is what travels on the underlay.
type datagram struct {
	from, to netip.AddrPort
	label    uint64 // zero: none
	control  []byte // a frame of the cores
	kind     wire.Kind
	data     *packet
}

// packet is a data packet: what would be inside WireGuard.
type packet struct {
	counter  uint32 // as WireGuard numbers what goes to one peer
	from, to *Host
	seq      uint64
	size     int // bytes, as WireGuard sends it
	sent     time.Time
}

// send puts a datagram on the underlay.
func (n *Net) send(d datagram) {
	if n.underlay != nil {
		n.underlay.send(d)
		return
	}
	at, lost := n.arrival(d)
	if lost {
		return
	}
	n.at(at, func() { n.arrive(d) })
}

// arrive hands a datagram to what listens at its destination.
func (n *Net) arrive(d datagram) {
	if p := n.byAddr[d.to]; p != nil {
		n.mark(&d)
		p.receive(d)
		if n.tap != nil {
			n.tap(d)
		}
	}
}

// arrival is when a datagram arrives, if it does.
func (n *Net) arrival(d datagram) (at time.Time, lost bool) {
	var l *Link
	from, to := n.primary(d.from.Addr()), n.primary(d.to.Addr())
	if n.Between != nil && n.links[link{from, to}] == nil {
		a, b := n.owners[from], n.owners[to]
		if a == nil || b == nil {
			return at, true
		}
		between := n.Between(a, b)
		l = &between
	} else {
		l = n.linkOf(from, to)
	}
	if l.Cut || n.rng.Float64() < l.Loss {
		return at, true
	}
	at = n.now.Add(l.Delay)
	if l.Jitter > 0 {
		at = at.Add(time.Duration(n.rng.Int64N(int64(l.Jitter))))
	}
	if at.Before(l.last) {
		at = l.last
	}
	l.last = at
	return at, false
}

// primary is the first of the addresses of whoever has one: both families take the same links.
func (n *Net) primary(a netip.Addr) netip.Addr {
	if h := n.owners[a]; h != nil {
		return h.outside()
	}
	return a
}

var polynomial = crc64.MakeTable(crc64.ECMA)

// mark adds a datagram to the trace.
func (n *Net) mark(d *datagram) {
	b := binary.BigEndian.AppendUint64(n.mixed[:0], n.trace)
	b = binary.BigEndian.AppendUint64(b, uint64(n.now.Sub(n.start)))
	for _, a := range []netip.AddrPort{d.from, d.to} {
		addr := a.Addr().As16()
		b = binary.BigEndian.AppendUint16(append(b, addr[:]...), a.Port())
	}
	b = binary.BigEndian.AppendUint64(b, d.label)
	if d.data != nil {
		b = binary.BigEndian.AppendUint64(b, d.data.seq)
	}
	n.mixed = append(b, d.control...)
	n.trace = crc64.Checksum(n.mixed, polynomial)
}

// hostAt is the host behind an underlay address, or nil.
func (n *Net) hostAt(a netip.AddrPort) *Host {
	switch p := n.byAddr[a].(type) {
	case *Host:
		return p
	case *natRouter:
		return p.inside
	default:
		return nil
	}
}
