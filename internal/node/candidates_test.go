package node

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"overlayd/internal/member"
	"overlayd/internal/routeguard"
	"overlayd/internal/wire"
)

// publishes makes the other member publish endpoints.
func (f *fixture) publishes(sequence uint64, list ...netip.AddrPort) {
	f.t.Helper()
	m, _ := f.core.members.Get(f.other.ID())
	record, err := member.SignRecord(f.other, m.Certificate, sequence, member.Statement{Endpoints: list})
	check(f.t, err)
	f.core.step(f.core.members.Step(f.now, member.Learn{Items: []member.Item{{Kind: member.KindRecord, Raw: record.Raw()}}}))
	f.core.settle(f.now)
}

// probed lets time pass, in which the other member answers the probes that are sent to some endpoints, and returns when
// each endpoint was first sent to.
func (f *fixture) probed(d time.Duration, answers ...netip.AddrPort) map[netip.AddrPort]time.Duration {
	f.t.Helper()
	begin, first := f.now, make(map[netip.AddrPort]time.Duration)
	for f.now.Before(begin.Add(d)) {
		f.run(10 * time.Millisecond)
		for _, out := range f.drain() {
			s, ok := out.(Send)
			if !ok {
				continue
			}
			if _, known := first[s.Hop.Addr]; !known {
				first[s.Hop.Addr] = f.now.Sub(begin)
			}
			for _, at := range answers {
				if at == s.Hop.Addr {
					f.address = at
					f.answer(s)
				}
			}
		}
	}
	return first
}

// answer is the other member's to a probe.
func (f *fixture) answer(s Send) {
	frame, err := f.box.Open(s.Frame)
	if err != nil || frame.Kind != wire.KindPing {
		return
	}
	if p, err := wire.ParsePing(frame.Body); err == nil {
		pong := wire.Pong{Path: p.Path, Seq: p.Seq, Nonce: p.Nonce, Sent: p.Sent, Received: 5, Replied: 5}
		f.control(wire.KindPong, pong.Append(nil))
	}
}

// bridges are endpoints as every host has them that runs containers.
func bridges(n int) (list []netip.AddrPort) {
	for i := range n {
		list = append(list, netip.AddrPortFrom(netip.AddrFrom4([4]byte{172, byte(18 + i), 0, 1}), 51871))
	}
	return list
}

func TestEveryPublishedEndpointIsTriedSoon(t *testing.T) {
	for _, n := range []int{1, 8, 9, wire.MaxEndpoints} {
		f := newFixture(t)
		list := bridges(n)
		f.publishes(2, list...)
		f.step(Wake{Peer: f.other.ID()})
		first := f.probed(3 * time.Second)
		for i, at := range list {
			if after, tried := first[at]; !tried || after > 2*time.Second {
				t.Errorf("endpoint %d of %d: tried %t, after %v", i+1, n, tried, after)
			}
		}
		if after := first[list[0]]; n > maxDirectPaths && after > 100*time.Millisecond {
			t.Errorf("the preferred one of %d begins after %v", n, after)
		}
	}
}

func TestTheLastOfManyEndpointsIsFound(t *testing.T) {
	f := newFixture(t)
	real := netip.MustParseAddrPort("203.0.113.9:51871")
	f.publishes(2, append(bridges(wire.MaxEndpoints-1), real)...)
	f.step(Wake{Peer: f.other.ID()})
	f.probed(3*time.Second, real)
	if p := f.core.peers[f.other.ID()]; !p.reachable() {
		t.Fatal("not found within 3 s")
	}
	f.probed(10*time.Minute, real)
	p := f.core.peers[f.other.ID()]
	if !p.reachable() {
		t.Error("lost again though it answers")
	}
	if direct, _ := p.count(); direct != 1 {
		t.Errorf("%d direct paths are kept", direct)
	}
}

func TestANodeNeverProbesItself(t *testing.T) {
	f := newFixture(t)
	list := bridges(3)
	host := routeguard.Host{}
	for _, at := range list[:2] {
		host.Addresses = append(host.Addresses, routeguard.Address{Prefix: netip.PrefixFrom(at.Addr(), 16), Interface: "br-1", Isolated: true})
	}
	f.step(LocalAddresses{Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, Host: host})
	own, neighbor := netip.MustParseAddrPort("192.0.2.1:51871"), netip.AddrPortFrom(list[0].Addr(), 51999)
	f.publishes(2, append(list, own, neighbor)...)
	f.control(wire.KindEndpoints, (&wire.Endpoints{Punch: true, List: list}).Append(nil))
	f.step(Wake{Peer: f.other.ID()})
	first := f.probed(5 * time.Second)
	for _, at := range append(list[:2:2], own) {
		if _, tried := first[at]; tried {
			t.Errorf("%v is this node's own, and was probed", at)
		}
	}
	for _, at := range []netip.AddrPort{list[2], neighbor} { // another node of this host has another port
		if _, tried := first[at]; !tried {
			t.Errorf("%v was not probed", at)
		}
	}
}

// Somebody else may have the address by now.
func TestADeadEndpointThatIsNotPublishedIsForgotten(t *testing.T) {
	f := newFixture(t)
	old, new := netip.MustParseAddrPort("203.0.113.9:51871"), netip.MustParseAddrPort("203.0.113.10:51871")
	f.publishes(2, old)
	f.probed(30*time.Second, old)
	p := f.core.peers[f.other.ID()]
	if !p.reachable() {
		t.Fatal("not reached")
	}
	f.publishes(3, new)
	f.probed(time.Minute, new)
	var last time.Duration
	begin, n := f.now, 0
	for range 360 {
		f.run(10 * time.Second)
		for _, out := range f.drain() {
			s, ok := out.(Send)
			switch {
			case !ok:
			case s.Hop.Addr == new:
				f.address = new
				f.answer(s)
			case s.Hop.Addr == old:
				n, last = n+1, f.now.Sub(begin)
			}
		}
	}
	t.Logf("%d frames more to it, the last after %v", n, last)
	if last > 2*time.Minute || n > 10 {
		t.Errorf("it was sent %d frames until %v", n, last)
	}
	for _, q := range p.sorted() {
		if q.endpoint == old {
			t.Errorf("there still is a path to it, %s", p.state(q.id))
		}
	}
}

// Both ends lost each other, and neither publishes where the other one saw it: behind a forwarded port, for instance.
func TestAnEndpointWhereAPeerOnceWasHasSomeMoreTurns(t *testing.T) {
	f := newFixture(t)
	seen := netip.MustParseAddrPort("203.0.113.9:40000")
	f.address = seen
	f.control(wire.KindPing, (&wire.Ping{Path: 1, Seq: 2}).Append(nil))
	f.probed(30*time.Second, seen)
	p := f.core.peers[f.other.ID()]
	if !p.reachable() {
		t.Fatal("not reached")
	}
	f.probed(5 * time.Minute)
	if p.reachable() {
		t.Fatal("reached without an answer")
	}
	f.probed(6*time.Minute, seen)
	if p = f.core.peers[f.other.ID()]; !p.reachable() {
		t.Error("not found again after an outage of five minutes")
	}
}

// Each version of a node's record goes to all members, who store it.
func TestAFlappingAddressIsNotPublishedAgainAndAgain(t *testing.T) {
	f := newFixture(t)
	steady, flapping := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.9")
	record := func() uint64 {
		m, _ := f.core.members.Get(f.core.self)
		return m.Record.Sequence
	}
	published := func(want bool) {
		t.Helper()
		if got := slices.ContainsFunc(f.core.endpoints, func(e netip.AddrPort) bool { return e.Addr() == flapping }); got != want {
			t.Errorf("published: %t, want %t: %v", got, want, f.core.endpoints)
		}
	}
	f.step(LocalAddresses{Addrs: []netip.Addr{steady}})
	f.run(2 * time.Second)
	f.step(LocalAddresses{Addrs: []netip.Addr{steady, flapping}})
	f.run(2 * time.Second)
	published(true) // a new one is, soon
	versions, probes, last := 0, 0, record()
	for range 60 {
		for _, list := range [][]netip.Addr{{steady}, {steady, flapping}} {
			f.step(LocalAddresses{Addrs: list})
			f.run(500 * time.Millisecond)
			if now := record(); now != last {
				versions, last = versions+1, now
			}
			for _, out := range f.drain() {
				if s, ok := out.(Send); ok && s.Kind == wire.KindPing {
					probes++
				}
			}
		}
	}
	published(false)
	if versions > 4 || probes > 20 {
		t.Errorf("in a minute at 1 Hz: %d versions, %d probes", versions, probes)
	}
	f.run(6 * time.Minute)
	published(true) // it has stayed
}

func TestPublishedEndpointsAreBounded(t *testing.T) {
	f := newFixture(t)
	var list []netip.Addr
	for i := range 200 {
		list = append(list, netip.AddrFrom4([4]byte{10, 9, byte(i), 1}))
	}
	f.step(LocalAddresses{Addrs: list})
	f.run(2 * time.Second)
	if n := len(f.core.endpoints); n == 0 || n > wire.MaxEndpoints || f.core.endpoints[0].Addr() != list[0] {
		t.Errorf("%d are published, the first %v", n, f.core.endpoints[0])
	}
}
