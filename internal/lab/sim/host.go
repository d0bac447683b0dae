package sim

import (
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"overlayd/internal/member"
	"overlayd/internal/node"
	"overlayd/internal/seal"
	"overlayd/internal/wire"
	"overlayd/pathselect"
	"overlayd/probe"
	"overlayd/tunnel/fwd"
)

// Founder signs hosts into one network.
type Founder struct {
	net     *Net
	root    ed25519.PrivateKey
	Network *member.Network
	keys    *seal.Memory
	random  *rand.ChaCha8
	count   int
}

// Found makes a network.
func (n *Net) Found() *Founder {
	var seed [32]byte
	binary.BigEndian.PutUint64(seed[:], n.Seed)
	random := rand.NewChaCha8(seed)
	root, err := member.NewRootKey(random)
	must(err)
	network, err := member.NewNetwork(root, "simulated", netip.MustParsePrefix("10.71.0.0/16"), n.now)
	must(err)
	network.Remember()
	return &Founder{net: n, root: root, Network: network, keys: seal.NewMemory(), random: random}
}

func must(err error) {
	if err != nil {
		panic(fmt.Sprintf("simulation: %v", err))
	}
}

// Host is one node on the underlay.
type Host struct {
	Name string
	ID   wire.NodeID

	index   int // in the network
	net     *Net
	cfg     node.CoreConfig
	address netip.AddrPort
	nat     *natRouter
	skew    time.Duration

	Core  *node.Core // nil while the host is down
	table *fwd.Table
	saved [][]byte
	tick  time.Time
	epoch uint64

	// Delivered is called once for every data packet that arrives here.
	Delivered func(from *Host, seq uint64, sent time.Time)
	seen      map[*Host]map[uint64]bool
	seq       uint64
	Switches  []Switch
	Control   uint64 // bytes of control traffic sent, with UDP and IPv4 headers
	outputs   []node.Output
}

// Switch is one change of a selection.
type Switch struct {
	At     time.Duration
	Peer   string
	Via    []string
	Reason string
}

// Options vary a host.
type Options struct {
	NAT       bool
	Admin     bool           // one that the root made
	Root      bool           // holds the root key
	Subnets   []netip.Prefix // behind it
	Relay     member.Consent
	Algorithm pathselect.Algorithm
	Skew      time.Duration // by which its clock is fast
}

// Host signs a host in. It is down until Start.
func (f *Founder) Host(name string, o Options) *Host {
	f.count++
	id, err := member.NewIdentity(f.random)
	must(err)
	authority := member.Authority{Network: f.Network, Root: f.root}
	capabilities, validity := member.Relay, member.Validity
	if o.Admin || o.Root {
		capabilities, validity = member.Admin|member.Relay, member.AdminValidity
	}
	cert, err := authority.Issue(member.Certificate{
		WireGuard: id.WireGuard(), Signing: id.Signing(), Name: name,
		IPv4: netip.AddrFrom4([4]byte{10, 71, byte(f.count >> 8), byte(f.count)}), Capabilities: capabilities,
		Subnets: o.Subnets, NotBefore: f.net.now, NotAfter: f.net.now.Add(validity), Serial: uint64(f.count),
	}, f.net.now)
	must(err)
	if o.Algorithm == nil {
		o.Algorithm = pathselect.Balanced()
	}
	public := netip.AddrFrom4([4]byte{198, 51, byte(100 + f.count>>8), byte(f.count)})
	h := &Host{
		index: len(f.net.hosts), Name: name, ID: id.ID(), net: f.net, address: netip.AddrPortFrom(public, 51871), skew: o.Skew,
		seen: make(map[*Host]map[uint64]bool),
	}
	if o.NAT {
		h.address = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(200 + f.count>>8), byte(f.count), 2}), 51871)
		h.nat = &natRouter{
			net: f.net, inside: h, address: netip.AddrPortFrom(public, 51871),
			allowed: make(map[netip.AddrPort]time.Time),
		}
	}
	h.cfg = node.CoreConfig{
		Network: f.Network, Identity: id, Certificate: cert,
		Sockets: []netip.AddrPort{netip.AddrPortFrom(netip.IPv4Unspecified(), 51871)},
		Keys:    f.keys, Relay: o.Relay, Probe: probe.Config{}, Select: pathselect.Config{}, Algorithm: o.Algorithm, Subnets: o.Subnets,
	}
	if o.Root {
		h.cfg.Root = f.root
	}
	f.net.hosts = append(f.net.hosts, h)
	f.net.owners[public] = h
	return h
}

// Introduce gives every host the records of all, as if they had met before.
func (f *Founder) Introduce(hosts ...*Host) {
	var records [][]byte
	for _, h := range hosts {
		statement := member.Statement{Endpoints: []netip.AddrPort{h.address}, Relay: h.cfg.Relay}
		r, err := member.SignRecord(h.cfg.Identity, h.cfg.Certificate, 1, statement)
		must(err)
		records = append(records, member.Item{Kind: member.KindRecord, Raw: r.Raw()}.Stored())
	}
	for _, h := range hosts {
		h.saved = records
	}
}

// Start brings a host up, with the records that it saved.
func (h *Host) Start() {
	h.epoch = max(h.epoch+1, uint64(h.net.now.UnixMicro()))
	cfg := h.cfg
	cfg.Epoch = h.epoch
	for i := range 4 {
		binary.BigEndian.PutUint64(cfg.Seed[8*i:], h.net.rng.Uint64())
	}
	cfg.Secret = rand.NewChaCha8(cfg.Seed)
	core, err := node.NewCore(h.now(), cfg, h.saved)
	must(err)
	h.Core, h.tick = core, time.Time{}
	h.bind()
	h.step(node.LocalAddresses{Addrs: []netip.Addr{h.address.Addr()}})
}

// Kill stops a host without a word.
func (h *Host) Kill() {
	h.Core, h.table = nil, nil
	delete(h.net.byAddr, h.address)
	if h.nat != nil {
		delete(h.net.byAddr, h.nat.address)
	}
}

func (h *Host) bind() {
	if h.nat != nil {
		h.net.byAddr[h.nat.address] = h.nat
		return
	}
	h.net.byAddr[h.address] = h
}

func (h *Host) outside() netip.Addr {
	if h.nat != nil {
		return h.nat.address.Addr()
	}
	return h.address.Addr()
}

// step gives the core one input and carries out what it wants.
func (h *Host) step(in node.Input) {
	must(h.Core.Step(h.now(), in))
	h.outputs = h.Core.Drain(h.outputs[:0])
	for _, out := range h.outputs {
		switch out := out.(type) {
		case node.Send:
			h.transmit(out.Hop, datagram{control: out.Frame})
		case node.Publish:
			h.table = out.Table
		case node.SaveMembers:
			h.saved = out.Items
		case node.SaveMembership:
			h.cfg.Certificate = out.Certificate
		case node.Switched:
			h.Switches = append(h.Switches, Switch{At: h.net.Now(), Peer: out.Peer, Via: out.Via, Reason: out.Reason})
		}
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

// now is the time on the host's clock.
func (h *Host) now() time.Time { return h.net.now.Add(h.skew) }

// transmit sends a datagram on a hop.
func (h *Host) transmit(hop fwd.Hop, d datagram) {
	d.from, d.to, d.label = h.address, hop.Addr, uint64(hop.Label)
	if d.control != nil {
		h.Control += uint64(len(d.control) + ipv4Header + udpHeader)
		if hop.Label != 0 {
			h.Control += wire.LabelHeaderLen
		}
	}
	if h.nat != nil {
		h.nat.out(d)
		return
	}
	h.net.send(d)
}

// Send sends one data packet to a peer, as the data plane does.
func (h *Host) Send(to *Host) uint64 {
	h.seq++
	if h.Core == nil {
		return h.seq
	}
	p := &packet{from: h, to: to, seq: h.seq, sent: h.net.now}
	r := h.table.Routes[to.ID]
	if r == nil {
		return h.seq
	}
	if !r.Awake {
		h.step(node.Wake{Peer: to.ID})
		r = h.table.Routes[to.ID]
	}
	h.copy(r.Primary, p)
	if r.Duplicate != nil && r.Budget.Take(packetLen, h.Core.Stamp(h.now())) {
		h.copy(r.Duplicate, p)
	}
	return h.seq
}

const (
	packetLen  = 200 // bytes of every data packet
	ipv4Header = 20
	udpHeader  = 8
)

func (h *Host) copy(path *fwd.Path, p *packet) {
	if path != nil {
		path.Counters.Sent(1, packetLen)
		h.transmit(path.Hop, datagram{data: p})
	}
}

// receive does what the data plane's receive functions do.
func (h *Host) receive(d datagram) {
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
			e.Switch.Counters.Received(1, packetLen, now)
			h.transmit(e.Switch.To, d)
			return
		}
		path, circuit = e.Path, e.Path
	}
	if d.control != nil {
		h.step(node.Datagram{Class: wire.ClassControl, Data: d.control, From: d.from, Path: circuit, At: h.now()})
		return
	}
	if d.data.to != h {
		return // WireGuard has no session for it
	}
	if path != nil {
		path.Counters.Received(1, packetLen, now)
	}
	h.deliver(d.data)
}

// deliver passes up what WireGuard's replay window lets through: each packet once.
func (h *Host) deliver(p *packet) {
	seen := h.seen[p.from]
	if seen == nil {
		seen = make(map[uint64]bool)
		h.seen[p.from] = seen
	}
	if seen[p.seq] {
		return
	}
	seen[p.seq] = true
	if h.Delivered != nil {
		h.Delivered(p.from, p.seq, p.sent)
	}
}
