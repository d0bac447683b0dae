package member

import (
	"bytes"
	"container/heap"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"overlayd/internal/wire"
)

// sim is a network of sets on a virtual clock. The same seed makes the same run.
type sim struct {
	testing.TB
	*world
	now    time.Time
	rand   *rand.Rand
	nodes  []*simNode
	index  map[wire.NodeID]*simNode
	queue  events
	serial int

	loss, duplicate float64
	skew            time.Duration        // clocks are wrong by up to so much
	side            func(n *simNode) int // nodes of different sides do not reach each other
	signed          map[uint64]bool      // marks of all items that somebody signed who may
	strict          bool                 // all that is true of a set is checked after every step
	bytes, frames   int
	trace           io.Writer // if not nil: gets all that sets put out
	refused         int       // messages that a set did not like
	conflicts       int       // that were reported
}

type simNode struct {
	n    int
	id   Identity
	cert *Certificate
	set  *Set
	met  map[wire.NodeID]bool
	skew time.Duration // of its clock

	registrar *Registrar
	since     map[wire.NodeID]time.Time
	saved     [][]byte     // what a crash leaves
	kept      *Certificate // the same
	down      bool
	next      time.Time // when it wants a tick, by the right clock, if wants
	wants     bool
	checked   [4]uint64 // the state that was found in order
}

// state changes with everything that the invariants are about.
func (n *simNode) state() [4]uint64 {
	x := n.set
	return [4]uint64{x.Digest(), uint64(len(x.exiles)), uint64(len(x.sync.order)), uint64(len(x.inForce))}
}

type event struct {
	at time.Time
	no int
	do func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at.Before(e[j].at) || (e[i].at.Equal(e[j].at) && e[i].no < e[j].no)
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

func newSim(t testing.TB, seed uint64, nodes int) *sim {
	t.Helper()
	t.Logf("seed %d; again: go test ./internal/member -run '%s$'", seed, t.Name())
	s := &sim{
		TB: t, world: newWorld(t, seed), now: start, rand: rand.New(rand.NewPCG(seed, 1)),
		index: make(map[wire.NodeID]*simNode), signed: make(map[uint64]bool),
		side: func(*simNode) int { return 0 },
	}
	s.grow(nodes)
	return s
}

func (s *sim) grow(nodes int) {
	s.Helper()
	for range nodes {
		s.add(fmt.Sprintf("n%d", len(s.nodes)), nil)
	}
}

// add enrols a node that knows only the first one, as after a join, and the first one knows it.
func (s *sim) add(name string, adjust func(*Certificate)) *simNode {
	s.Helper()
	n := &simNode{n: len(s.nodes), id: s.identity(), met: make(map[wire.NodeID]bool)}
	if s.skew > 0 {
		n.skew = time.Duration(s.rand.Int64N(int64(2*s.skew))) - s.skew
	}
	n.cert = s.enrol(n.id, name, adjust)
	s.signed[must(peek(KindCertificate, n.cert.raw)).mark()] = true
	s.signed[must(peek(KindSettings, s.net.raw)).mark()] = true
	n.set = NewSet(s.net, n.id, n.cert, rand.New(rand.NewPCG(s.rand.Uint64(), 2)))
	n.kept, n.since = n.cert, make(map[wire.NodeID]time.Time)
	n.registrar = NewRegistrar(n.set, n.id, nil)
	s.nodes = append(s.nodes, n)
	s.index[n.id.ID()] = n
	s.publish(n, 1)
	if inviter := s.nodes[0]; inviter != n {
		s.step(inviter, learnRecord(n.own().Raw()))
		s.step(n, learnRecord(inviter.own().Raw()))
	}
	return n
}

// own is the node's own record.
func (n *simNode) own() *Record {
	m, _ := n.set.Get(n.id.ID())
	return m.Record
}

func (s *sim) publish(n *simNode, port int) {
	s.step(n, Publish{Statement{
		Endpoints: []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(n.n + 1)}), uint16(port))},
	}})
}

func (s *sim) at(d time.Duration, do func()) {
	s.serial++
	heap.Push(&s.queue, event{at: s.now.Add(d), no: s.serial, do: do})
}

// step feeds one input to a node and carries out what comes of it.
func (s *sim) step(n *simNode, in Input) {
	if n.down {
		return
	}
	if err := n.set.Step(s.now.Add(n.skew), in); err != nil {
		s.refused++
	}
	at, wants := n.set.NextDeadline()
	n.next, n.wants = at.Add(-n.skew), wants
	if own := n.set.shelves[KindRecord].items[n.id.ID()]; own != nil {
		s.signed[own.mark] = true
	}
	if state := n.state(); s.strict && state != n.checked {
		n.checked = state
		s.consistent(n.set)
		s.entitled(n)
	}
	for _, out := range n.set.Drain(nil) {
		if s.trace != nil {
			fmt.Fprintln(s.trace, s.now.UnixNano(), n.n, inWords(out))
		}
		switch out := out.(type) {
		case Send:
			s.carry(n, out)
		case Changed:
			if _, known := n.set.Get(out.Node); !known {
				delete(n.met, out.Node)
			} else if other := s.index[out.Node]; other != nil && other != n {
				s.at(time.Duration(s.rand.IntN(200))*time.Millisecond, func() { s.meet(n, other) })
			}
		case Conflict:
			s.conflicts++
		case Save:
			n.saved, n.kept = out.Items, n.set.Certificate()
		}
	}
}

// inWords is an output without the addresses of what it points to.
func inWords(out Output) string {
	switch out := out.(type) {
	case Ruled:
		return fmt.Sprintf("ruled %x", out.Verdict.raw)
	case Recertified:
		return fmt.Sprintf("recertified %x", out.Certificate.raw)
	case Renamed:
		return fmt.Sprintf("renamed %x", out.Network.raw)
	}
	return fmt.Sprintf("%T %v", out, out)
}

// entitled holds the invariant that nothing is in a set that nobody signed who may.
func (s *sim) entitled(n *simNode) {
	s.Helper()
	for _, kind := range kinds {
		for _, it := range n.set.shelves[kind].items {
			if !s.signed[it.mark] {
				s.Fatalf("node %d has an item of kind %d that nobody signed who may", n.n, kind)
			}
		}
	}
}

// enact has a node learn what it has signed.
func (s *sim) enact(n *simNode, items []Item, err error) bool {
	if err != nil {
		return false
	}
	for _, it := range items {
		if h, err := peek(it.Kind, it.Raw); err == nil {
			s.signed[h.mark()] = true
		}
	}
	s.step(n, Learn{items})
	return true
}

func (s *sim) reach(a, b *simNode) bool { return s.side(a) == s.side(b) }

func (s *sim) meet(a, b *simNode) {
	if _, known := a.set.Get(b.id.ID()); known && s.reach(a, b) && !a.met[b.id.ID()] {
		a.met[b.id.ID()] = true
		s.step(a, Met{Peer: b.id.ID()})
	}
}

func (s *sim) carry(from *simNode, out Send) {
	to := s.index[out.To]
	if len(out.Body) > wire.MaxBodyLen {
		s.Fatalf("a body of %d bytes", len(out.Body))
	}
	s.bytes += len(out.Body) + 70 + 28 // sealed, in UDP over IPv4
	s.frames++
	copies := 1
	if s.rand.Float64() < s.duplicate {
		copies = 2
	}
	for range copies {
		if s.rand.Float64() < s.loss || !s.reach(from, to) {
			continue
		}
		s.at(time.Duration(5+s.rand.IntN(95))*time.Millisecond, func() {
			s.step(to, Received{From: from.id.ID(), Body: out.Body})
		})
	}
}

// cut makes the sides, and tells the nodes 2 s later.
func (s *sim) cut(side func(n *simNode) int) {
	s.side = side
	s.at(2*time.Second, func() {
		for _, a := range s.nodes {
			for _, b := range s.nodes {
				if a == b {
					continue
				}
				if s.reach(a, b) {
					if _, known := a.set.Get(b.id.ID()); known {
						s.meet(a, b)
					}
				} else if a.met[b.id.ID()] {
					delete(a.met, b.id.ID())
					s.step(a, Lost{b.id.ID()})
				}
			}
		}
	})
}

// run lets d pass, and checks after every event that no record has changed but by its signer.
func (s *sim) run(d time.Duration) {
	s.Helper()
	end := s.now.Add(d)
	for {
		next, tick := end, (*simNode)(nil)
		for _, n := range s.nodes {
			if n.wants && !n.down && n.next.Before(next) {
				next, tick = n.next, n
			}
		}
		switch {
		case len(s.queue) > 0 && !s.queue[0].at.After(next):
			e := heap.Pop(&s.queue).(event)
			if e.at.After(s.now) { // not what was due while all of them slept
				s.now = e.at
			}
			e.do()
		case tick != nil:
			if next.After(s.now) {
				s.now = next
			}
			s.step(tick, Tick{})
			if tick.wants && !tick.next.After(s.now) {
				s.Fatalf("node %d wants another tick at once", tick.n)
			}
		default:
			s.now = end
			return
		}
	}
}

// equal reports whether all nodes that f picks have the same set, of size members.
func (s *sim) equal(size int, f func(n *simNode) bool) bool {
	var want [][]byte
	for _, n := range s.nodes {
		if !f(n) {
			continue
		}
		got := n.set.Stored()
		if want == nil {
			want = got
		}
		if len(records(n.set)) != size || !slices.EqualFunc(got, want, bytes.Equal) {
			return false
		}
	}
	return true
}

// converge runs until all sets are equal, and fails after limit.
func (s *sim) converge(limit time.Duration, size int, f func(n *simNode) bool) time.Duration {
	s.Helper()
	begin := s.now
	for !s.equal(size, f) {
		if s.now.Sub(begin) > limit {
			for _, n := range s.nodes {
				s.Logf("node %d has %d members", n.n, n.set.Len())
			}
			s.Fatalf("not equal after %s", limit)
		}
		s.run(100 * time.Millisecond)
	}
	for _, n := range s.nodes {
		s.entitled(n)
		s.consistent(n.set)
	}
	return s.now.Sub(begin)
}

func everybody(*simNode) bool { return true }
