package tunnel

import (
	"encoding/binary"
	"net/netip"
	"time"

	"golang.zx2c4.com/wireguard/tun"
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
	view *view
	to4  uint32 // the destination of the last packet, and its peer
	peer *registration
	is4  bool

	timer *time.Timer
}

func newGate(p *Plane, inner tun.Device) *gate {
	g := &gate{Device: inner, plane: p, events: make(chan tun.Event, 1), timer: time.NewTimer(stalledAfter)}
	g.host = inner
	if native := newHostIO(inner); native != nil {
		g.host = native
	}
	go g.forwardEvents()
	return g
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

// Read reads packets and blanks out those that wireguard-go should not get.
func (g *gate) Read(packets [][]byte, sizes []int, offset int) (int, error) {
	n, err := g.host.Read(packets, sizes, offset)
	if v := g.plane.peers.view.Load(); v != g.view {
		g.view, g.is4 = v, false
	}
	for i := 0; i < n; {
		to := g.peerOf(packets[i][offset : offset+sizes[i]])
		end := i + 1
		for end < n && g.peerOf(packets[end][offset:offset+sizes[end]]) == to {
			end++
		}
		admitted := g.admit(to, end-i)
		clear(sizes[i+admitted : end])
		i = end
	}
	return n, err
}

// Write passes packets to the TUN interface. All are from one peer.
func (g *gate) Write(packets [][]byte, offset int) (int, error) {
	if len(packets) > 0 {
		last := packets[len(packets)-1]
		if number, socket, ok := marked(last, len(last)); ok && int(socket) < len(g.plane.backlogs) {
			g.plane.backlogs[socket].passed(number)
		}
	}
	if len(packets) == 0 {
		return 0, nil
	}
	from := g.plane.peers.view.Load().owner(sourceOf(packets[0][offset:]))
	if from == nil {
		return len(packets), nil // it is being removed
	}
	from.touch()
	return g.host.Write(packets, offset)
}

// peerOf finds the peer that a packet goes to; nil if there is none.
func (g *gate) peerOf(packet []byte) *registration {
	switch {
	case len(packet) >= 20 && packet[0]>>4 == 4:
		to := binary.BigEndian.Uint32(packet[16:20])
		if !g.is4 || to != g.to4 {
			g.is4, g.to4 = true, to
			g.peer = g.view.owner(netip.AddrFrom4([4]byte(packet[16:20])))
		}
		return g.peer
	case len(packet) >= 40 && packet[0]>>4 == 6:
		return g.view.owner(netip.AddrFrom16([16]byte(packet[24:40])))
	}
	return nil
}

// admit decides how many of n packets to a peer wireguard-go gets.
func (g *gate) admit(reg *registration, n int) int {
	if reg == nil {
		g.plane.count.noPeer.Add(uint64(n))
		return 0
	}
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

// sourceOf is the source of an IP packet; the zero Addr if it is none.
func sourceOf(packet []byte) netip.Addr {
	switch {
	case len(packet) >= 20 && packet[0]>>4 == 4:
		return netip.AddrFrom4([4]byte(packet[12:16]))
	case len(packet) >= 40 && packet[0]>>4 == 6:
		return netip.AddrFrom16([16]byte(packet[8:24]))
	}
	return netip.Addr{}
}
