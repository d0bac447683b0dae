package node

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"overlayd/internal/member"
	"overlayd/internal/seal"
	"overlayd/internal/wire"
	"overlayd/pathselect"
	"overlayd/tunnel/fwd"
)

var epoch0 = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// fixture is a core under test and another member, of whom only the keys exist.
type fixture struct {
	t       testing.TB
	now     time.Time
	core    *Core
	network *member.Network
	other   member.Identity
	box     *seal.Box // of the other member
	address netip.AddrPort
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	random := rand.NewChaCha8([32]byte{1})
	root, err := member.NewRootKey(random)
	check(t, err)
	network, err := member.NewNetwork(root, "test", netip.MustParsePrefix("10.71.0.0/16"), epoch0)
	check(t, err)
	self, other := identity(t, random), identity(t, random)
	authority := member.Authority{Network: network, Root: root}
	selfCert, otherCert := issue(t, authority, self, "belmont", 1), issue(t, authority, other, "boston", 2)
	address := netip.MustParseAddrPort("198.51.100.2:51871")
	record, err := member.SignRecord(other, otherCert, 1, member.Statement{Endpoints: []netip.AddrPort{address}})
	check(t, err)
	core, err := NewCore(epoch0, CoreConfig{
		Network: network, Identity: self, Certificate: selfCert, Root: root, Epoch: 1000,
		Sockets:   []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:51871")},
		Algorithm: pathselect.Balanced(), Secret: random,
	}, [][]byte{member.Item{Kind: member.KindRecord, Raw: record.Raw()}.Stored()})
	check(t, err)
	private, _ := other.PrivateKeys()
	box, err := seal.New(other.ID(), network.ID, private, 2000, random)
	check(t, err)
	box.AddPeer(self.ID(), self.WireGuard())
	f := &fixture{
		t: t, now: epoch0, core: core, network: network, other: other, box: box, address: address,
	}
	f.meet()
	return f
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func identity(t testing.TB, random *rand.ChaCha8) member.Identity {
	t.Helper()
	id, err := member.NewIdentity(random)
	check(t, err)
	return id
}

func issue(t testing.TB, a member.Authority, id member.Identity, name string, host byte) *member.Certificate {
	t.Helper()
	c, err := a.Issue(member.Certificate{
		WireGuard: id.WireGuard(), Signing: id.Signing(), Name: name, IPv4: netip.AddrFrom4([4]byte{10, 71, 0, host}),
		Capabilities: member.Relay, NotBefore: epoch0, NotAfter: epoch0.Add(member.Validity), Serial: uint64(host),
	}, epoch0)
	check(t, err)
	return c
}

// meet lets the two learn each other's epoch.
func (f *fixture) meet() {
	f.control(wire.KindPing, (&wire.Ping{Path: 1, Seq: 1}).Append(nil))
	for _, out := range f.drain() {
		if s, ok := out.(Send); ok {
			_, _ = f.box.Open(s.Frame)
		}
	}
	if !f.box.Known(f.core.self) {
		f.t.Fatal("the core did not answer a frame of an unknown epoch with a hello")
	}
}

// control gives the core a message sealed by the other member.
func (f *fixture) control(kind wire.Kind, body []byte) {
	frame, err := f.box.Seal(nil, f.core.self, kind, body)
	if err != nil {
		return // longer than a frame may be
	}
	f.step(Datagram{Class: wire.ClassControl, Data: frame, From: f.address, At: f.now})
}

func (f *fixture) step(in Input) {
	f.t.Helper()
	check(f.t, f.core.Step(f.now, in))
}

func (f *fixture) drain() []Output { return f.core.Drain(nil) }

// run lets time pass.
func (f *fixture) run(d time.Duration) {
	until := f.now.Add(d)
	for steps := 0; ; steps++ {
		due, ok := f.core.NextDeadline()
		if !ok || due.After(until) {
			break
		}
		if due.After(f.now) {
			f.now, steps = due, 0
		}
		if steps > 100 {
			f.t.Fatal("the core wants to be ticked again and again at one time")
		}
		f.step(Tick{})
	}
	f.now = until
}

func TestGarbageNeverGetsAnAnswerAndChangesNothing(t *testing.T) {
	f := newFixture(t)
	f.run(time.Second)
	f.drain()
	before := len(f.core.peers[f.other.ID()].paths)
	random := rand.New(rand.NewPCG(1, 1))
	stranger := netip.MustParseAddrPort("203.0.113.9:999")
	for range 2000 {
		raw := make([]byte, random.IntN(1500))
		for i := range raw {
			raw[i] = byte(random.Uint32())
		}
		if len(raw) > 0 {
			raw[0] = "CJ\x00"[random.IntN(3)]
		}
		f.step(Datagram{Class: wire.Classify(raw), Data: raw, From: stranger, At: f.now})
	}
	for _, out := range f.drain() {
		t.Errorf("garbage caused %T", out)
	}
	if after := len(f.core.peers[f.other.ID()].paths); after != before {
		t.Errorf("garbage changed the number of paths from %d to %d", before, after)
	}
}

// A frame that comes once more may be a recording, or its sender may have gone back, and must hear that. So it gets an
// answer that is not longer than it is, now and then, and nothing else comes of it.
func TestAReplayFromAnotherAddressMakesNoPath(t *testing.T) {
	f := newFixture(t)
	frame, err := f.box.Seal(nil, f.core.self, wire.KindPing, (&wire.Ping{Path: 1, Seq: 2}).Append(nil))
	check(t, err)
	f.step(Datagram{Class: wire.ClassControl, Data: frame, From: f.address, At: f.now})
	f.run(time.Second)
	f.drain()
	before := len(f.core.peers[f.other.ID()].paths)
	answers := 0
	for range 1000 { // in a second
		f.step(Datagram{
			Class: wire.ClassControl, Data: frame, From: netip.MustParseAddrPort("203.0.113.9:999"), At: f.now,
		})
		f.now = f.now.Add(time.Millisecond)
		for _, out := range f.drain() {
			if s, ok := out.(Send); ok && s.Kind == wire.KindHello && len(s.Frame) <= len(frame) {
				answers++
			} else {
				t.Errorf("a replayed frame caused %T", out)
			}
		}
	}
	if answers < 1 || answers > int(time.Second/replayEvery) {
		t.Errorf("1,000 replayed frames in a second got %d answers", answers)
	}
	if after := len(f.core.peers[f.other.ID()].paths); after != before {
		t.Errorf("the number of paths went from %d to %d", before, after)
	}
}

func TestAPeerIsActiveWhileItSaysSo(t *testing.T) {
	f := newFixture(t)
	f.control(wire.KindPing, (&wire.Ping{Path: 1, Seq: 2, Active: true}).Append(nil))
	p := f.core.peers[f.other.ID()]
	if p.use.level != active {
		t.Fatalf("level %d after an active ping, want active", p.use.level)
	}
	f.run(activeFor + 2*checkRate)
	if p.use.level != recent {
		t.Errorf("level %d %v later, want recent", p.use.level, activeFor)
	}
	f.run(recentFor + 2*checkRate)
	if p.use.level != idle {
		t.Errorf("level %d %v later, want idle", p.use.level, recentFor)
	}
}

func TestTheTableComesBeforeTheFramesThatRelyOnIt(t *testing.T) {
	f := newFixture(t)
	f.run(time.Second)
	f.drain()
	f.step(Wake{Peer: f.other.ID()})
	for i, out := range f.drain() {
		if _, ok := out.(Publish); ok && i != 0 {
			t.Errorf("the table is output %d, want it first", i)
		}
	}
}

// FuzzMember lets a member with valid keys say anything at all, on its own address and on others.
func FuzzMember(f *testing.F) {
	ping := wire.Ping{Path: 3, Seq: 1, Active: true, Reports: []wire.Report{{Path: 1, LastSeq: 9, Probes: 9}}}
	open := wire.CircuitOpen{ID: 5, Opener: wire.NodeID{1}, Route: []wire.NodeID{{2}, {3}}, Label: 7}
	query := wire.RouteQuery{Nonce: 1, Origin: wire.NodeID{1}, Target: wire.NodeID{2}, Hops: 2}
	seed := func(kind wire.Kind, body []byte) []byte {
		return append([]byte{byte(kind), 0, byte(len(body))}, body...)
	}
	f.Add(append(seed(wire.KindPing, ping.Append(nil)), seed(wire.KindCircuitOpen, open.Append(nil))...))
	f.Add(append(seed(wire.KindRouteQuery, query.Append(nil)), seed(wire.KindBye, nil)...))
	f.Add(append(seed(wire.KindMembers, []byte{1, 2, 3}), seed(wire.KindHello, nil)...))
	f.Fuzz(func(t *testing.T, script []byte) {
		x := newFixture(t)
		for len(script) >= 3 {
			kind, n := wire.Kind(script[0]), int(binary.BigEndian.Uint16(script[1:3]))
			script = script[3:]
			n = min(n, len(script))
			x.control(kind, script[:n])
			script = script[n:]
			x.run(time.Duration(kind) * 10 * time.Millisecond)
			if kind%5 == 0 {
				x.address = netip.AddrPortFrom(x.address.Addr(), 1+uint16(n))
			}
			bounded(t, x.core)
			x.drain()
		}
	})
}

// bounded holds what must be true whatever one member says.
func bounded(t *testing.T, c *Core) {
	t.Helper()
	for _, p := range c.peers {
		if direct, circuits := p.count(); direct > maxDirectPaths || circuits > maxCircuits {
			t.Fatalf("%d direct paths and %d circuits", direct, circuits)
		}
		if len(p.relays.routes) > maxNominees || len(p.relays.attempts) > 4*maxNominees {
			t.Fatalf("%d nominees, %d attempts", len(p.relays.routes), len(p.relays.attempts))
		}
	}
	for _, out := range c.out {
		if s, ok := out.(Send); ok && s.Hop == (fwd.Hop{}) {
			t.Fatal("a frame to nowhere")
		}
	}
}
