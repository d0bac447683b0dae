package lab

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"overlayd/internal/control"
	"overlayd/internal/control/controltest"
	"overlayd/internal/lab/judge"
	"overlayd/internal/lab/netns"
	"overlayd/internal/lab/scenario"
)

// daemon is the API of a node that knows what it is told.
type daemon struct {
	*controltest.Backend

	mu      sync.Mutex // guards what follows
	members []string
	asked   int
}

func (d *daemon) know(names ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.members = names
}

func (d *daemon) Status(context.Context) (control.Status, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked++
	s := control.Status{Digest: strings.Join(d.members, " ")}
	for _, name := range d.members {
		s.Members = append(s.Members, control.Member{Name: name, ID: name})
	}
	return s, nil
}

func (d *daemon) Paths(_ context.Context, q control.PathsQuery) (control.Paths, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !slices.Contains(d.members, q.Peer) {
		return control.Paths{}, fmt.Errorf("%w as %q", control.ErrUnknownPeer, q.Peer)
	}
	return control.Paths{Peers: control.List[control.PeerPaths]{{Peer: q.Peer, Selected: &control.Path{}, State: "up"}}}, nil
}

// trialOf is a trial of nodes a, b, … whose daemons are made up.
func trialOf(t testing.TB, count int) (*trial, []*daemon) {
	t.Helper()
	spawner := netns.NewSpawner()
	t.Cleanup(spawner.Close)
	tr := &trial{scenario: &scenario.Scenario{}, nodes: make(map[string]*node), epoch: time.Now(), journal: judge.NewJournal(nil)}
	var all []*daemon
	for i := range count {
		name := string(rune('a' + i))
		d := &daemon{Backend: &controltest.Backend{}}
		socket, stop := controltest.Serve(t, d)
		t.Cleanup(stop)
		process, err := spawner.Start(nil, exec.Command("/bin/sleep", "60"))
		if err != nil {
			t.Fatal(err)
		}
		tr.scenario.Sites = append(tr.scenario.Sites, scenario.Site{Name: name})
		n := &node{site: &site{name: name}, client: control.NewClient(socket), process: process, member: true}
		t.Cleanup(n.client.Close)
		tr.nodes[name] = n
		all = append(all, d)
	}
	return tr, all
}

var everybody = scenario.Group{scenario.All}

func TestNodesHaveConvergedWhenTheLastKnowsTheSame(t *testing.T) {
	tr, daemons := trialOf(t, 4)
	for _, d := range daemons {
		d.know("a", "b")
	}
	daemons[3].know("a")
	time.AfterFunc(300*ms, func() { daemons[3].know("a", "b") })
	q := inquiry{t: tr, from: time.Now(), until: time.Now().Add(5 * time.Second)}
	if m := q.converged(t.Context(), everybody); m.Missing || m.Value < 0.3 || m.Value > 2 {
		t.Errorf("%+v", m)
	}
	// While d is known to differ from a, nobody asks b and c.
	if daemons[1].asked > 2 || daemons[3].asked < 4 {
		t.Errorf("b was asked %d times, d %d times", daemons[1].asked, daemons[3].asked)
	}
}

func TestNodesThatDifferHaveNotConverged(t *testing.T) {
	tr, daemons := trialOf(t, 3)
	for i, d := range daemons {
		d.know(strings.Repeat("a", i+1))
	}
	q := inquiry{t: tr, from: time.Now(), until: time.Now().Add(200 * ms)}
	if m := q.converged(t.Context(), everybody); !m.Missing || !strings.Contains(m.Note, "differ") {
		t.Errorf("%+v", m)
	}
}

func TestARevokedNodeIsGoneWhenTheLastHasForgottenIt(t *testing.T) {
	tr, daemons := trialOf(t, 4)
	for _, d := range daemons {
		d.know("a", "b", "c", "d")
	}
	tr.nodes["d"].setMember(false) // and still knows itself
	daemons[0].know("a", "b", "c")
	time.AfterFunc(100*ms, func() { daemons[1].know("a", "b", "c") })
	time.AfterFunc(300*ms, func() { daemons[2].know("a", "b", "c") })
	q := inquiry{t: tr, from: time.Now(), until: time.Now().Add(5 * time.Second)}
	m := q.revoked(t.Context(), scenario.Revoked{Node: "d", Of: everybody})
	if m.Missing || m.Value < 0.3 || m.Value > 2 || !strings.HasPrefix(m.Note, "3 nodes") {
		t.Errorf("%+v", m)
	}
	if daemons[0].asked != 1 {
		t.Errorf("a was asked %d times, and had said at once that it was so", daemons[0].asked)
	}
	if m := q.members(t.Context(), scenario.Members{Of: everybody, Are: 3}); m.Missing {
		t.Errorf("%+v", m)
	}
}

func TestNodesThatDoNotRunAreNotAsked(t *testing.T) {
	tr, daemons := trialOf(t, 3)
	daemons[0].know("a", "b")
	daemons[1].know("a", "b")
	tr.nodes["c"].kill()
	q := inquiry{t: tr, from: time.Now(), until: time.Now().Add(5 * time.Second)}
	if m := q.converged(t.Context(), everybody); m.Missing || m.Note != "2 nodes" || daemons[2].asked > 0 {
		t.Errorf("%+v", m)
	}
}

func TestWindowBeginsWhenItsEventReallyDidAndIsOver(t *testing.T) {
	tr, _ := trialOf(t, 1)
	s, err := scenario.Parse([]byte(`{name: x, duration: 5s, sites: {a: {}, b: {}}, events: {k: {at: 100ms, kill: a}},
		expect: {x: {converged: all, from: k + 50ms, within: 1s}}}`), false)
	if err != nil {
		t.Fatal(err)
	}
	if tr.line, err = s.Timeline(1); err != nil {
		t.Fatal(err)
	}
	late := &occasion{over: make(chan struct{})}
	tr.occasions = map[string]*occasion{"k": late}
	began := time.Now().Add(150 * ms)
	time.AfterFunc(300*ms, func() { late.happened(began) })
	asked := time.Time{}
	tr.await(t.Context(), s.Expect[0], func(_ context.Context, q inquiry) judge.Measured {
		asked = time.Now()
		if want := began.Add(50 * ms); !q.from.Equal(want) {
			t.Errorf("it counts from %v, want %v", q.from, want)
		}
		return judge.Measured{}
	})
	if asked.Before(began.Add(150 * ms)) {
		t.Error("somebody was asked before the event was over")
	}
}

func TestInParallelBeginsNoMoreAfterAnError(t *testing.T) {
	var mu sync.Mutex
	began, now, most := 0, 0, 0
	err := inParallel(3, make([]int, 100), func(int) error {
		mu.Lock()
		began++
		now++
		most = max(most, now)
		mine := began
		mu.Unlock()
		time.Sleep(time.Millisecond)
		mu.Lock()
		now--
		mu.Unlock()
		if mine == 10 {
			return fmt.Errorf("the tenth")
		}
		return nil
	})
	if err == nil || began > 15 || most > 3 {
		t.Errorf("%v after %d, %d at once", err, began, most)
	}
}
