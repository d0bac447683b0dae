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

// Options vary a host.
type Options struct {
	Address   netip.Addr     // on the underlay; absent: the next one
	Address6  netip.Addr     // a second one, of IPv6
	Bridges   []netip.Addr   // more of its own, which nobody else can reach
	NAT       bool           // in front of the first address, and a firewall in front of the second
	Admin     bool           // one that the root made
	Root      bool           // holds the root key
	Subnets   []netip.Prefix // behind it
	Relay     member.Consent
	Ceiling   uint64 // bits a second that it relays
	Algorithm pathselect.Algorithm
	Select    pathselect.Config
	Skew      time.Duration // by which its clock is fast
}

// Host signs a host in. It is down until Start.
func (f *Founder) Host(name string, o Options) *Host {
	h := f.place(name, o)
	authority := member.Authority{Network: f.Network, Root: f.root}
	capabilities, validity := member.Relay, member.Validity
	if o.Admin || o.Root {
		capabilities, validity = member.Admin|member.Relay, member.AdminValidity
	}
	id := h.cfg.Identity
	cert, err := authority.Issue(member.Certificate{
		WireGuard: id.WireGuard(), Signing: id.Signing(), Name: name,
		IPv4: netip.AddrFrom4([4]byte{10, 71, byte(f.count >> 8), byte(f.count)}), Capabilities: capabilities,
		Subnets: o.Subnets, NotBefore: f.net.now, NotAfter: f.net.now.Add(validity), Serial: uint64(f.count),
	}, f.net.now)
	must(err)
	h.cfg.Certificate = cert
	return h
}

// Newcomer is a host that is no member yet. It is down until Join.
func (f *Founder) Newcomer(name string, o Options) *Host { return f.place(name, o) }

// place gives a host its keys and its place on the underlay.
func (f *Founder) place(name string, o Options) *Host {
	f.count++
	id, err := member.NewIdentity(f.random)
	must(err)
	if o.Algorithm == nil {
		o.Algorithm = pathselect.Default()
	}
	public := netip.AddrFrom4([4]byte{198, 51, byte(100 + f.count>>8), byte(f.count)})
	if o.Address.IsValid() {
		public = o.Address
	}
	h := &Host{
		Name: name, ID: id.ID(), index: len(f.net.hosts), net: f.net,
		skew: o.Skew, seen: make(map[*Host]map[uint64]bool), sessions: make(map[*Host]session),
		counters: make(map[*Host]uint32),
		Kinds:    make(map[wire.Kind]uint64),
	}
	h.address, h.bridges = netip.AddrPortFrom(public, listenPort), o.Bridges
	if o.Address6.IsValid() {
		h.address6 = netip.AddrPortFrom(o.Address6, listenPort)
		f.net.owners[o.Address6] = h
	}
	if o.NAT {
		h.address = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(200 + f.count>>8), byte(f.count), 2}), listenPort)
		h.nat = &natRouter{
			net: f.net, inside: h, inner: h.address, address: netip.AddrPortFrom(public, listenPort),
			allowed: make(map[netip.AddrPort]time.Time),
		}
	}
	if o.NAT && h.address6.IsValid() {
		h.firewall = &natRouter{
			net: f.net, inside: h, inner: h.address6, address: h.address6, allowed: make(map[netip.AddrPort]time.Time),
		}
	}
	h.cfg = node.CoreConfig{
		Network: f.Network, Identity: id,
		Sockets: h.sockets(),
		Keys:    f.keys, Relay: o.Relay, Ceiling: o.Ceiling, Probe: probe.Config{}, Select: o.Select, Algorithm: o.Algorithm,
		Subnets: o.Subnets,
	}
	if o.Root {
		h.cfg.Root = f.root
	}
	f.net.hosts = append(f.net.hosts, h)
	f.net.owners[public] = h
	f.net.byID[h.ID] = h
	return h
}

// Introduce gives every host the records of all, as if they had met before.
func (f *Founder) Introduce(hosts ...*Host) {
	var records [][]byte
	for _, h := range hosts {
		statement := member.Statement{Endpoints: h.addresses(), Relay: h.cfg.Relay}
		r, err := member.SignRecord(h.cfg.Identity, h.cfg.Certificate, 1, statement)
		must(err)
		records = append(records, member.Item{Kind: member.KindRecord, Raw: r.Raw()}.Stored())
	}
	for _, h := range hosts {
		h.saved = records
	}
}
