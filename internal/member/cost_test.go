package member

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"overlayd/internal/wire"
)

// populated is a set of n members, of whom the last is the neighbour that sends.
func populated(t *testing.T, n int) (*world, *Set, Identity) {
	t.Helper()
	w := newWorld(t, 1)
	self := w.identity()
	s := NewSet(w.net, self, w.enrol(self, "self", nil), rand.New(seeded(1)))
	var sender Identity
	var items []Item
	for i := range n {
		id, r := w.record(fmt.Sprintf("n-%d", i), 5, Statement{})
		sender = id
		items = append(items, Item{Kind: KindRecord, Raw: r.Raw()})
	}
	if err := s.Step(start, Learn{items}); err != nil {
		t.Fatal(err)
	}
	if err := s.Step(start, Met{Peer: sender.ID()}); err != nil {
		t.Fatal(err)
	}
	s.Drain(nil)
	return w, s, sender
}

// costly are bodies that ask for as much work as a frame can.
func (w *world) costly() map[string][]byte {
	bodies := make(map[string][]byte)
	var lists []list
	var all, parts []summarized
	for i := range maxLists {
		lists = append(lists, list{Span: span{Kind: KindRecord}, Heads: []byte{}})
		all = append(all, summarized{Span: span{Kind: KindRecord}, Hash: uint64(i)})
		parts = append(parts, summarized{Span: span{Kind: KindRecord}.child(i % 16), Hash: uint64(i)})
	}
	bodies["lists of everything"] = message{Type: typeList, Lists: lists}.encode()
	bodies["summaries of everything"] = message{Type: typeSummary, Spans: all}.encode()
	bodies["summaries of all parts"] = message{Type: typeSummary, Spans: parts}.encode()
	var foreign []Item
	for i := range 5 {
		root := ok(w, func() (key []byte, err error) { return NewRootKey(w.random) })
		n := ok(w, func() (*Network, error) {
			return NewNetwork(root, "other", netip.MustParsePrefix(DefaultPrefix), start.Add(time.Duration(i)*time.Hour))
		})
		foreign = append(foreign, Item{Kind: KindSettings, Raw: n.Raw()})
	}
	bodies["settings of other networks"] = message{Type: typeItems, Items: foreign}.encode()
	return bodies
}

// second is what the frames that one member may send in a second cost.
func second(t *testing.T, s *Set, sender Identity, body []byte, now *time.Time) time.Duration {
	t.Helper()
	best := time.Hour
	for range 3 {
		begin := time.Now()
		for range 1000 {
			*now = now.Add(time.Millisecond)
			_ = s.Step(*now, Received{From: sender.ID(), Body: body})
			s.Drain(nil)
		}
		best = min(best, time.Since(begin))
	}
	return best
}

// A member that asks for as much as its frames can say costs about the same in a network of any size.
func TestWhatAMessageCostsDoesNotGrowWithTheNetwork(t *testing.T) {
	sizes := []int{50, 1000, 4000}
	if testing.Short() {
		sizes = []int{50, 1000}
	}
	costs := make(map[string][]time.Duration)
	for _, n := range sizes {
		w, s, sender := populated(t, n)
		now := start
		for name, body := range w.costly() {
			costs[name] = append(costs[name], second(t, s, sender, body, &now))
		}
	}
	for name, list := range costs {
		t.Logf("%s, 1,000 frames a second: %v of processor time with %v members", name, list, sizes)
		if last := list[len(list)-1]; last > 5*list[0]+20*time.Millisecond {
			t.Errorf("%s: %v with %d members, %v with %d", name, list[0], sizes[0], last, sizes[len(sizes)-1])
		}
	}
}

func TestWhoGoesAndComesBackHasNoMoreCredit(t *testing.T) {
	_, s, sender := populated(t, 3)
	taken := 0.0
	for range 10 {
		for s.sync.afford(start, sender.ID(), 1) {
			taken++
		}
		if err := s.Step(start, Lost{sender.ID()}); err != nil {
			t.Fatal(err)
		}
		if err := s.Step(start, Met{Peer: sender.ID()}); err != nil {
			t.Fatal(err)
		}
	}
	if taken != creditMax {
		t.Errorf("%v of credit were given at one time, %v are allowed", taken, creditMax)
	}
}

func TestAllNeighboursTogetherAreBoundedAndThePickedOnesKeepHalf(t *testing.T) {
	w := newWorld(t, 1)
	s := w.watcher()
	var crowd []Identity
	for i := range 20 {
		id, r := w.record(fmt.Sprintf("n-%d", i), 5, Statement{})
		if err := s.Step(start, learnRecord(r.Raw())); err != nil {
			t.Fatal(err)
		}
		if err := s.Step(start, Met{Peer: id.ID(), Chosen: i == 0}); err != nil {
			t.Fatal(err)
		}
		crowd = append(crowd, id)
	}
	taken, now := 0, start
	for range 1000 {
		now = now.Add(10 * time.Millisecond)
		for _, id := range crowd[1:] {
			for s.sync.afford(now, id.ID(), 1) {
				taken++
			}
		}
	}
	if most := totalMax + 10*totalRate; taken > most {
		t.Errorf("a crowd was given %d in ten seconds, all together may have %d", taken, most)
	}
	if !s.sync.afford(now, crowd[0].ID(), 100) {
		t.Error("a neighbour that this node has picked has no credit left")
	}
}

func TestThereIsABoundOnMembers(t *testing.T) {
	_, s, sender := populated(t, 3)
	for i := 0; len(s.inForce) < MaxMembers; i++ {
		s.inForce[wire.NodeID{1, byte(i), byte(i >> 8)}] = s.cert
	}
	newcomer := header{kind: KindRecord, id: wire.NodeID{2}}
	if err := s.room(newcomer, nil); !errors.Is(err, ErrFull) {
		t.Errorf("one more than %d members: %v, want ErrFull", MaxMembers, err)
	}
	if err := s.room(header{kind: KindRecord, id: sender.ID()}, nil); err != nil {
		t.Errorf("a member says something new: %v", err)
	}
}
