package member

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"overlayd/internal/wire"
)

// life is a network to which everything happens that can happen to one, at random: the same seed makes the same run. The
// first node holds the root key.
type life struct {
	*sim
	tokens  []TokenID
	crowd   int // groups of the partition
	resting bool
	done    map[string]int
}

func newLife(t testing.TB, seed uint64, nodes, admins int) *life {
	t.Helper()
	s := newSim(t, seed, 0)
	l := &life{sim: s, done: make(map[string]int)}
	s.world.net.Remember()
	s.strict, s.skew, s.loss, s.duplicate = true, 4*time.Minute, 0.05*float64(seed%5), 0.05
	for i := range nodes {
		s.add(fmt.Sprintf("n%d", i), func(c *Certificate) {
			c.Serial = micros(s.now)
			if i < admins {
				c.Capabilities |= Admin
				c.NotAfter = s.now.Add(AdminValidity)
			}
		})
	}
	s.nodes[0].registrar.SetRoot(s.root)
	s.at(time.Minute, l.attend)
	return l
}

// local is the time at a node.
func (s *sim) local(n *simNode) time.Time { return s.now.Add(n.skew) }

// attend lets all admins attend, once a minute.
func (l *life) attend() {
	for _, n := range l.nodes {
		if !n.down && !l.resting {
			l.enact(n, n.registrar.Attend(l.local(n), n.since), nil)
		}
	}
	l.at(attendEvery, l.attend)
}

func (l *life) anybody() *simNode { return l.nodes[l.rand.IntN(len(l.nodes))] }

// admin is a node that may sign, or nil.
func (l *life) admin() *simNode {
	for range 20 {
		if n := l.anybody(); !n.down && n.registrar.May(l.local(n)) {
			return n
		}
	}
	return nil
}

// happen does one thing that people and machines do.
func (l *life) happen() {
	root, some, admin := l.nodes[0], l.anybody(), l.admin()
	if admin == nil {
		admin = root
	}
	now, target := l.local(admin), some.id.ID()
	what, did := "", false
	switch k := l.rand.IntN(24); {
	case k < 3:
		what = "invite"
		lock := l.lock()
		signed, err := admin.registrar.Invite(now, lock, Offer{
			TTL: time.Hour * time.Duration(1+l.rand.IntN(48)), Uses: 1 + l.rand.IntN(3),
		})
		if did = l.enact(admin, signed, err); did {
			l.tokens = append(l.tokens, lock.ID)
		}
	case k < 4 && len(l.tokens) > 0:
		what = "cancel"
		_, signed, err := admin.registrar.Cancel(now, l.tokens[l.rand.IntN(len(l.tokens))].String())
		did = l.enact(admin, signed, err)
	case k < 9 && len(l.tokens) > 0 && len(l.nodes) < 60:
		what, did = "join", l.join(admin, l.tokens[l.rand.IntN(len(l.tokens))])
	case k < 11 && some != root:
		what = "revoke"
		signed, err := admin.registrar.Revoke(now, target, admin == root && l.rand.IntN(4) == 0)
		did = l.enact(admin, signed, err)
	case k < 12 && some != root:
		what = "leave"
		signed, err := some.registrar.Leave(l.local(some))
		did = l.enact(some, signed, err)
	case k < 14:
		what = "reinstate"
		for _, v := range root.set.Outs() {
			signed, err := root.registrar.Reinstate(l.local(root), v.Target)
			did = l.enact(root, signed, err)
			break
		}
	case k < 15:
		what = "grant"
		signed, err := root.registrar.Grant(l.local(root), target)
		did = l.enact(root, signed, err)
	case k < 16 && some != root:
		what = "withdraw"
		signed, err := root.registrar.Withdraw(l.local(root), target)
		did = l.enact(root, signed, err)
	case k < 17:
		what = "subnet"
		subnet := netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 168, byte(l.rand.IntN(4)), 0}), 24)
		signed, err := admin.registrar.SetSubnet(now, target, subnet, l.rand.IntN(2) == 0)
		did = l.enact(admin, signed, err)
	case k < 18:
		what = "rename"
		signed, err := root.registrar.Rename(l.local(root), fmt.Sprintf("net%d", l.rand.IntN(9)))
		did = l.enact(root, signed, err)
	case k < 20:
		what, did = "publish", true
		l.publish(some, 1+l.rand.IntN(60000))
	case k < 22:
		what, did = "crash", true
		l.crash(some)
	case k < 23:
		what, did = "partition", true
		l.crowd = 1 + l.rand.IntN(5)
		seed := l.rand.Uint64()
		shape := rand.New(rand.NewPCG(seed, 1))
		sizes := make([]int, 256)
		for i := range sizes {
			sizes[i] = min(shape.IntN(l.crowd), shape.IntN(l.crowd)+l.rand.IntN(2))
		}
		l.cut(func(n *simNode) int { return sizes[n.n%len(sizes)] })
	default:
		what, did = "merge", true
		l.cut(func(*simNode) int { return 0 })
	}
	if did {
		l.done[what]++
	}
}

// join lets a newcomer in by a token: the certificate spreads first, the record follows. Names are few, so that two
// sides of a partition give the same one.
func (l *life) join(admin *simNode, token TokenID) bool {
	i := admin.set.Invitation(token)
	if i == nil || admin.down {
		return false
	}
	n := &simNode{n: len(l.nodes), id: l.identity()}
	cert, signed, err := admin.registrar.Admit(l.local(admin), i, Applicant{
		WireGuard: n.id.WireGuard(), Signing: n.id.Signing(), Name: fmt.Sprintf("x%d", l.rand.IntN(30)),
	})
	if err != nil || len(signed) != 1 {
		return false
	}
	l.enact(admin, signed, nil)
	l.arrive(n, admin, cert)
	return true
}

// arrive has a node come a little later that an admin has let in, with what a newcomer gets when it joins.
func (l *life) arrive(n, admin *simNode, cert *Certificate) {
	if l.skew > 0 {
		n.skew = time.Duration(l.rand.Int64N(int64(2*l.skew))) - l.skew
	}
	known := [][]byte{Item{Kind: KindRecord, Raw: admin.set.Record(admin.id.ID()).raw}.Stored()}
	met := admin.set.Neighbors()
	for _, id := range met[:min(len(met), 4)] {
		if r := admin.set.Record(id); r != nil {
			known = append(known, Item{Kind: KindRecord, Raw: r.raw}.Stored())
		}
	}
	l.nodes = append(l.nodes, n)
	l.index[n.id.ID()] = n
	n.saved, n.kept, n.down = known, cert, true
	n.set = NewSet(l.net, n.id, cert, rand.New(rand.NewPCG(l.rand.Uint64(), 3)))
	n.registrar = NewRegistrar(n.set, n.id, nil)
	l.at(time.Duration(l.rand.IntN(5000))*time.Millisecond, func() {
		l.rise(n)
		if !admin.down {
			l.step(admin, learnRecord(n.set.Record(n.id.ID()).raw))
		}
	})
}

// bring lets a node in by an admin with a certificate as adjust wants it.
func (l *life) bring(admin *simNode, adjust func(*Certificate)) *simNode {
	l.Helper()
	n := &simNode{n: len(l.nodes), id: l.identity()}
	now := l.local(admin)
	want := Certificate{
		WireGuard: n.id.WireGuard(), Signing: n.id.Signing(), Name: fmt.Sprintf("n%d", n.n), Capabilities: Relay,
		NotBefore: now, NotAfter: now.Add(Validity), Serial: micros(now),
	}
	want.IPv4 = ok(l, func() (netip.Addr, error) { return admin.registrar.freeAddress(nil) })
	adjust(&want)
	cert := ok(l, func() (*Certificate, error) { return admin.registrar.authority().Issue(want, now) })
	l.enact(admin, []Item{{Kind: KindCertificate, Raw: cert.raw}}, nil)
	l.arrive(n, admin, cert)
	return n
}

// crash stops a node for a while. It comes back with what was saved last.
func (l *life) crash(n *simNode) {
	if n.down {
		return
	}
	n.down = true
	l.at(time.Duration(l.rand.IntN(20000))*time.Millisecond, func() { l.rise(n) })
}

func (l *life) rise(n *simNode) {
	n.down, n.met, n.since = false, make(map[wire.NodeID]bool), make(map[wire.NodeID]time.Time)
	root := n.registrar.Root()
	n.set = NewSet(l.net, n.id, n.kept, rand.New(rand.NewPCG(l.rand.Uint64(), 4)))
	n.registrar = NewRegistrar(n.set, n.id, root)
	l.step(n, Load{n.saved})
	l.publish(n, 1+l.rand.IntN(60000))
}

// settle ends all trouble, and waits until all sets of members are equal.
func (l *life) settle(limit time.Duration) {
	l.Helper()
	l.loss, l.duplicate = 0, 0
	l.cut(func(*simNode) int { return 0 })
	begin := l.now
	for range 25 {
		l.plead()
		l.run(time.Second)
	}
	for !l.agree() {
		if l.now.Sub(begin) > limit {
			for _, n := range l.nodes {
				l.Logf("node %d: %d members, digest %x, down %t, out at the root %t", n.n, len(n.set.Members()), n.set.Digest(), n.down, l.nodes[0].set.out(n.id.ID()))
			}
			l.Fatalf("not equal after %s", limit)
		}
		l.plead()
		l.run(time.Second)
	}
	l.Logf("%d members of %d nodes, %d verdicts, %d conflicts, equal after %s; %v", len(l.nodes[0].set.Members()),
		len(l.nodes), len(l.nodes[0].set.shelves[KindVerdict].items), len(l.nodes[0].set.Conflicts()), l.now.Sub(begin), l.done)
}

// plead lets every node tell somebody of the root's verdicts who may not listen to it otherwise, as the node does where a
// member does not answer.
func (l *life) plead() {
	for _, n := range l.nodes {
		ids := n.set.IDs()
		if n.down || len(ids) == 0 {
			continue
		}
		to := ids[l.rand.IntN(len(ids))]
		for _, body := range n.set.Pleas() {
			if l.index[to] != nil && to != n.id.ID() {
				l.carry(n, Send{To: to, Body: body})
			}
		}
	}
}

// agree reports whether all members that the root knows have the same set.
func (l *life) agree() bool {
	root := l.nodes[0].set
	for _, m := range root.Members() {
		if n := l.index[m.ID]; n != nil && (n.down || n.set.Digest() != root.Digest()) {
			return false
		}
	}
	return true
}

func TestWhateverHappensAllSetsEndEqual(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			l := newLife(t, seed, 16+int(seed%8)*3, 4)
			l.run(3 * time.Second)
			for range 50 {
				l.happen()
				l.run(time.Duration(l.rand.IntN(2000)) * time.Millisecond)
				if l.rand.IntN(100) == 0 {
					l.now = l.now.Add(30 * day) // all of them sleep
				}
			}
			l.settle(5 * time.Minute)
			l.everybodySays()
		})
	}
}

// everybodySays checks that all members say the same of names, addresses and who is barred.
func (l *life) everybodySays() {
	l.Helper()
	want := ""
	for _, n := range l.nodes {
		if _, member := l.nodes[0].set.Get(n.id.ID()); !member {
			continue
		}
		got := ""
		for _, m := range n.set.Members() {
			got += fmt.Sprintf("%s %s %s %t %t; ", m.ID, m.Name, m.IPv4, m.Barred, m.Admin)
		}
		got += fmt.Sprint(n.set.Conflicts(), len(n.set.Outs()), n.set.Network().Name)
		if want == "" {
			want = got
		}
		if got != want {
			l.Fatalf("node %d says\n%s\nand not\n%s", n.n, got, want)
		}
	}
}

// A simulation of a network that remembers what it has verified shows what would happen without.
func TestRememberingNetworkRunsTheSame(t *testing.T) {
	traces := make([]string, 2)
	for i := range traces {
		s := newSim(t, 41, 0)
		if i == 1 {
			s.world.net.Remember()
		}
		l := &life{sim: s, done: make(map[string]int)}
		trace := sha256.New()
		s.trace, s.loss, s.duplicate, s.skew = trace, 0.1, 0.1, time.Minute
		for n := range 12 {
			s.add(fmt.Sprintf("n%d", n), func(c *Certificate) {
				if c.Serial = micros(s.now); n < 3 {
					asAdmin(c)
				}
			})
		}
		s.nodes[0].registrar.SetRoot(s.root)
		s.at(time.Minute, l.attend)
		for range 60 {
			l.happen()
			l.run(time.Duration(l.rand.IntN(4000)) * time.Millisecond)
		}
		traces[i] = fmt.Sprintf("%x: %d frames, %d bytes, %v", trace.Sum(nil), s.frames, s.bytes, l.done)
	}
	t.Log(traces[0])
	if traces[0] != traces[1] {
		t.Errorf("and then %s", traces[1])
	}
}
