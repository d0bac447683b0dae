package tunnel

import (
	"time"

	"golang.zx2c4.com/wireguard/tun"

	"overlayd/tunnel/classes"
)

const (
	// waitingLimit is how many packets may be inside wireguard-go for a peer that has no session.
	waitingLimit = 16
	// insideLimit is how many may be inside while there is one; reading waits for some to come out.
	insideLimit = 256
	// stalledAfter is how long it waits: if none comes out the session is lost.
	stalledAfter = 50 * time.Millisecond
	// trickle is how often one more is let in: it makes wireguard-go try another handshake after it gave up.
	trickle = 5 * time.Second
)

// gate stands between the TUN interface and wireguard-go, and bounds what is queued in there. It also hides the
// interface's ups and downs: wireguard-go would close the sockets, which others use for relaying.
type gate struct {
	tun.Device
	plane  *Plane
	events chan tun.Event
	host   interface { // the Device, or what is faster
		Read(packets [][]byte, sizes []int, offset int) (int, error)
		Write(packets [][]byte, offset int) (int, error)
	}

	// What follows belongs to the goroutine that reads.
	departs departs
	set     *classes.Set
	last    classes.Last
	timer   *time.Timer
}

func newGate(p *Plane, inner tun.Device) *gate {
	g := &gate{Device: inner, plane: p, events: make(chan tun.Event, 1), timer: time.NewTimer(stalledAfter)}
	g.host = inner
	if len(p.sockets) > 0 {
		at := p.sockets[0].LocalAddr()
		g.departs.port, g.departs.bound = at.Port(), at.Addr()
	}
	if native := newHostIO(inner); native != nil {
		g.host = native
	}
	go g.forwardEvents()
	return g
}

// Close closes the interface for good.
func (g *gate) Close() error {
	g.plane.end()
	return g.Device.Close()
}

// BatchSize is how many packets wireguard-go reads at once, for which it keeps buffers.
func (g *gate) BatchSize() int {
	if _, native := g.host.(*hostIO); native {
		return hostBatch
	}
	return g.Device.BatchSize()
}

// Events tells changes of the MTU, and nothing else.
func (g *gate) Events() <-chan tun.Event { return g.events }

func (g *gate) forwardEvents() {
	defer close(g.events)
	for event := range g.Device.Events() {
		if event&tun.EventMTUUpdate != 0 {
			select {
			case g.events <- tun.EventMTUUpdate:
			default: // one that is not yet read will do
			}
		}
	}
}

// Read reads packets, marks each with its traffic class, puts those from or to a network behind a node into an outer
// header, and blanks out those that wireguard-go should not get.
func (g *gate) Read(packets [][]byte, sizes []int, offset int) (int, error) {
	n, err := g.host.Read(packets, sizes, offset)
	if n == 0 {
		return n, err
	}
	g.departs.begin(g.plane.peers.view.Load(), g.plane.sites.Load())
	g.set = g.plane.classes.Load()
	next := g.place(packets[0], offset, &sizes[0])
	for i := 0; i < n; {
		to, end := next, i+1
		for ; end < n; end++ {
			if next = g.place(packets[end], offset, &sizes[end]); next != to {
				break
			}
		}
		if to != nil {
			admitted := g.admit(to, end-i)
			clear(sizes[i+admitted : end])
		}
		i = end
	}
	return n, err
}

// place returns the peer that the packet at an offset of a buffer goes to, marks the buffer, and puts the packet into an
// outer header if it needs one. If it goes nowhere, it is blanked out and counted.
func (g *gate) place(buffer []byte, offset int, size *int) *registration {
	room := buffer[offset:]
	packet := room[:*size]
	how := g.departs.of(packet)
	switch {
	case how == nil || how.to == nil && !how.refused:
		g.plane.count.noPeer.Add(1)
	case how.to == nil:
		g.plane.count.outRefused.Add(1)
	default:
		class := g.last.Of(g.set, packet, &how.to.id)
		if how.carried {
			*size = how.header.wrap(room, *size)
		}
		if *size > 0 {
			mark(buffer, offset+*size, class)
			return how.to
		}
		g.plane.count.outRefused.Add(1)
	}
	*size = 0
	return nil
}

// Write passes packets to the TUN interface that may go there, without their outer headers. All are from one peer.
func (g *gate) Write(packets [][]byte, offset int) (int, error) {
	n := len(packets)
	if n == 0 {
		return 0, nil
	}
	last := packets[n-1] // before it is cut: the number is at a fixed place of the buffer
	if number, socket, ok := marked(last, len(last)); ok && int(socket) < len(g.plane.backlogs) {
		g.plane.backlogs[socket].passed(number)
	}
	packets = g.accept(packets, offset)
	if refused := n - len(packets); refused > 0 {
		g.plane.count.inRefused.Add(uint64(refused))
	}
	if len(packets) == 0 {
		return n, nil
	}
	_, err := g.host.Write(packets, offset)
	return n, err
}

// accept returns those packets that may go to the host. It reuses the slice, and cuts outer headers off from the front.
func (g *gate) accept(packets [][]byte, offset int) [][]byte {
	a := arrivals{sites: g.plane.sites.Load(), view: g.plane.peers.view.Load()}
	if a.from = a.view.owner(sourceOf(packets[0][offset:])); a.from == nil {
		return nil // it is being removed
	}
	a.from.touch()
	if a.sites.none() {
		return packets
	}
	taken := packets[:0]
	for _, p := range packets {
		if skip, size := a.accept(p[offset:]); size > 0 {
			taken = append(taken, p[skip:skip+offset+size])
		}
	}
	return taken
}

// admit decides how many of n packets to a peer wireguard-go gets.
func (g *gate) admit(reg *registration, n int) int {
	to := g.plane.need(reg)
	if to == nil {
		g.plane.count.notAdmitted.Add(uint64(n))
		return 0
	}
	s := &to.session
	if s.alive.Load() || g.confirmed(to) {
		if s.inside.Load() < insideLimit || g.waitForRoom(s) {
			s.inside.Add(int64(n))
			return n
		}
		s.stalled()
	}
	room := waitingLimit - s.inside.Load()
	if room <= 0 && time.Since(s.trickled) > trickle {
		s.trickled = time.Now()
		room = 1
	}
	admitted := max(0, min(n, int(room)))
	s.inside.Add(int64(admitted))
	if admitted < n {
		g.plane.count.notAdmitted.Add(uint64(n - admitted))
	}
	return admitted
}

// waitForRoom waits until packets have come out of wireguard-go; false if none does. Its queues have room for many
// more, but when the processor is the bottleneck they would only fill memory and delay packets.
func (g *gate) waitForRoom(s *session) bool {
	g.timer.Reset(stalledAfter)
	defer g.timer.Stop()
	for {
		s.blocked.Store(true)
		if s.inside.Load() < insideLimit {
			return true
		}
		select {
		case <-s.room:
		case <-g.timer.C:
			return false
		}
	}
}

// confirmed reports, once for each response that we sent, whether the peer has used the session that it began.
func (g *gate) confirmed(to *peer) bool {
	responded := to.handshake.responded()
	if responded == 0 || responded == to.session.confirmed {
		return false
	}
	route := g.plane.table.Load().Routes[to.id]
	if route == nil {
		return false
	}
	for _, path := range route.All {
		if _, _, last := path.Counters.Counts(); last > responded {
			to.session.confirmed = responded
			to.session.alive.Store(true)
			return true
		}
	}
	return false
}
