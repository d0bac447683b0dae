package node

import (
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"overlayd/internal/control"
	"overlayd/internal/journal"
	"overlayd/internal/state"
	"overlayd/internal/wire"
	"overlayd/pathselect"
	"overlayd/probe"
)

// archivist is a node of which only the loop for requests runs, on the clock of the test.
func archivist(t *testing.T, k *crowd) *Node {
	t.Helper()
	dir, err := state.Open(filepath.Join(t.TempDir(), "state"))
	check(t, err)
	n := &Node{
		core: k.core, dir: dir, log: slog.New(slog.DiscardHandler), name: "self", version: "v1",
		requests: make(chan func(time.Time)), stopped: make(chan struct{}),
	}
	n.openJournal()
	go func() {
		for {
			select {
			case do := <-n.requests:
				do(time.Now())
			case <-n.stopped:
				return
			}
		}
	}()
	t.Cleanup(func() {
		close(n.stopped)
		n.journal.Close()
		check(t, dir.Close())
	})
	return n
}

func TestWhatTheCoreDoesIsHistory(t *testing.T) {
	k := newCrowd(t, 3, CoreConfig{}, nil)
	n := archivist(t, k)
	id := k.ids(0)[0]
	p := k.peer(0)
	for _, out := range []Output{
		PathChanged{Peer: "node-0", ID: id, Via: []string{}, Endpoint: "198.51.0.0:51871", From: "up", To: "dead", Why: "4 probes unanswered", Notable: true},
		PathChanged{Peer: "node-0", ID: id, From: "up", To: "suspect"},
		k.core.switched(p, wire.Bulk, p.sorted()[0], pathselect.Reason{
			Code: pathselect.Died, Detail: "4 probes unanswered",
			From: pathselect.Chosen{ID: 1, RTT: 40 * time.Millisecond, Loss: 0.25},
			To:   pathselect.Chosen{ID: 2, Via: k.ids(1), RTT: 21400 * time.Microsecond},
		}),
		Quarantined{Peer: id, Relay: k.ids(2)[0], Why: "drops data for 10 s"},
		RuleChanged{Change: RuleMade, Text: "never via node-1 (rule 1)"},
		PeerChanged{Peer: "node-0", ID: id, Reason: "no path works"},
		PeerChanged{
			Peer: "node-0", ID: id, Up: true, Via: []string{"node-1"}, Reason: "via node-1 works again",
			To: &journal.Path{Via: []string{"node-1"}, RTT: 21.4},
		},
		k.core.switched(p, wire.DefaultTraffic, p.sorted()[0], pathselect.Reason{
			Code: pathselect.Returned, To: pathselect.Chosen{ID: 2, Via: k.ids(1)}, // told by the event above
		}),
		Notice{Text: "not of the journal"},
	} {
		n.noteOutput(out)
	}
	h, err := n.History(t.Context(), control.HistoryQuery{})
	check(t, err)
	for i := range h.Events {
		if at := h.Events[i].Time; at.IsZero() || at.After(h.Time) {
			t.Errorf("event %d is of %v, asked at %v", i, at, h.Time)
		}
		h.Events[i].Time = time.Time{}
	}
	want := control.List[control.Event]{
		{Kind: control.EventStart, Reason: "v1"},
		{
			Kind: control.EventPath, Peer: "node-0", PeerID: id.String(), Code: "dead", Reason: "4 probes unanswered",
			From: &control.PastPath{Via: control.Via{}, Endpoint: "198.51.0.0:51871", State: control.StateUp},
			To:   &control.PastPath{Via: control.Via{}, Endpoint: "198.51.0.0:51871", State: control.StateDead},
		},
		{
			Kind: control.EventSwitch, Peer: "node-0", PeerID: id.String(), Class: "bulk", Code: "died",
			Reason: "direct path dead: 4 probes unanswered",
			From: &control.PastPath{
				Via: control.Via{}, Endpoint: "198.51.0.0:51871", RTT: control.MillisOf(40 * time.Millisecond), Loss: control.FractionOf(0.25),
			},
			To: &control.PastPath{Via: control.Via{"node-1"}, RTT: control.MillisOf(21400 * time.Microsecond), Loss: control.FractionOf(0)},
		},
		{
			Kind: control.EventQuarantine, Peer: "node-0", PeerID: id.String(), Code: "quarantined", Reason: "drops data for 10 s",
			To: &control.PastPath{Via: control.Via{"node-2"}},
		},
		{Kind: control.EventRule, Code: "made", Reason: "never via node-1 (rule 1)"},
		{Kind: control.EventPeer, Peer: "node-0", PeerID: id.String(), Code: "down", Reason: "no path works"},
		{
			Kind: control.EventPeer, Peer: "node-0", PeerID: id.String(), Code: "up", Reason: "via node-1 works again",
			To: &control.PastPath{Via: control.Via{"node-1"}, RTT: control.MillisOf(21400 * time.Microsecond)},
		},
	}
	if diff := cmp.Diff(want, h.Events); h.Node != "self" || diff != "" {
		t.Errorf("of %q (-want +got):\n%s", h.Node, diff)
	}
}

func TestHistoryOfAPeerIsFoundByNameAndIdentifierEvenOnceItIsGone(t *testing.T) {
	k := newCrowd(t, 3, CoreConfig{}, nil)
	n := archivist(t, k)
	gone := wire.NodeID{0xaa}
	n.note(journal.Event{Kind: journal.Changed, Peer: "salem", PeerID: gone.String()})
	n.note(journal.Event{Kind: journal.Changed, Peer: "an earlier name", PeerID: k.ids(1)[0].String()})
	for _, tt := range []struct {
		peer string
		want int
	}{{"", 3}, {"salem", 1}, {gone.String(), 1}, {"node-1", 1}, {k.ids(1)[0].String(), 1}, {"node-2", 0}} {
		h, err := n.History(t.Context(), control.HistoryQuery{Peer: tt.peer})
		if err != nil || len(h.Events) != tt.want {
			t.Errorf("of %q: %+v, %v", tt.peer, h.Events, err)
		}
	}
	if _, err := n.History(t.Context(), control.HistoryQuery{Peer: "paris"}); !errors.Is(err, control.ErrUnknownPeer) {
		t.Errorf("of nobody: %v", err)
	}
	if h, err := n.History(t.Context(), control.HistoryQuery{Most: 2, Since: time.Hour}); err != nil || len(h.Events) != 2 || !h.More {
		t.Errorf("the newest: %+v, %v", h, err)
	}
	n.journal.Close()
	if _, err := n.History(t.Context(), control.HistoryQuery{}); !errors.Is(err, control.ErrConflict) {
		t.Errorf("without a journal: %v", err)
	}
}

func TestTheJournalKeepsDeathsAndReturnsOfPathsInUse(t *testing.T) {
	k := newCrowd(t, 3, CoreConfig{}, nil)
	check(t, k.core.Step(k.now, Wake{Peer: k.ids(0)[0]}))
	busy, quiet := k.peer(0), k.peer(1)
	if len(busy.sorted()) == 0 || len(quiet.sorted()) == 0 {
		t.Fatal("there are no paths")
	}
	for _, tt := range []struct {
		p        *peer
		from, to probe.State
		want     bool
	}{
		{busy, probe.Up, probe.Dead, true},
		{busy, probe.Suspect, probe.Dead, true},
		{busy, probe.Dead, probe.Up, true},
		{busy, probe.Up, probe.Suspect, false},
		{busy, probe.Candidate, probe.Dead, false},
		{busy, probe.Candidate, probe.Up, false},
		{quiet, probe.Up, probe.Dead, false},
	} {
		q := tt.p.sorted()[0]
		got := k.core.changed(tt.p, q, probe.Changed{Path: q.id, From: tt.from, To: tt.to, Why: "why"})
		if got.Notable != tt.want || got.ID != tt.p.id || got.From != tt.from.String() || got.Why != "why" {
			t.Errorf("%v to %v: %+v", tt.from, tt.to, got)
		}
	}
	q := quiet.sorted()[0]
	quiet.choices.list[0].route.Selected = q.id
	if got := k.core.changed(quiet, q, probe.Changed{Path: q.id, From: probe.Up, To: probe.Dead}); !got.Notable {
		t.Error("the death of a selected path is not kept, since nothing flowed")
	}
}
