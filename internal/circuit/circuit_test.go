package circuit

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"overlayd/internal/wire"
)

// start is an arbitrary time; only differences matter.
var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func id(n byte) wire.NodeID { return wire.NodeID{n} }

func at(d time.Duration) time.Time { return start.Add(d) }

// newMachine is the machine of node n, which relays and reaches nodes 1 to 9 directly.
func newMachine(t testing.TB, n byte, cfg Config) *Machine {
	t.Helper()
	m := New(id(n), cfg, rand.New(rand.NewPCG(uint64(n), 7)))
	step(t, m, 0, SetRelay{Allowed: true})
	for i := byte(1); i <= 9; i++ {
		if i != n {
			step(t, m, 0, Reachable{ID: id(i), Direct: true})
		}
	}
	return m
}

// step hands the machine an input that it must take, and returns what it wants done.
func step(t testing.TB, m *Machine, after time.Duration, in Input) []Output {
	t.Helper()
	if err := m.Step(at(after), in); err != nil {
		t.Fatalf("%#v at %v: %v", in, after, err)
	}
	return m.Drain(nil)
}

// refused hands the machine an input that it must refuse without doing anything.
func refused(t testing.TB, m *Machine, in Input, want error) {
	t.Helper()
	if err := m.Step(start, in); !errors.Is(err, want) {
		t.Fatalf("%#v: error %v, want %v", in, err, want)
	}
	if out := m.Drain(nil); len(out) != 0 {
		t.Fatalf("%#v was refused, and yet: %#v", in, out)
	}
}

// only is the one output, of type T.
func only[T Output](t testing.TB, out []Output) T {
	t.Helper()
	if len(out) != 1 {
		t.Fatalf("got %d outputs, want one: %#v", len(out), out)
	}
	one, ok := out[0].(T)
	if !ok {
		t.Fatalf("got %#v, want a %T", out[0], one)
	}
	return one
}

// message parses what a Send carries.
func message(t testing.TB, out Output) (to wire.NodeID, m any) {
	t.Helper()
	send, ok := out.(Send)
	if !ok {
		t.Fatalf("got %#v, want a Send", out)
	}
	var err error
	switch send.Kind {
	case wire.KindCircuitOpen:
		m, err = wire.ParseCircuitOpen(send.Body)
	case wire.KindCircuitOpened:
		m, err = wire.ParseCircuitOpened(send.Body)
	case wire.KindCircuitClose:
		m, err = wire.ParseCircuitClose(send.Body)
	case wire.KindCircuitError:
		m, err = wire.ParseCircuitError(send.Body)
	default:
		t.Fatalf("kind %d is not ours", send.Kind)
	}
	if err != nil {
		t.Fatalf("%#v: %v", send, err)
	}
	return send.To, m
}

func sent(t testing.TB, out Output, to byte, want any) {
	t.Helper()
	gotTo, got := message(t, out)
	if gotTo != id(to) {
		t.Fatalf("sent to %s, want node %d", gotTo.Short(), to)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("message (-want +got):\n%s", diff)
	}
}

// deliver hands every Send among out to its receiver, and so on, until nothing is sent any more; what else is wanted is
// returned by node.
func deliver(t testing.TB, after time.Duration, nodes map[byte]*Machine, from byte, out []Output) map[byte][]Output {
	t.Helper()
	rest := make(map[byte][]Output)
	type envelope struct {
		from byte
		out  Output
	}
	var queue []envelope
	push := func(from byte, out []Output) {
		for _, o := range out {
			queue = append(queue, envelope{from, o})
		}
	}
	push(from, out)
	for len(queue) > 0 {
		e := queue[0]
		queue = queue[1:]
		if _, ok := e.out.(Send); !ok {
			rest[e.from] = append(rest[e.from], e.out)
			continue
		}
		to, m := message(t, e.out)
		push(to[0], step(t, nodes[to[0]], after, Received{From: id(e.from), Message: m}))
	}
	return rest
}

func chain(t testing.TB, n byte) map[byte]*Machine {
	nodes := make(map[byte]*Machine)
	for i := byte(1); i <= n; i++ {
		nodes[i] = newMachine(t, i, DefaultConfig())
	}
	return nodes
}

func route(n ...byte) []wire.NodeID {
	var r []wire.NodeID
	for _, i := range n {
		r = append(r, id(i))
	}
	return r
}

func TestOpenedCircuitSwitchesLabelsBothWays(t *testing.T) {
	nodes := chain(t, 4)
	rest := deliver(t, 0, nodes, 1, step(t, nodes[1], 0, Open{Route: route(2, 3, 4)}))
	near, far := only[Opened](t, rest[1]), only[Opened](t, rest[4])
	first, second := only[Install](t, rest[2]), only[Install](t, rest[3])

	want := Opened{
		ID: near.ID, Peer: id(4), Via: route(2, 3), FirstHop: id(2), Initiator: true,
		SendLabel: first.LabelFromA, ReceiveLabel: first.LabelToA,
	}
	if diff := cmp.Diff(want, near); diff != "" {
		t.Errorf("opener (-want +got):\n%s", diff)
	}
	want = Opened{
		ID: near.ID, Peer: id(1), Via: route(3, 2), FirstHop: id(3),
		SendLabel: second.LabelFromB, ReceiveLabel: second.LabelToB,
	}
	if diff := cmp.Diff(want, far); diff != "" {
		t.Errorf("far end (-want +got):\n%s", diff)
	}
	if first.A != id(1) || first.B != id(3) || second.A != id(2) || second.B != id(4) {
		t.Errorf("switches between %v-%v and %v-%v", first.A, first.B, second.A, second.B)
	}
	if first.LabelToB != second.LabelFromA || first.LabelFromB != second.LabelToA {
		t.Error("the two relays do not agree on the labels between them")
	}
	if nodes[2].Relayed() != 1 || nodes[1].Relayed() != 0 || nodes[4].Relayed() != 0 {
		t.Error("only relays relay")
	}
}

func TestOpenIsRepeatedThenGivenUp(t *testing.T) {
	m := newMachine(t, 1, DefaultConfig())
	first := step(t, m, 0, Open{Route: route(2, 3)})
	_, open := message(t, first[0])
	for i, want := range []time.Duration{250, 500, 750} {
		deadline, ok := m.NextDeadline()
		if !ok || !deadline.Equal(at(want*time.Millisecond)) {
			t.Fatalf("repeat %d is due at %v, want %v ms", i, deadline.Sub(start), int(want))
		}
		sent(t, step(t, m, want*time.Millisecond, Tick{})[0], 2, open)
	}
	deadline, _ := m.NextDeadline()
	if !deadline.Equal(at(5 * time.Second)) {
		t.Fatalf("given up at %v, want 5 s", deadline.Sub(start))
	}
	out := step(t, m, 5*time.Second, Tick{})
	sent(t, out[0], 2, wire.CircuitClose{ID: open.(wire.CircuitOpen).ID})
	failed := out[1].(Failed)
	if failed.Peer != id(3) || !cmp.Equal(failed.Via, route(2)) || failed.Reason != "no answer" {
		t.Errorf("failed: %#v", failed)
	}
	if _, ok := m.NextDeadline(); ok {
		t.Error("something is still due")
	}
}

func TestRepeatedOpenIsAnsweredAsTheFirst(t *testing.T) {
	open := wire.CircuitOpen{ID: 5, Opener: id(1), Route: route(2, 3), Label: 77}
	relay := newMachine(t, 2, DefaultConfig())
	first := only[Send](t, step(t, relay, 0, Received{id(1), open}))
	again := only[Send](t, step(t, relay, 0, Received{id(1), open}))
	if diff := cmp.Diff(first, again); diff != "" {
		t.Errorf("a pending relay passes on something else (-first +again):\n%s", diff)
	}
	out := step(t, relay, 0, Received{id(3), wire.CircuitOpened{ID: 5, Label: 88}})
	again = only[Send](t, step(t, relay, 0, Received{id(1), open}))
	if diff := cmp.Diff(out[1], Output(again)); diff != "" {
		t.Errorf("an open relay answers something else (-first +again):\n%s", diff)
	}
	if out := step(t, relay, 0, Received{id(3), wire.CircuitOpened{ID: 5, Label: 88}}); len(out) != 0 {
		t.Errorf("a repeated answer causes %#v", out)
	}
	open.Hop = 1
	far := newMachine(t, 3, DefaultConfig())
	out = step(t, far, 0, Received{id(2), open})
	again = only[Send](t, step(t, far, 0, Received{id(2), open}))
	if diff := cmp.Diff(out[0], Output(again)); diff != "" {
		t.Errorf("the far end answers something else (-first +again):\n%s", diff)
	}
}

func TestRoutesThatAreNotTaken(t *testing.T) {
	m := newMachine(t, 2, DefaultConfig())
	for name, r := range map[string][]wire.NodeID{
		"no relay":     route(3),
		"four relays":  route(3, 4, 5, 6, 7),
		"a loop":       route(3, 4, 3),
		"opener in it": route(3, 2, 4),
		"no node":      route(3, 0),
	} {
		t.Run(name, func(t *testing.T) { refused(t, m, Open{Route: r}, ErrRoute) })
	}
	for name, o := range map[string]wire.CircuitOpen{
		"opener in it": {ID: 5, Opener: id(3), Route: route(2, 3), Label: 1},
		"a loop":       {ID: 5, Opener: id(1), Route: route(2, 3, 2, 4), Label: 1},
		"not for us":   {ID: 5, Opener: id(1), Route: route(3, 2), Label: 1},
		"no label":     {ID: 5, Opener: id(1), Route: route(2, 3)},
		"bad hop":      {ID: 5, Opener: id(1), Route: route(2, 3), Label: 1, Hop: 9},
	} {
		t.Run("received "+name, func(t *testing.T) { refused(t, m, Received{id(1), o}, ErrRoute) })
	}
	good := wire.CircuitOpen{ID: 5, Opener: id(1), Route: route(2, 3), Label: 1}
	refused(t, m, Received{id(4), good}, ErrStranger)
	step(t, m, 0, Reachable{ID: id(1), Direct: false})
	refused(t, m, Received{id(1), good}, ErrStranger)
	refused(t, m, Received{id(1), wire.Ping{}}, ErrMessage)
}

func TestRelayRefuses(t *testing.T) {
	open := wire.CircuitOpen{ID: 5, Opener: id(1), Route: route(2, 3), Label: 1}
	for name, tc := range map[string]struct {
		prepare []Input
		cfg     func(*Config)
		want    wire.Reason
	}{
		"without consent":          {[]Input{SetRelay{}}, nil, wire.ReasonRefused},
		"without the next hop":     {[]Input{Reachable{ID: id(3)}}, nil, wire.ReasonUnreachable},
		"when loaded":              {[]Input{Admit{}}, nil, wire.ReasonFull},
		"when full":                {nil, func(c *Config) { c.Total = 0 }, wire.ReasonFull},
		"when neighbour has many":  {nil, func(c *Config) { c.PerNeighbor = 0 }, wire.ReasonFull},
		"when opener has too many": {nil, func(c *Config) { c.PerOpener = 0 }, wire.ReasonFull},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := DefaultConfig()
			if tc.cfg != nil {
				tc.cfg(&cfg)
			}
			m := newMachine(t, 2, cfg)
			for _, in := range tc.prepare {
				step(t, m, 0, in)
			}
			out := step(t, m, 0, Received{id(1), open})
			sent(t, only[Send](t, out), 1, wire.CircuitError{ID: 5, Reason: tc.want, By: id(2)})
			if len(m.circuits) != 0 {
				t.Error("a refused circuit leaves state")
			}
		})
	}
}

func TestFarEndNeedsNoConsentToBeReached(t *testing.T) {
	m := newMachine(t, 3, DefaultConfig())
	step(t, m, 0, SetRelay{Allowed: false})
	out := step(t, m, 0, Received{id(2), wire.CircuitOpen{ID: 5, Opener: id(1), Route: route(2, 3), Hop: 1, Label: 9}})
	if opened, ok := out[1].(Opened); !ok || opened.SendLabel != 9 || opened.Peer != id(1) {
		t.Errorf("got %#v", out)
	}
}

func TestLiarUsesUpOnlyItsOwnShareOfAnOpener(t *testing.T) {
	cfg := DefaultConfig()
	cfg.PerOpener = 2
	m := newMachine(t, 3, cfg)
	for i := range 4 { // node 2 claims that node 1 asks
		o := wire.CircuitOpen{ID: wire.CircuitID(i + 1), Opener: id(1), Route: route(2, 3), Hop: 1, Label: wire.Label(i + 1)}
		step(t, m, 0, Received{id(2), o})
	}
	if len(m.circuits) != 2 {
		t.Fatalf("%d circuits, want 2", len(m.circuits))
	}
	out := step(t, m, 0, Received{id(1), wire.CircuitOpen{ID: 9, Opener: id(1), Route: route(3, 4), Label: 3}})
	if to, _ := message(t, out[0]); to != id(4) {
		t.Errorf("the true opener is kept out: %#v", out)
	}
}

func TestGreedyNeighboursLeaveRoomForOthers(t *testing.T) {
	cfg := DefaultConfig()
	m := newMachine(t, 1, cfg)
	step(t, m, 0, SetRelay{Allowed: true})
	last := 0
	for n := byte(2); n < 22; n++ { // the 20th is honest
		for i := range cfg.PerNeighbor {
			for opener := range byte(8) { // made up
				o := wire.CircuitOpen{
					ID: wire.CircuitID(1 + int(n)<<20 + i<<8 + int(opener)), Opener: id(100 + opener), Hop: 1, Label: 5,
					Route: []wire.NodeID{id(n), id(1)},
				}
				step(t, m, 0, Reachable{ID: id(n), Direct: true})
				step(t, m, 0, Received{From: id(n), Message: o})
			}
			if n == 21 {
				break
			}
		}
		if last = m.counts.neighbor[id(n)]; last > cfg.PerNeighbor {
			t.Fatalf("%d circuits by one neighbor", last)
		}
	}
	if last != 8 {
		t.Errorf("after 19 greedy neighbors an honest one gets %d circuits of the 8 that it opens", last)
	}
}

func TestRefusalReachesTheOpenerWithItsAuthor(t *testing.T) {
	nodes := chain(t, 4)
	step(t, nodes[3], 0, SetRelay{Allowed: false})
	rest := deliver(t, 0, nodes, 1, step(t, nodes[1], 0, Open{Route: route(2, 3, 4)}))
	failed := only[Failed](t, rest[1])
	if failed.By != id(3) || failed.Reason != "relaying refused" || failed.Peer != id(4) {
		t.Errorf("failed: %#v", failed)
	}
	if len(nodes[2].circuits) != 0 || len(nodes[1].circuits) != 0 {
		t.Error("the failed open leaves state")
	}
}

func TestLostRefusalIsRepeated(t *testing.T) {
	relay := newMachine(t, 2, DefaultConfig())
	open := wire.CircuitOpen{ID: 5, Opener: id(1), Route: route(2, 3, 4), Label: 1}
	step(t, relay, 0, Received{id(1), open})
	refusal := wire.CircuitError{ID: 5, Reason: wire.ReasonFull, By: id(3)}
	sent(t, only[Send](t, step(t, relay, 0, Received{id(3), refusal})), 1, refusal)
	sent(t, only[Send](t, step(t, relay, 250*time.Millisecond, Received{id(1), open})), 1, refusal)
}

func TestOpenersOwnRefusals(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Own = 1
	m := newMachine(t, 1, cfg)
	step(t, m, 0, Reachable{ID: id(9), Direct: false})
	if f := only[Failed](t, step(t, m, 0, Open{Route: route(9, 3)})); f.Reason != "next hop unreachable" || f.By != id(1) {
		t.Errorf("unreachable first hop: %#v", f)
	}
	step(t, m, 0, Open{Route: route(2, 3)})
	if f := only[Failed](t, step(t, m, 0, Open{Route: route(2, 3)})); f.Reason != "already open" {
		t.Errorf("the same route again: %#v", f)
	}
	if f := only[Failed](t, step(t, m, 0, Open{Route: route(2, 4)})); f.Reason != "too many circuits" {
		t.Errorf("beyond the bound: %#v", f)
	}
}

// opened is a network of four nodes with one circuit from 1 through 2 and 3 to 4.
func opened(t testing.TB) (map[byte]*Machine, wire.CircuitID) {
	t.Helper()
	nodes := chain(t, 4)
	rest := deliver(t, 0, nodes, 1, step(t, nodes[1], 0, Open{Route: route(2, 3, 4)}))
	return nodes, only[Opened](t, rest[1]).ID
}

func gone(t testing.TB, nodes map[byte]*Machine) {
	t.Helper()
	for n, m := range nodes {
		held := len(m.circuits) + len(m.sent) + len(m.agenda)
		counted := m.counts.own + m.counts.others + m.counts.relayed + len(m.counts.neighbor) + len(m.counts.opener)
		if held+counted != 0 {
			t.Errorf("node %d still holds something", n)
		}
	}
}

func TestCloseTakesEverythingDown(t *testing.T) {
	for _, end := range []byte{1, 4} {
		nodes, circuit := opened(t)
		rest := deliver(t, time.Second, nodes, end, step(t, nodes[end], time.Second, Close{ID: circuit}))
		if c := only[Closed](t, rest[end]); c.Why != "closed by this node" {
			t.Errorf("closing end: %#v", c)
		}
		if c := only[Closed](t, rest[5-end]); c.Why != "closed by the other side" || c.Peer != id(end) {
			t.Errorf("other end: %#v", c)
		}
		only[Uninstall](t, rest[2])
		only[Uninstall](t, rest[3])
		gone(t, nodes)
	}
}

func TestIdleCircuitExpiresAndUseKeepsIt(t *testing.T) {
	nodes, circuit := opened(t)
	for _, m := range nodes {
		step(t, m, 60*time.Second, Used{ID: circuit, At: at(50 * time.Second)})
		if out := step(t, m, 75*time.Second, Tick{}); len(out) != 0 {
			t.Fatalf("a used circuit ends: %#v", out)
		}
		if deadline, _ := m.NextDeadline(); !deadline.Equal(at(125 * time.Second)) {
			t.Fatalf("next deadline %v, want 125 s", deadline.Sub(start))
		}
	}
	rest := deliver(t, 125*time.Second, nodes, 4, step(t, nodes[4], 125*time.Second, Tick{}))
	if c := only[Closed](t, rest[4]); c.Why != "idle" {
		t.Errorf("got %#v", c)
	}
	gone(t, nodes)
}

func TestRestartOfARelayFailsItsCircuitsAtOnce(t *testing.T) {
	nodes, _ := opened(t)
	rest := deliver(t, time.Second, nodes, 3, step(t, nodes[3], time.Second, NeighborRestarted{ID: id(2)}))
	if f := only[Failed](t, rest[4]); f.By != id(3) {
		t.Errorf("far end: %#v", f)
	}
	rest = deliver(t, time.Second, nodes, 1, step(t, nodes[1], time.Second, NeighborRestarted{ID: id(2)}))
	if f := only[Failed](t, rest[1]); f.By != id(1) || f.Reason != "neighbour restarted" {
		t.Errorf("opener: %#v", f)
	}
}

func TestUnknownLabelFailsTheCircuitOnBothSides(t *testing.T) {
	nodes, _ := opened(t)
	nodes[2] = newMachine(t, 2, DefaultConfig()) // restarted; nobody has noticed
	for label := range nodes[1].sent {
		out := step(t, nodes[2], time.Second, UnknownLabel{From: id(1), Label: label.label})
		rest := deliver(t, time.Second, nodes, 2, out)
		if f := only[Failed](t, rest[1]); f.By != id(2) || f.Reason != "unknown label" {
			t.Errorf("opener: %#v", f)
		}
	}
	for label := range nodes[3].sent {
		if label.to == id(2) {
			out := step(t, nodes[2], time.Second, UnknownLabel{From: id(3), Label: label.label})
			rest := deliver(t, time.Second, nodes, 2, out)
			only[Uninstall](t, rest[3])
			only[Failed](t, rest[4])
		}
	}
	gone(t, nodes)
}

func TestAnswersToUnknownLabelsAreLimited(t *testing.T) {
	m := newMachine(t, 2, DefaultConfig())
	answers := 0
	for i := range 1000 {
		answers += len(step(t, m, 0, UnknownLabel{From: id(1), Label: wire.Label(i + 1)}))
	}
	if answers != errorBurst {
		t.Errorf("%d answers at once, want %d", answers, errorBurst)
	}
	if out := step(t, m, 0, UnknownLabel{From: id(3), Label: 1}); len(out) != 1 {
		t.Error("one neighbour uses up what another one has")
	}
	if out := step(t, m, 50*time.Millisecond, UnknownLabel{From: id(3), Label: 1}); len(out) != 0 {
		t.Error("the same label is answered again at once")
	}
	if out := step(t, m, time.Second, UnknownLabel{From: id(3), Label: 1}); len(out) != 1 {
		t.Error("the same label is not answered again later")
	}
}

func TestKnownLabelIsNotReported(t *testing.T) {
	relay := newMachine(t, 2, DefaultConfig())
	out := step(t, relay, 0, Received{id(1), wire.CircuitOpen{ID: 5, Opener: id(1), Route: route(2, 3), Label: 1}})
	_, m := message(t, out[0])
	label := m.(wire.CircuitOpen).Label
	if out := step(t, relay, 0, UnknownLabel{From: id(3), Label: label}); len(out) != 0 {
		t.Errorf("the far end was faster than its answer, and hears %#v", out)
	}
	if out := step(t, relay, 0, UnknownLabel{From: id(1), Label: label}); len(out) != 1 {
		t.Error("a label of somebody else's counts as known")
	}
}

func TestOnlyNeighboursOnTheCircuitAreBelieved(t *testing.T) {
	nodes, circuit := opened(t)
	for n, m := range nodes {
		for _, stranger := range []byte{1, 2, 3, 4, 9} {
			if next := int(stranger) - int(n); next >= -1 && next <= 1 {
				continue
			}
			refused(t, m, Received{id(stranger), wire.CircuitClose{ID: circuit}}, ErrStranger)
			refused(t, m, Received{id(stranger), wire.CircuitError{ID: circuit, Reason: wire.ReasonFull}}, ErrStranger)
			refused(t, m, Received{id(stranger), wire.CircuitOpened{ID: circuit, Label: 3}}, ErrStranger)
		}
		for key := range m.sent { // a label means something only from the one we send it to
			out := step(t, m, 0, Received{id(9), wire.CircuitError{Label: key.label, Reason: wire.ReasonUnknownLabel}})
			if len(out) != 0 {
				t.Errorf("node %d believes a stranger: %#v", n, out)
			}
		}
	}
}

func TestLateOpenDoesNotReviveAClosedCircuit(t *testing.T) {
	relay := newMachine(t, 2, DefaultConfig())
	open := wire.CircuitOpen{ID: 5, Opener: id(1), Route: route(2, 3), Label: 1}
	step(t, relay, 0, Received{id(1), open})
	step(t, relay, 0, Received{id(1), wire.CircuitClose{ID: 5}})
	if out := step(t, relay, time.Second, Received{id(1), open}); len(out) != 0 {
		t.Errorf("a late open causes %#v", out)
	}
}

func TestAnswerToAnAbandonedOpenClosesIt(t *testing.T) {
	m := newMachine(t, 1, DefaultConfig())
	out := step(t, m, 0, Received{id(2), wire.CircuitOpened{ID: 5, Label: 1}})
	sent(t, only[Send](t, out), 2, wire.CircuitClose{ID: 5})
}

func TestOpenWithAnotherLabelMeansThatTheNeighbourLostTheCircuit(t *testing.T) {
	far := newMachine(t, 3, DefaultConfig())
	open := wire.CircuitOpen{ID: 5, Opener: id(1), Route: route(2, 3), Hop: 1, Label: 1}
	step(t, far, 0, Received{id(2), open})
	open.Label = 2
	out := step(t, far, 0, Received{id(2), open})
	sent(t, out[0], 2, wire.CircuitError{ID: 5, Reason: wire.ReasonUnknownLabel, By: id(3)})
	if _, ok := out[1].(Failed); !ok {
		t.Errorf("got %#v", out[1])
	}
}

func TestWithdrawnConsentEndsRelayingAndNothingElse(t *testing.T) {
	nodes, _ := opened(t)
	deliver(t, 0, nodes, 2, step(t, nodes[2], 0, Open{Route: route(3, 4)}))
	rest := deliver(t, time.Second, nodes, 2, step(t, nodes[2], time.Second, SetRelay{}))
	for _, end := range []byte{1, 4} {
		if f := only[Failed](t, rest[end]); f.By != id(2) || f.Reason != "relaying refused" {
			t.Errorf("end %d: %#v", end, f)
		}
	}
	if len(nodes[2].circuits) != 1 {
		t.Error("its own circuit is gone too")
	}
}

func TestGoneNeighbourIsNotReachable(t *testing.T) {
	m := newMachine(t, 1, DefaultConfig())
	step(t, m, 0, NeighborGone{ID: id(2)})
	only[Failed](t, step(t, m, 0, Open{Route: route(2, 3)}))
}
