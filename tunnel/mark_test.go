package tunnel

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"time"

	"overlayd/internal/wire"
	"overlayd/tunnel/classes"
	"overlayd/tunnel/fwd"
)

// Whatever the length of a packet, its padding, and what was in the buffer before; and without harm to the packet.
func TestAMarkIsReadWhereItWasWritten(t *testing.T) {
	const most = maxOuter
	buffer := make([]byte, 1<<16-1)
	for size := 1; size <= most; size++ {
		class := wire.TrafficClass(size % wire.TrafficClasses)
		other := byte(class) ^ 2
		end := 16 + size
		for i := end - 1; i < end+markAfter; i++ {
			buffer[i] = other
		}
		mark(buffer, end, class)
		if buffer[end-1] != other {
			t.Fatalf("packet of %d bytes was changed", size)
		}
		for padding := range 16 {
			length := end + padding + tagLen
			message := buffer[:length]
			message[length-1] = other // the tag, where a shorter padding has the mark
			if got := classOf(message); got != class {
				t.Fatalf("packet of %d bytes with %d of padding: class %v, want %v", size, padding, got, class)
			}
		}
	}
}

func TestWhatHasNoMarkIsOfTheDefaultClass(t *testing.T) {
	buffer := bytes.Repeat([]byte{byte(wire.Critical)}, 1<<16-1)
	for name, message := range map[string][]byte{
		"keepalive, with an old mark":  buffer[:keepaliveLen],
		"as long as the buffer":        buffer,
		"nothing behind it":            buffer[:100:100],
		"too little behind it":         buffer[:100:112],
		"empty, in a buffer of nobody": nil,
	} {
		if got := classOf(message); got != wire.DefaultTraffic {
			t.Errorf("%s: %v", name, got)
		}
	}
	buffer[112] = wire.TrafficClasses // of something else
	if got := classOf(buffer[:100]); got != wire.DefaultTraffic {
		t.Errorf("no class: %v", got)
	}
}

// classPort is the port whose packets are of a class.
func classPort(class wire.TrafficClass) uint16 { return 1000 + uint16(class) }

func classRules() []classes.Rule {
	var rules []classes.Rule
	for class := range wire.TrafficClass(wire.TrafficClasses) {
		port := classPort(class)
		rules = append(rules, classes.Rule{
			Class: class, Protocols: []uint8{17}, Ports: []classes.Ports{{First: port, Last: port}},
		})
	}
	return rules
}

// classPacket is a packet of a class, whose port says which.
func classPacket(from, to netip.Addr, size int, class wire.TrafficClass, flow uint16, number uint32) []byte {
	p := packet(from, to, max(size, 32), 0)
	binary.BigEndian.PutUint16(p[20:], flow)
	binary.BigEndian.PutUint16(p[22:], classPort(class))
	binary.BigEndian.PutUint32(p[28:], number)
	return p
}

// apart is two sites of which one sends each class with a label of its own, and the other one takes one label only: so
// whatever comes was sent as of that class.
func apart(t *testing.T, only wire.TrafficClass) (a, b *site, publish func()) {
	a, b = newSite(t, 1), newSite(t, 2)
	a.add(b)
	b.add(a)
	a.plane.SetClasses(classRules())
	direct, back := pathTo(b, b.addr(), 0), pathTo(a, a.addr(), 0)
	route := &fwd.Route{All: []*fwd.Path{direct}, Awake: true}
	for class := range route.Ways {
		route.Ways[class].Primary = pathTo(b, b.addr(), wire.Label(0xc0+class))
	}
	atA := directTable(b, direct)
	atA.Routes[b.id] = route
	atB := directTable(a, back)
	atB.Labels = map[wire.Label]fwd.Entry{wire.Label(0xc0 + only): {From: a.id, Path: pathTo(a, a.addr(), 1)}}
	return a, b, func() {
		b.plane.Publish(atB)
		a.plane.Publish(atA)
	}
}

// arrivedIn reads packets at a site, of which all must be of one class, and passes on the numbers of each flow.
func arrivedIn(t *testing.T, s *site, only wire.TrafficClass, flows []chan uint32) {
	for {
		select {
		case p := <-s.tun.toHost:
			if port := binary.BigEndian.Uint16(p[22:]); port != classPort(only) {
				t.Errorf("a packet to port %d was sent as %v", port, only)
			}
			flows[binary.BigEndian.Uint16(p[20:])] <- binary.BigEndian.Uint32(p[28:])
		case <-s.tun.closed:
			return
		}
	}
}

// mixture is what a host sends to another one in one flow: packets of all classes, of which one class arrives.
type mixture struct {
	t        *testing.T
	from, to *site
	flow     uint16
	only     wire.TrafficClass
	arrived  chan uint32
	next     uint32
	sent     [wire.TrafficClasses]uint64
	awaited  []uint32
}

func (m *mixture) send(class wire.TrafficClass, size int) {
	m.from.tun.fromHost <- classPacket(m.from.inner, m.to.inner, size, class, m.flow, m.next)
	if class == m.only {
		m.awaited = append(m.awaited, m.next)
	}
	m.sent[class]++
	m.next++
}

// await waits for those that are to arrive, in order; false if one does not come.
func (m *mixture) await() bool {
	for _, want := range m.awaited {
		select {
		case got := <-m.arrived:
			if got != want {
				m.t.Errorf("packet %d came, want %d", got, want)
				return false
			}
		case <-time.After(patience):
			m.t.Errorf("packet %d did not come", want)
			return false
		}
	}
	m.awaited = m.awaited[:0]
	return true
}

// rounds sends some packets and awaits them, again and again. Now and then there is a long one, and every time one that
// comes the other way and lies in the same buffers: all of it looks like marks.
func (m *mixture) rounds(n int) {
	random := rand.New(rand.NewPCG(uint64(m.flow), uint64(m.only)))
	like := func() wire.TrafficClass { return wire.TrafficClass(random.IntN(wire.TrafficClasses)) }
	for round := range n {
		if round%4 == 0 {
			m.send(like(), 1401+random.IntN(4000)) // more than the MTU: padded in another way
		}
		noise := packet(m.to.inner, m.from.inner, 6000, 0)
		for i := 28; i < len(noise); i++ {
			noise[i] = byte(like())
		}
		m.to.tun.fromHost <- noise
		for range 6 {
			m.send(like(), 28+random.IntN(1373))
		}
		m.send(m.only, 100) // so that the round has an end
		if !m.await() {
			return
		}
	}
}

// With real devices: packets that wait for the first handshake, and then many at once of several flows. Each comes as what
// it is, in order, and none is missing.
func TestNoPacketIsTakenForOneOfAnotherClass(t *testing.T) {
	const flows, rounds = 4, 120
	for only := range wire.TrafficClass(wire.TrafficClasses) {
		t.Run(only.String(), func(t *testing.T) {
			a, b, publish := apart(t, only)
			var all []*mixture
			var arrived []chan uint32
			for flow := range uint16(flows) {
				m := &mixture{t: t, from: a, to: b, flow: flow, only: only, arrived: make(chan uint32, waitingLimit)}
				all, arrived = append(all, m), append(arrived, m.arrived)
			}
			go arrivedIn(t, b, only, arrived)
			go drain(a)
			for i := range waitingLimit { // as many as the gate lets wait
				all[0].send(wire.TrafficClass(i*7%wire.TrafficClasses), 100)
			}
			eventually(t, "packets wait in wireguard-go", func() bool {
				to := *a.plane.peers.live.Load()
				return len(to) == 1 && to[0].session.inside.Load() == waitingLimit
			})
			publish()
			if !all[0].await() {
				return
			}
			var senders sync.WaitGroup
			for _, m := range all {
				senders.Go(func() { m.rounds(rounds) })
			}
			senders.Wait()
			for class := range wire.TrafficClass(wire.TrafficClasses) {
				want := uint64(0)
				for _, m := range all {
					want += m.sent[class]
				}
				got := func() uint64 { return a.plane.Stats().Classes[class].Packets } // a moment after they were sent
				eventually(t, "all packets are counted", func() bool { return got() >= want })
				if n := got(); n > want && class != wire.DefaultTraffic { // to which keepalives belong
					t.Errorf("%d packets sent as %v, want %d", n, class, want)
				}
			}
			if n := a.tun.written.Load(); n < rounds {
				t.Errorf("only %d packets came the other way", n)
			}
		})
	}
}

func drain(s *site) {
	for {
		select {
		case <-s.tun.toHost:
		case <-s.tun.closed:
			return
		}
	}
}

// A packet that the gate puts into a header has the class that it had without.
func TestTheGateMarksWhatItCarries(t *testing.T) {
	b, _ := gateTo(t, prefixes("10.2.0.0/16")...)
	b.SetClasses(classRules())
	var packets [][]byte
	for i := range uint32(2 * wire.TrafficClasses) {
		to := netip.MustParseAddr("10.2.0.9")
		if i%2 == 0 {
			to = netip.MustParseAddr("10.71.0.2")
		}
		packets = append(packets, classPacket(here, to, 100, wire.TrafficClass(i/2), 0, i))
	}
	b.gate.host = stillHost{packets}
	buffers, sizes := buffersOf(len(packets))
	if n, err := b.gate.Read(buffers, sizes, 16); n != len(packets) || err != nil {
		t.Fatalf("read %d packets: %v", n, err)
	}
	for i := range packets {
		if got := classOf(buffers[i][:16+sizes[i]+16]); got != wire.TrafficClass(i/2) {
			t.Errorf("packet %d of %d bytes: %v", i, sizes[i], got)
		}
		if carried := sizes[i] > len(packets[i]); carried != (i%2 == 1) {
			t.Errorf("packet %d: carried %v", i, carried)
		}
	}
}
