package sim

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"overlayd/internal/join"
	"overlayd/internal/node"
	"overlayd/internal/wire"
	"overlayd/tunnel/fwd"
)

// Host is one node on the underlay.
type Host struct {
	Name string
	ID   wire.NodeID

	index int // in the network
	net   *Net
	cfg   node.CoreConfig
	places
	skew  time.Duration // of steady time, from the right time
	ahead time.Duration // of the wall clock, from steady time

	Core   *node.Core // nil while the host is down
	joiner *join.Joiner
	Err    error // why it did not join
	Rests  bool  // having joined, it waits for Start
	table  *fwd.Table
	saved  [][]byte // what is on its disk
	before []saving // what was there earlier, the newest last
	tick   time.Time
	epoch  uint64

	// Hostile, if set, is what this host does as a relay with data of others: it may lose some, and hold up what it
	// does not. Probes and all else that the cores send it passes on, since it can tell them apart.
	Hostile func() (lose bool, wait time.Duration)

	// Dawdles is how long this host holds up whatever it relays: it may be near to everybody, and tell so, and yet be of no
	// use.
	Dawdles time.Duration

	// Overhears, if set, is told of every frame that reaches this host, for it to send again in another way.
	Overhears func(Overheard)

	// DiskFails makes the host keep nothing of what it saves.
	DiskFails bool

	// Delivered is called once for every data packet that arrives here.
	Delivered func(from *Host, seq uint64, sent time.Time)
	seen      map[*Host]map[uint64]bool
	partners  map[*Host]bool // hosts that it would have a session with
	sessions  map[*Host]session
	stamps    map[*Host]time.Time // of the latest handshake that each began, by its clock
	seq       uint64
	counters  map[*Host]uint32 // WireGuard's, of what was sent to each
	Switches  []Switch
	Frames    uint64         // of control traffic
	record    netip.AddrPort // what is sent there is kept in recent, for a scenario to send it in another way
	recent    []datagram
	Control   uint64 // bytes of control traffic sent, with UDP and IPv4 headers
	Kinds     map[wire.Kind]uint64
	outputs   []node.Output
	census    // what was last seen of it
}

// saving is what a host had on its disk until a time.
type saving struct {
	until time.Time
	items [][]byte
}

// Switch is one change of a selection.
type Switch struct {
	At     time.Duration
	Peer   string
	Via    []string
	Reason string
}

// Start brings a host up, with the records that it saved.
func (h *Host) Start() {
	h.epoch = (max(h.epoch+1, uint64(max(h.now().UnixMicro(), 1))) + 1) &^ 1 // as internal/state does
	h.run()
}

// run makes the core of a host, in its epoch.
func (h *Host) run() {
	h.skew, h.ahead, h.stamps = h.skew+h.ahead, 0, make(map[*Host]time.Time)
	cfg := h.cfg
	cfg.Epoch = h.epoch
	for i := range 4 {
		binary.BigEndian.PutUint64(cfg.Seed[8*i:], h.net.rng.Uint64())
	}
	cfg.Secret = rand.NewChaCha8(cfg.Seed)
	core, err := node.NewCore(h.now(), cfg, h.saved)
	must(err)
	h.Core, h.tick = core, time.Time{}
	h.partners, h.sessions = make(map[*Host]bool), make(map[*Host]session)
	h.bind()
	h.step(node.LocalAddresses{Addrs: h.local()})
}

// Kill stops a host without a word.
func (h *Host) Kill() {
	h.Core, h.table, h.joiner = nil, nil, nil
	h.unbind()
}

// Stop stops a host that says goodbye, as a daemon does that is asked to end.
func (h *Host) Stop() {
	if h.Core != nil {
		h.save(h.Core.Members().Stored())
		h.step(node.Shutdown{})
	}
	h.Kill()
}

// Wipe stops a host without a word and deletes what its disk held: it can be no member any more.
func (h *Host) Wipe() {
	h.Kill()
	h.saved, h.before = nil, nil
}

// Restart kills a host and starts it with what its disk held so long ago, as after a crash that lost what was not synced.
func (h *Host) Restart(lost time.Duration) {
	h.Kill()
	for _, old := range slices.Backward(h.before) {
		if old.until.Before(h.net.now.Add(-lost)) {
			break
		}
		h.saved = old.items
	}
	h.before = nil
	h.Start()
}

// savingsKept is how many earlier states of a disk a host can be started with.
const savingsKept = 2

func (h *Host) save(items [][]byte) {
	if h.DiskFails {
		return
	}
	if len(h.before) == savingsKept {
		h.before = slices.Delete(h.before, 0, 1)
	}
	h.before = append(h.before, saving{until: h.net.now, items: h.saved})
	h.saved = items
}

// Do lets a person do something on a host, such as revoke a node.
func (h *Host) Do(f func(c *node.Core, now time.Time) error) { must(h.Ask(f)) }

// Ask lets a person do something that the host may refuse.
func (h *Host) Ask(f func(c *node.Core, now time.Time) error) error {
	err := f(h.Core, h.now())
	h.act(nil)
	return err
}

// step gives the core one input and carries out what it wants.
func (h *Host) step(in node.Input) {
	must(h.Core.Step(h.now(), in))
	h.act(in)
}

// act carries out what the core wants. In is what it was told; nil if a person has done something.
func (h *Host) act(in node.Input) {
	h.outputs = h.Core.Drain(h.outputs[:0])
	for _, out := range h.outputs {
		switch out := out.(type) {
		case node.Send:
			h.transmit(out.Hop, datagram{control: out.Frame, kind: out.Kind})
		case node.Publish:
			h.table = out.Table
		case node.AddPeer:
			h.partners[h.net.byID[out.ID]] = true
		case node.RemovePeer:
			other := h.net.byID[out.ID]
			delete(h.partners, other)
			delete(h.sessions, other)
		case node.ForgetSession:
			delete(h.sessions, h.net.byID[out.ID])
			delete(h.stamps, h.net.byID[out.ID])
		case node.SaveMembers:
			h.save(out.Items)
		case node.SaveMembership:
			h.cfg.Certificate = out.Certificate
		case node.Switched:
			h.Switches = append(h.Switches, Switch{At: h.net.Now(), Peer: out.Peer, Via: out.Via, Reason: out.Reason})
		}
	}
	if h.net.Census != nil {
		h.net.Census.look(h, in)
	}
	h.schedule()
}

// schedule makes sure that the core is ticked when it wants to be.
// A tick that comes too early is put off when it comes.
func (h *Host) schedule() {
	due, ok := h.due()
	if !ok || (!h.tick.IsZero() && !due.Before(h.tick)) {
		return
	}
	h.tick = due
	core := h.Core
	h.net.at(due, func() {
		if h.Core != core || !h.tick.Equal(due) {
			return // an earlier one has taken its place
		}
		h.tick = time.Time{}
		if next, ok := h.due(); ok && next.After(due) {
			h.schedule()
			return
		}
		h.step(node.Tick{})
	})
}

// due is when the core wants to be ticked, on the clock of the simulation.
func (h *Host) due() (time.Time, bool) {
	due, ok := h.Core.NextDeadline()
	due = due.Add(-h.skew)
	if due.Before(h.net.now) {
		due = h.net.now
	}
	return due, ok
}

// now is steady time on the host.
func (h *Host) now() time.Time { return h.net.now.Add(h.skew) }

// wall is what its clock shows.
func (h *Host) wall() time.Time { return h.now().Add(h.ahead) }

// transmit sends a datagram on a hop.
func (h *Host) transmit(hop fwd.Hop, d datagram) {
	d.from, d.to, d.label = h.source(hop.Addr), hop.Addr, uint64(hop.Label)
	if d.control != nil {
		size := uint64(len(d.control) + ipv4Header + udpHeader)
		if hop.Label != 0 {
			size += wire.LabelHeaderLen
		}
		h.Control += size
		h.Frames++
		if h.record == d.to && d.label == 0 {
			h.recent = append(h.recent, d)
		}
		h.Kinds[d.kind] += size
	}
	h.launch(d)
}

// Send sends one data packet of no special class to a peer, as the data plane does, and returns its number.
func (h *Host) Send(to *Host) uint64 { return h.SendSized(to, wire.DefaultTraffic, packetLen) }

// SendSized sends one data packet of a class that has so many bytes as WireGuard sends it.
func (h *Host) SendSized(to *Host, class wire.TrafficClass, size int) uint64 {
	h.seq++
	if h.Core == nil {
		return h.seq
	}
	p := &packet{from: h, to: to, seq: h.seq, size: size, sent: h.net.now}
	r := h.table.Routes[to.ID]
	if h.partners[to] && (r == nil || !r.Awake) {
		h.step(node.Wake{Peer: to.ID})
		r = h.table.Routes[to.ID]
	}
	if r == nil || r.Held || !h.reaches(to) {
		return h.seq // no session yet
	}
	h.counters[to]++
	p.counter = h.counters[to]
	way := r.Ways[class]
	h.copy(way.Primary, p)
	if way.Duplicate != nil && way.Budget.Take(p.size, h.Core.Stamp(h.now())) {
		h.copy(way.Duplicate, p)
	}
	return h.seq
}

const (
	packetLen  = 200 // bytes of a data packet if nobody says otherwise
	ipv4Header = 20
	ipv6Header = 40
	udpHeader  = 8
)

func (h *Host) copy(path *fwd.Path, p *packet) {
	if path != nil {
		path.Counters.Sent(1, p.size)
		path.Counters.Largest(p.size)
		path.Counters.SentSeq(p.counter)
		h.transmit(path.Hop, datagram{data: p})
	}
}

// relay sends a frame on as a relay does, or as a hostile one does.
func (h *Host) relay(sw *fwd.Switch, d datagram, now wire.Stamp) {
	size := d.payload() + wire.LabelHeaderLen
	if sw.Budget != nil && !sw.Budget.Take(size, now) {
		return
	}
	sw.Counters.Received(1, size, now)
	lose, wait := false, time.Duration(0)
	if d.data != nil && h.Hostile != nil {
		lose, wait = h.Hostile()
	}
	switch wait += h.Dawdles; {
	case lose:
	case wait > 0:
		h.net.After(wait, func() { h.transmit(sw.To, d) })
	default:
		h.transmit(sw.To, d)
	}
}

// receive does what the data plane's receive functions do.
func (h *Host) receive(d datagram) {
	if h.Overhears != nil {
		h.Overhears(Overheard{h, d})
	}
	if h.joiner != nil {
		h.join(join.Heard{From: d.from, Frame: d.control})
	}
	if h.Core == nil {
		return
	}
	now := h.Core.Stamp(h.now())
	path := h.table.Sources[d.from]
	var circuit *fwd.Path
	if d.label != 0 {
		e, known := h.table.Labels[wire.Label(d.label)]
		switch {
		case !known || path == nil || path.Peer != e.From:
			if path != nil {
				h.step(node.UnknownLabel{From: path.Peer, Label: wire.Label(d.label)})
			}
			return
		case e.Switch != nil:
			h.relay(e.Switch, d, now)
			return
		}
		path, circuit = e.Path, e.Path
	}
	if d.control != nil {
		h.step(node.Datagram{
			Class: wire.Classify(d.control), Data: d.control, From: d.from, Path: circuit, At: h.now(),
		})
		return
	}
	if d.data.to != h || !h.accepts(d.data.from, path) {
		return // WireGuard has no session for it
	}
	if path != nil {
		path.Counters.Received(1, d.payload(), now)
		path.Counters.ReceivedSeq(d.data.counter)
	}
	h.deliver(d.data)
}
