package node

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"overlayd/internal/control"
	"overlayd/internal/member"
	"overlayd/internal/wire"
	"overlayd/probe"
	"overlayd/tunnel/fwd"
)

// way is a path through some of the others, and its round-trip time.
type way struct {
	via []int
	rtt time.Duration
}

// ways makes the core believe that it has these paths to a member, and no others. The first one is path 1.
func (k *crowd) ways(i int, list ...way) {
	k.Helper()
	p := k.core.contact(k.now, k.others[i].id.ID())
	p.prober = probe.New(probe.Config{}, k.core.Stamp, k.core.random, k.core.secret)
	for _, q := range p.sorted() {
		p.remove(q)
	}
	rtt := map[wire.PathID]time.Duration{}
	for n, w := range list {
		q := &path{id: wire.PathID(n + 1), via: k.ids(w.via...)}
		if len(w.via) > 0 {
			q.circuit = wire.CircuitID(n + 1)
		}
		q.fwd = &fwd.Path{Peer: p.id, ID: q.id, Counters: new(fwd.Counters)}
		rtt[q.id] = w.rtt
		p.add(q)
		check(k, p.prober.Step(k.now, probe.AddPath{ID: q.id, Counts: q.fwd.Counters}))
	}
	check(k, p.prober.Step(k.now, probe.Tick{}))
	var pings []probe.SendPing
	for _, out := range p.prober.Drain(nil) {
		if ping, ok := out.(probe.SendPing); ok {
			pings = append(pings, ping)
		}
	}
	slices.SortFunc(pings, func(a, b probe.SendPing) int { return cmp.Compare(rtt[a.Path], rtt[b.Path]) })
	sent := k.now
	for _, ping := range pings {
		k.now = sent.Add(rtt[ping.Path])
		check(k, p.prober.Step(k.now, probe.PongReceived{On: ping.Path, At: k.now, Pong: wire.Pong{
			Path: ping.Path, Seq: ping.Ping.Seq, Nonce: ping.Ping.Nonce, Sent: ping.Ping.Sent, Received: 1, Replied: 1,
		}}))
	}
	p.outdated = true
	k.core.touch(p)
	k.core.settle(k.now)
	if len(list) > 0 && p.route().Selected == 0 {
		k.Fatalf("no path to node-%d was selected", i)
	}
}

// expect asks for an outage and compares the outcomes: of each peer what it is, and via whom it goes then.
func (k *crowd) expect(name string, q control.WhatIfQuery, want ...string) {
	k.Helper()
	o, err := k.core.outageOf(q)
	check(k, err)
	var got []string
	for _, v := range k.core.whatIf(k.now, o) {
		text := fmt.Sprintf("%s %s", v.Peer, v.Outcome)
		if v.Then != nil {
			text += " " + control.ViaString(v.Then.Via)
		}
		if v.Why == "" {
			k.Errorf("%s: %s for no reason", name, text)
		}
		got = append(got, text)
	}
	if !slices.Equal(got, want) {
		k.Errorf("%s: got\n  %s\nwant\n  %s", name, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

const ms = time.Millisecond

func TestWhatIfTellsWhoMovesAndWhoIsCutOff(t *testing.T) {
	k := newCrowd(t, 4, CoreConfig{}, nil)
	k.ways(0, way{nil, 30 * ms}, way{[]int{1}, 50 * ms}, way{[]int{2}, 40 * ms})
	k.ways(1, way{nil, 10 * ms})
	k.ways(2, way{[]int{1}, 60 * ms})
	k.ways(3)
	k.expect("the relay is down", control.WhatIfQuery{Down: "node-1"},
		"node-0 stays direct", "node-1 down", "node-2 search", "node-3 dead")
	k.expect("the peer is down", control.WhatIfQuery{Down: "node-0"},
		"node-0 down", "node-1 stays direct", "node-2 stays node-1", "node-3 dead")
	k.expect("a link of this node is cut", control.WhatIfQuery{Cut: [2]string{"node-0", "self"}},
		"node-0 moves node-2", "node-1 stays direct", "node-2 stays node-1", "node-3 dead")
	k.expect("a link of others is cut", control.WhatIfQuery{Cut: [2]string{"node-2", "node-1"}},
		"node-0 stays direct", "node-1 stays direct", "node-2 search", "node-3 dead")
	k.expect("the first hop is cut", control.WhatIfQuery{Cut: [2]string{"self", "node-1"}},
		"node-0 stays direct", "node-1 search", "node-2 search", "node-3 dead")

	k.ways(0)
	k.expect("nobody else is in reach", control.WhatIfQuery{Cut: [2]string{"self", "node-1"}},
		"node-0 dead", "node-1 cut-off", "node-2 cut-off", "node-3 dead")
}

func TestWhatIfAsksOnlyThoseWhoRelay(t *testing.T) {
	k := newCrowd(t, 3, CoreConfig{}, func(i int, _ *member.Certificate, s *member.Statement) {
		if i == 2 {
			s.Relay = member.RelayNever
		}
	})
	for i := range 3 {
		k.ways(i, way{nil, 10 * ms})
	}
	k.expect("one who relays is left", control.WhatIfQuery{Cut: [2]string{"self", "node-0"}},
		"node-0 search", "node-1 stays direct", "node-2 stays direct")
	k.expect("one who does not is left", control.WhatIfQuery{Cut: [2]string{"self", "node-1"}},
		"node-0 stays direct", "node-1 search", "node-2 stays direct")
	k.ways(0)
	k.expect("nobody who relays is left", control.WhatIfQuery{Cut: [2]string{"self", "node-1"}},
		"node-0 dead", "node-1 cut-off", "node-2 stays direct")
}

func TestWhatIfRespectsTheRules(t *testing.T) {
	k := newCrowd(t, 3, CoreConfig{}, nil)
	k.ways(0, way{nil, 30 * ms}, way{[]int{1}, 40 * ms}, way{[]int{2}, 90 * ms})
	k.ways(1, way{nil, 10 * ms})
	k.ways(2, way{nil, 10 * ms})
	cut := control.WhatIfQuery{Cut: [2]string{"self", "node-0"}}
	rest := []string{"node-1 stays direct", "node-2 stays direct"}
	k.expect("no rule", cut, append([]string{"node-0 moves node-1"}, rest...)...)
	k.rule(control.RouteRequest{Kind: control.RouteNever, Peer: "node-0", Relays: control.Via{"node-1"}})
	k.expect("the cheapest is barred", cut, append([]string{"node-0 moves node-2"}, rest...)...)
	k.rule(control.RouteRequest{Kind: control.RouteNever, Peer: "node-0", Relays: control.Via{"node-2"}})
	k.expect("all are barred, but not strictly", cut, append([]string{"node-0 moves node-1"}, rest...)...)
	k.rule(control.RouteRequest{Kind: control.RouteNever, Peer: "node-0", Relays: control.Via{"node-2"}, Strict: true})
	k.expect("one is barred strictly, one is not", cut, append([]string{"node-0 moves node-1"}, rest...)...)
	k.rule(control.RouteRequest{Kind: control.RouteNever, Peer: "node-0", Relays: control.Via{"node-1"}, Strict: true})
	k.expect("all are barred strictly", cut, append([]string{"node-0 cut-off"}, rest...)...)
}

func TestWhatIfChangesNothing(t *testing.T) {
	k := newCrowd(t, 2, CoreConfig{}, nil)
	k.ways(0, way{nil, 30 * ms}, way{[]int{1}, 40 * ms})
	k.core.Drain(nil)
	before := *k.peer(0).route()
	k.expect("a cut", control.WhatIfQuery{Cut: [2]string{"self", "node-0"}}, "node-0 moves node-1", "node-1 dead")
	after := *k.peer(0).route()
	if out := k.core.Drain(nil); len(out) != 0 || !before.Equal(&after) {
		t.Errorf("the core does %v", out)
	}
}

func TestOddQuestionsGetOneSentence(t *testing.T) {
	k := newCrowd(t, 2, CoreConfig{}, nil)
	check(t, k.core.Revoke(k.now, k.ids(1)[0], false))
	for _, tt := range []struct {
		q    control.WhatIfQuery
		as   error
		want string
	}{
		{control.WhatIfQuery{Down: "self"}, control.ErrConflict, "self is this node"},
		{control.WhatIfQuery{Down: "paris"}, control.ErrUnknownPeer, `"paris" is not the name`},
		{control.WhatIfQuery{Down: k.ids(1)[0].String()}, control.ErrRevoked, ""},
		{control.WhatIfQuery{Cut: [2]string{"node-0", "node-0"}}, control.ErrBadRequest, "a link has two ends"},
		{control.WhatIfQuery{Cut: [2]string{"self", "paris"}}, control.ErrUnknownPeer, `"paris" is not the name`},
		{control.WhatIfQuery{Cut: [2]string{"paris", "self"}}, control.ErrUnknownPeer, `"paris" is not the name`},
	} {
		_, err := k.core.outageOf(tt.q)
		if err = explain(err); !errors.Is(err, tt.as) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v", tt.q, err)
		}
	}
}
