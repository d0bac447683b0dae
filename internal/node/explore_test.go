package node

import (
	"slices"
	"testing"
	"time"

	"overlayd/internal/member"
	"overlayd/internal/wire"
)

// awake lets a member answer what it is asked, for a while: it has a round-trip time of 10 ms.
func (k *crowd) awake(o *other, period time.Duration) (heard []wire.Kind) {
	const rtt = 10 * time.Millisecond
	until := k.now.Add(period)
	for {
		due, ok := k.core.NextDeadline()
		if !ok || due.After(until) {
			break
		}
		if due.After(k.now) {
			k.now = due
		}
		check(k, k.core.Step(k.now, Tick{}))
		heard = append(heard, k.answer(o, rtt)...)
	}
	k.now = until
	return heard
}

// answer lets a member answer what was just sent to it.
func (k *crowd) answer(o *other, rtt time.Duration) (heard []wire.Kind) {
	for _, out := range k.core.Drain(nil) {
		s, ok := out.(Send)
		if !ok || s.Hop.Addr != o.address {
			continue
		}
		f, err := o.box.Open(s.Frame)
		if err != nil {
			continue
		}
		heard = append(heard, f.Kind)
		if f.Kind != wire.KindPing {
			continue
		}
		ping, err := wire.ParsePing(f.Body)
		check(k, err)
		k.now = k.now.Add(rtt)
		pong := wire.Pong{Path: ping.Path, Seq: ping.Seq, Nonce: ping.Nonce, Sent: ping.Sent, Received: 1, Replied: 1}
		heard = append(heard, k.tells(o, wire.KindPong, pong.Append(nil))...)
	}
	return heard
}

// tells gives the core a frame of a member and returns what this is sent at once.
func (k *crowd) tells(o *other, kind wire.Kind, body []byte) (heard []wire.Kind) {
	frame, err := o.box.Seal(nil, k.core.self, kind, body)
	check(k, err)
	check(k, k.core.Step(k.now, Datagram{Class: wire.ClassControl, Data: frame, From: o.address, At: k.now}))
	return k.answer(o, 0)
}

func count(kinds []wire.Kind, kind wire.Kind) (n int) {
	for _, k := range kinds {
		if k == kind {
			n++
		}
	}
	return n
}

// list names members, the first ones nearest.
func (k *crowd) list(count int) (m wire.Neighbors) {
	for i, o := range k.others[:count] {
		m.List = append(m.List, wire.Neighbor{ID: o.id.ID().Prefix(), RTT: time.Duration(i+1) * time.Millisecond})
	}
	return m
}

func TestListsNameMembersOnly(t *testing.T) {
	k := newCrowd(t, 20, CoreConfig{}, nil)
	o := k.others[0]
	k.visits(o)
	m := k.list(3)
	m.List = append(m.List, wire.Neighbor{ID: wire.NodePrefix{9}}, wire.Neighbor{ID: k.core.self.Prefix()})
	k.tells(o, wire.KindNeighbors, m.Append(nil))
	var got []wire.NodeID
	for _, n := range k.core.peers[o.id.ID()].relays.theirs {
		got = append(got, n.id)
	}
	want := []wire.NodeID{k.others[0].id.ID(), k.others[1].id.ID(), k.others[2].id.ID()}
	if !slices.Equal(got, want) {
		t.Errorf("taken: %v, want %v", got, want)
	}
	k.tells(o, wire.KindNeighbors, (&wire.Neighbors{Want: true}).Append(nil))
	if left := len(k.core.peers[o.id.ID()].relays.theirs); left != len(want) {
		t.Errorf("a question leaves %d of what was told before", left)
	}
}

// A list is longer than the question for it, so one member gets it once a second at most.
func TestListsAreToldOnceASecond(t *testing.T) {
	k := newCrowd(t, 5, CoreConfig{}, nil)
	o := k.others[0]
	k.visits(o)
	k.awake(o, 5*time.Second)
	want := (&wire.Neighbors{Want: true}).Append(nil)
	var heard []wire.Kind
	for range 20 {
		heard = append(heard, k.tells(o, wire.KindNeighbors, want)...)
		k.now = k.now.Add(listEvery / 10)
	}
	if n := count(heard, wire.KindNeighbors); n != 2 {
		t.Errorf("%d answers in two seconds", n)
	}
}

// Who is told of many members that it does not know visits few of them at a time, and keeps room for guests.
func TestStrangersAreVisitedFewAtATime(t *testing.T) {
	k := newCrowd(t, 400, CoreConfig{}, nil)
	o := k.others[399]
	k.visits(o)
	k.awake(o, 2*time.Second)
	m := k.list(wire.MaxNeighbors)
	before, begin := k.core.strangers(), k.now
	strange := func() (n int) {
		for _, other := range k.others[:wire.MaxNeighbors] {
			if p := k.core.peers[other.id.ID()]; p != nil && !p.picked {
				n++
			}
		}
		return n
	}
	most := 0
	for k.now.Sub(begin) < 3*time.Minute {
		check(t, k.core.Step(k.now, Wake{Peer: o.id.ID()}))
		k.tells(o, wire.KindNeighbors, m.Append(nil))
		k.awake(o, 5*time.Second)
		visited := strange()
		most = max(most, visited)
		if bound := visitsAtOnce + visitsASecond*int(k.now.Sub(begin).Seconds()) + 1; visited > bound {
			t.Fatalf("%d strangers are visited in %v, the bound is %d", visited, k.now.Sub(begin), bound)
		}
	}
	if room := k.core.maxGuests()/2 + 1; k.core.strangers() > before+room {
		t.Errorf("%d strangers, there is room for %d", k.core.strangers(), room)
	}
	if most < visitsARound {
		t.Errorf("%d strangers are visited", most)
	}
	if seen := len(k.core.explorer.sighted); seen > wire.MaxNeighbors+k.core.picked+1 {
		t.Errorf("%d members are remembered of a list of %d", seen, wire.MaxNeighbors)
	}
}

// Who does not relay for others is not nominated.
func TestWhoDoesNotRelayIsNotNominated(t *testing.T) {
	k := newCrowd(t, 3, CoreConfig{}, func(i int, _ *member.Certificate, s *member.Statement) {
		if i == 1 {
			s.Relay = member.RelayNever
		}
	})
	for _, o := range k.others {
		k.visits(o)
		k.awake(o, time.Second)
	}
	m := k.list(3)
	k.tells(k.others[0], wire.KindNeighbors, m.Append(nil))
	got := k.core.compose(k.now, k.core.peers[k.others[0].id.ID()])
	if len(got) != 1 || !slices.Equal(got[0].via, []wire.NodeID{k.others[2].id.ID()}) {
		t.Errorf("nominated: %v", got)
	}
}

// What was measured of a way counts more than what is told of it, for a while.
func TestMeasuredCountsMoreThanTold(t *testing.T) {
	k := newCrowd(t, 5, CoreConfig{}, nil)
	p := k.core.peers[k.others[0].id.ID()]
	told := &nominee{via: []wire.NodeID{k.others[1].id.ID()}, price: 10 * time.Millisecond}
	if got := k.core.appraise(k.now, p, told); got != told.price {
		t.Errorf("before it was tried: %v", got)
	}
	a := p.relays.attempt(told.via)
	a.measured, a.measuredAt = 200*time.Millisecond, k.now
	if got := k.core.appraise(k.now, p, told); got != a.measured {
		t.Errorf("after it was measured: %v", got)
	}
	if got := k.core.appraise(k.now.Add(measuredFor), p, told); got != told.price {
		t.Errorf("long after: %v", got)
	}
}

func TestSightingsAreBounded(t *testing.T) {
	e, now := newExplorer(), epoch0
	for i := range 3 * maxSighted {
		e.see(now, wire.NodeID{byte(i), byte(i >> 8)}, time.Millisecond)
	}
	if len(e.sighted) != maxSighted {
		t.Errorf("%d sightings", len(e.sighted))
	}
	now = now.Add(sightedFor)
	if _, ok := e.recall(now, wire.NodeID{0, 0}); ok {
		t.Error("what was seen long ago is believed")
	}
	e.see(now, wire.NodeID{255, 255}, time.Millisecond)
	if _, ok := e.recall(now, wire.NodeID{255, 255}); !ok || len(e.sighted) != 1 {
		t.Errorf("old sightings leave no room: %d", len(e.sighted))
	}
}
