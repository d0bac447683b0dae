package member

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestSetsConverge(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			nodes := 20 + int(seed)*10
			s := newSim(t, seed, 0)
			s.loss, s.duplicate, s.skew = 0.2, 0.1, 5*time.Minute
			s.grow(nodes)
			t.Logf("%d nodes equal after %s", nodes, s.converge(10*time.Second, nodes, everybody))
			s.publish(s.nodes[3], 7)
			s.run(600 * time.Millisecond)
			t.Logf("a change is everywhere after %s more", s.converge(10*time.Second, nodes, everybody))
			m, _ := s.nodes[nodes-1].set.Get(s.nodes[3].id.ID())
			if got := m.Record.Endpoints[0].Port(); got != 7 {
				t.Errorf("port %d", got)
			}
		})
	}
}

func TestPartitionsGoOnAndMerge(t *testing.T) {
	s := newSim(t, 7, 30)
	s.converge(10*time.Second, 30, everybody)
	left := func(n *simNode) bool { return n.n < 12 || n.n == 30 }
	right := func(n *simNode) bool { return !left(n) }
	s.cut(func(n *simNode) int {
		if left(n) {
			return 1
		}
		return 2
	})
	s.run(5 * time.Second)
	fresh := s.add("late", nil) // joins the left side
	for _, n := range []*simNode{s.nodes[2], s.nodes[20], fresh} {
		s.publish(n, 9)
	}
	s.run(time.Second)
	s.converge(10*time.Second, 31, left)
	s.converge(10*time.Second, 30, right)
	s.run(10 * time.Minute)
	s.cut(func(*simNode) int { return 0 })
	t.Logf("merged after %s", s.converge(12*time.Second, 31, everybody))
}

func TestSameSeedSameRun(t *testing.T) {
	runs := make([]string, 2)
	for i := range runs {
		s := newSim(t, 3, 20)
		s.loss = 0.1
		s.run(5 * time.Second)
		runs[i] = fmt.Sprintf("%d %d %x", s.frames, s.bytes, hash("", slices.Concat(s.nodes[5].set.Stored()...)))
	}
	if runs[0] != runs[1] {
		t.Errorf("%s, then %s", runs[0], runs[1])
	}
}

func TestIdleNetworkIsQuiet(t *testing.T) {
	s := newSim(t, 5, 50)
	s.converge(10*time.Second, 50, everybody)
	s.run(time.Minute)
	s.bytes, s.frames = 0, 0
	s.run(10 * time.Minute)
	rate := float64(s.bytes) * 8 / 600 / 50
	t.Logf("%.0f bit/s sent by a node", rate)
	if rate > 200 {
		t.Errorf("%.0f bit/s sent by an idle node", rate)
	}
}

func TestNodeThatWasAwayCatchesUp(t *testing.T) {
	s := newSim(t, 11, 40)
	s.converge(10*time.Second, 40, everybody)
	away := s.nodes[39]
	s.cut(func(n *simNode) int {
		if n == away {
			return 1
		}
		return 0
	})
	s.run(3 * time.Second)
	s.grow(80) // more than fit a few messages
	s.run(10 * time.Minute)
	s.cut(func(*simNode) int { return 0 })
	t.Logf("caught up after %s", s.converge(12*time.Second, 120, everybody))
}

func TestLostDiskDoesNotSilenceANode(t *testing.T) {
	s := newSim(t, 13, 20)
	s.run(time.Hour)
	s.publish(s.nodes[4], 5)
	s.converge(10*time.Second, 20, everybody)
	n := s.nodes[4]
	before, _ := s.nodes[7].set.Get(n.id.ID())
	n.skew = -30 * time.Minute
	n.set = NewSet(s.net, n.id, n.cert, rand.New(rand.NewPCG(1, 1)))
	clear(n.met)
	s.publish(n, 77)
	s.step(n, learnRecord(s.nodes[0].own().Raw()))
	s.run(3 * time.Second)
	s.converge(10*time.Second, 20, everybody)
	after, _ := s.nodes[7].set.Get(n.id.ID())
	if after.Record.Endpoints[0].Port() != 77 || after.Record.Sequence <= before.Record.Sequence {
		t.Errorf("others know sequence %d, %v", after.Record.Sequence, after.Record.Endpoints)
	}
}
