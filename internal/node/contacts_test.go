package node

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"overlayd/internal/member"
	"overlayd/internal/seal"
	"overlayd/internal/wire"
	"overlayd/pathselect"
)

// crowd is a core under test in a network of many members, of whom only the keys exist.
type crowd struct {
	testing.TB
	now     time.Time
	core    *Core
	network *member.Network
	others  []*other
}

type other struct {
	id      member.Identity
	cert    *member.Certificate
	box     *seal.Box
	address netip.AddrPort
}

// newCrowd adjusts the statements of the others, if adjust is not nil.
func newCrowd(t testing.TB, others int, cfg CoreConfig, adjust func(i int, c *member.Certificate, s *member.Statement)) *crowd {
	t.Helper()
	random := rand.NewChaCha8([32]byte{7})
	root, err := member.NewRootKey(random)
	check(t, err)
	network, err := member.NewNetwork(root, "test", netip.MustParsePrefix("10.71.0.0/16"), epoch0)
	check(t, err)
	authority := member.Authority{Network: network, Root: root}
	k := &crowd{TB: t, now: epoch0, network: network}
	var stored [][]byte
	for i := range others {
		o := &other{
			id: identity(t, random), address: netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)}), 51871),
		}
		want := member.Certificate{
			WireGuard: o.id.WireGuard(), Signing: o.id.Signing(), Name: fmt.Sprintf("node-%d", i),
			IPv4: netip.AddrFrom4([4]byte{10, 71, byte(1 + i>>8), byte(1 + i%250)}), Capabilities: member.Relay,
			NotBefore: epoch0, NotAfter: epoch0.Add(member.Validity), Serial: uint64(i + 2),
		}
		st := member.Statement{Endpoints: []netip.AddrPort{o.address}}
		if adjust != nil {
			adjust(i, &want, &st)
		}
		o.cert, err = authority.Issue(want, epoch0)
		check(t, err)
		r, err := member.SignRecord(o.id, o.cert, 1, st)
		check(t, err)
		stored = append(stored, member.Item{Kind: member.KindRecord, Raw: r.Raw()}.Stored())
		k.others = append(k.others, o)
	}
	self := identity(t, random)
	cert, err := authority.Issue(member.Certificate{
		WireGuard: self.WireGuard(), Signing: self.Signing(), Name: "self", IPv4: netip.AddrFrom4([4]byte{10, 71, 0, 1}),
		Capabilities: member.Admin | member.Relay, Subnets: cfg.Subnets, NotBefore: epoch0,
		NotAfter: epoch0.Add(member.AdminValidity), Serial: 1,
	}, epoch0)
	check(t, err)
	cfg.Network, cfg.Identity, cfg.Certificate, cfg.Root = network, self, cert, root
	cfg.Epoch, cfg.Secret, cfg.Algorithm = 1000, random, pathselect.Balanced()
	cfg.Sockets = []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:51871")}
	k.core, err = NewCore(epoch0, cfg, stored)
	check(t, err)
	for i, o := range k.others {
		private, _ := o.id.PrivateKeys()
		o.box, err = seal.New(o.id.ID(), network.ID, private, uint64(2000+i), random)
		check(t, err)
		o.box.AddPeer(self.ID(), self.WireGuard())
	}
	return k
}

// says gives the core a frame of a member, and lets the member open what comes back.
func (k *crowd) says(o *other, kind wire.Kind, body []byte) (answered bool) {
	frame, err := o.box.Seal(nil, k.core.self, kind, body)
	check(k, err)
	in := Datagram{Class: wire.ClassControl, Data: frame, From: o.address, At: k.now}
	check(k, k.core.Step(k.now, in))
	for _, out := range k.core.Drain(nil) {
		if s, ok := out.(Send); ok && s.Hop.Addr == o.address {
			if f, err := o.box.Open(s.Frame); err == nil && (f.Kind == wire.KindPong || f.Kind == wire.KindHello) {
				answered = true
			}
		}
	}
	return answered
}

// visits lets a member come by itself.
func (k *crowd) visits(o *other) (answered bool) {
	ping := (&wire.Ping{Path: 1, Seq: 1}).Append(nil)
	k.says(o, wire.KindPing, ping) // the epochs
	return k.says(o, wire.KindPing, ping)
}

func (k *crowd) run(d time.Duration) {
	until := k.now.Add(d)
	for {
		due, ok := k.core.NextDeadline()
		if !ok || due.After(until) {
			break
		}
		k.now = due
		check(k, k.core.Step(k.now, Tick{}))
		k.core.Drain(nil)
	}
	k.now = until
}

func (k *crowd) picks() (ids []wire.NodeID) {
	for _, id := range k.core.order {
		if k.core.peers[id].picked {
			ids = append(ids, id)
		}
	}
	return ids
}

func TestGuestsAreBoundedAndDisplaceNobody(t *testing.T) {
	k := newCrowd(t, 400, CoreConfig{}, nil)
	picked := k.picks()
	if len(picked) != picksOf(400) {
		t.Fatalf("%d are picked of 400", len(picked))
	}
	answered := 0
	for _, o := range k.others {
		k.now = k.now.Add(50 * time.Millisecond) // as fast as Hellos are given
		if k.visits(o) {
			answered++
		}
	}
	if n := len(k.core.peers); n > k.core.picked+k.core.maxGuests() {
		t.Errorf("%d contacts, %d guests are allowed", n, k.core.maxGuests())
	}
	if answered < k.core.maxGuests() {
		t.Errorf("%d were answered", answered)
	}
	if !slices.Equal(k.picks(), picked) {
		t.Error("guests have displaced who was picked")
	}
	k.run(guestSilence + 2*sweepEvery)
	if n := len(k.core.peers); n > k.core.picked {
		t.Errorf("%d contacts are left, %d picked", n, k.core.picked)
	}
}

func TestWhoDoesNotAnswerMakesRoom(t *testing.T) {
	k := newCrowd(t, 100, CoreConfig{}, nil)
	before := k.picks()
	k.run(pickSilence + time.Duration(len(before)+2)*sweepEvery)
	after := k.picks()
	if len(after) != len(before) || slices.Equal(after, before) {
		t.Errorf("%d of %d picked, the same: %t", len(after), len(before), slices.Equal(after, before))
	}
}

func TestDataMakesContact(t *testing.T) {
	k := newCrowd(t, 100, CoreConfig{}, nil)
	var to *other
	for _, o := range k.others {
		if k.core.peers[o.id.ID()] == nil {
			to = o
		}
	}
	check(t, k.core.Step(k.now, Wake{Peer: to.id.ID()}))
	check(t, k.core.Step(k.now, Tick{}))
	probed := false
	for _, out := range k.core.Drain(nil) {
		s, ok := out.(Send)
		probed = probed || ok && s.Hop.Addr == to.address
	}
	if p := k.core.peers[to.id.ID()]; p == nil || p.use.level != active || !probed {
		t.Error("a packet to a member without contact does not make one")
	}
	check(t, k.core.Step(k.now, Wake{Peer: wire.NodeID{9}})) // who is no member is nobody
}

func TestRevokedNodeIsNobodyAtOnce(t *testing.T) {
	k := newCrowd(t, 5, CoreConfig{}, nil)
	o := k.others[2]
	id := o.id.ID()
	if !k.visits(o) {
		t.Fatal("not answered before")
	}
	check(t, k.core.Revoke(k.now, id, false))
	removed := false
	for _, out := range k.core.Drain(nil) {
		switch out := out.(type) {
		case RemovePeer:
			removed = removed || out.ID == id
		case Publish:
			if out.Table.Routes[id] != nil || out.Table.Sources[o.address] != nil {
				t.Error("still in the table")
			}
		}
	}
	if !removed || k.core.peers[id] != nil {
		t.Error("its session or the contact remains")
	}
	if k.visits(o) || k.core.peers[id] != nil {
		t.Error("answered afterwards")
	}
	check(t, k.core.Reinstate(k.now, id))
	if !k.visits(o) || k.core.peers[id] == nil {
		t.Error("not taken back")
	}
	if err := k.core.Revoke(k.now, k.core.self, false); err == nil {
		t.Error("a node revokes itself")
	}
}

func TestFloodOfOneMemberIsCut(t *testing.T) {
	k := newCrowd(t, 3, CoreConfig{}, nil)
	o := k.others[0]
	k.visits(o)
	before := k.core.refused.n
	for range 3 * framesAtOnce {
		frame, err := o.box.Seal(nil, k.core.self, wire.KindNeighbors, (&wire.Neighbors{}).Append(nil))
		check(t, err)
		check(t, k.core.Step(k.now, Datagram{Class: wire.ClassControl, Data: frame, From: o.address, At: k.now}))
	}
	if cut := k.core.refused.n - before; cut < 2*framesAtOnce-10 {
		t.Errorf("%d frames of %d were cut off", cut, 3*framesAtOnce)
	}
	if !k.visits(k.others[1]) {
		t.Error("another member is not answered meanwhile")
	}
}
