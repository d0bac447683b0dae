package node

import (
	"testing"
	"time"

	"overlayd/internal/wire"
)

// met lets every contact answer probes once, so that it is reached directly.
func (k *crowd) met() {
	byAddress := make(map[string]*other)
	for _, o := range k.others {
		byAddress[o.address.String()] = o
	}
	for range 50 {
		k.now = k.now.Add(20 * time.Millisecond)
		check(k, k.core.Step(k.now, Tick{}))
		for _, out := range k.core.Drain(nil) {
			s, ok := out.(Send)
			if !ok {
				continue
			}
			o := byAddress[s.Hop.Addr.String()]
			if o == nil {
				continue
			}
			f, err := o.box.Open(s.Frame)
			if err != nil || f.Kind != wire.KindPing {
				continue
			}
			ping, err := wire.ParsePing(f.Body)
			check(k, err)
			pong := wire.Pong{Path: ping.Path, Seq: ping.Seq, Nonce: ping.Nonce, Sent: ping.Sent, Received: 5, Replied: 5}
			raw, err := o.box.Seal(nil, k.core.self, wire.KindPong, pong.Append(nil))
			check(k, err)
			check(k, k.core.Step(k.now, Datagram{Class: wire.ClassControl, Data: raw, From: o.address, At: k.now}))
		}
	}
}

// costly is a kind of frame that asks for much.
type costly struct {
	what  string
	frame func(i int) (wire.Kind, []byte)
}

func (k *crowd) costly(from *other) []costly {
	var list []wire.Neighbor
	for i, o := range k.others {
		if len(list) < wire.MaxNeighbors && o != from {
			list = append(list, wire.Neighbor{ID: o.id.ID().Prefix(), RTT: time.Duration(i) * time.Millisecond})
		}
	}
	self, target, opener := k.core.self, k.others[len(k.others)-1].id.ID(), k.others[3].id.ID()
	return []costly{
		{"pings", func(i int) (wire.Kind, []byte) {
			p := wire.Ping{Path: 1, Seq: uint32(i + 2), Active: true}
			for path := range wire.MaxReports {
				p.Reports = append(p.Reports, wire.Report{Path: wire.PathID(path), LastSeq: 1, Probes: 1})
			}
			return wire.KindPing, p.Append(nil)
		}},
		{"lists of neighbors", func(int) (wire.Kind, []byte) {
			return wire.KindNeighbors, (&wire.Neighbors{Want: true, List: list}).Append(nil)
		}},
		{"route queries", func(i int) (wire.Kind, []byte) {
			q := wire.RouteQuery{Nonce: uint32(i), Origin: from.id.ID(), Target: target, Hops: 2}
			return wire.KindRouteQuery, q.Append(nil)
		}},
		{"circuits to relay", func(i int) (wire.Kind, []byte) {
			o := wire.CircuitOpen{
				ID: wire.CircuitID(1000 + i), Opener: from.id.ID(), Label: 5, Route: []wire.NodeID{self, k.others[1].id.ID()},
			}
			return wire.KindCircuitOpen, o.Append(nil)
		}},
		{"circuits of others that end here", func(i int) (wire.Kind, []byte) {
			o := wire.CircuitOpen{
				ID: wire.CircuitID(1_000_000 + i/2), Opener: opener, Label: 5, Hop: 1, Route: []wire.NodeID{from.id.ID(), self},
			}
			if i%2 == 1 {
				return wire.KindCircuitClose, (&wire.CircuitClose{ID: o.ID}).Append(nil)
			}
			return wire.KindCircuitOpen, o.Append(nil)
		}},
		{"endpoints", func(i int) (wire.Kind, []byte) {
			m := wire.Endpoints{Punch: true}
			for j := range wire.MaxEndpoints {
				m.List = append(m.List, victimAt(wire.MaxEndpoints*i+j))
			}
			return wire.KindEndpoints, m.Append(nil)
		}},
	}
}

// second is what the frames that one member may send in a second cost, at the least of three times.
func (k *crowd) second(from *other, frame func(i int) (wire.Kind, []byte)) time.Duration {
	best := time.Hour
	for round := range 3 {
		var frames [][]byte
		for i := range framesASecond {
			kind, body := frame(round*framesASecond + i)
			raw, err := from.box.Seal(nil, k.core.self, kind, body)
			check(k, err)
			frames = append(frames, raw)
		}
		begin := time.Now()
		for _, raw := range frames {
			k.now = k.now.Add(time.Second / framesASecond)
			check(k, k.core.Step(k.now, Datagram{Class: wire.ClassControl, Data: raw, From: from.address, At: k.now}))
			k.core.Drain(nil)
		}
		best = min(best, time.Since(begin))
	}
	return best
}

// A member that is in use sends as many frames of each kind as it may.
func TestWhatAFrameCostsHardlyGrowsWithTheNetwork(t *testing.T) {
	sizes := []int{50, 1000}
	var costs [][]time.Duration
	var kinds []costly
	for _, n := range sizes {
		k := newCrowd(t, n, CoreConfig{}, nil)
		from := k.neighbours()[0]
		k.visits(from)
		k.visits(k.others[1])
		k.met()
		kinds = k.costly(from)
		for i, kind := range kinds {
			if len(costs) == i {
				costs = append(costs, nil)
			}
			costs[i] = append(costs[i], k.second(from, kind.frame))
		}
	}
	for i, kind := range kinds {
		t.Logf("%s, %d a second: %v of processor time with %v members", kind.what, framesASecond, costs[i], sizes)
		if small, large := costs[i][0], costs[i][1]; large > 5*small+30*time.Millisecond {
			t.Errorf("%s: %v with %d members, %v with %d", kind.what, small, sizes[0], large, sizes[1])
		}
	}
}

func TestFewListsOfOnePeerAreTaken(t *testing.T) {
	k := newCrowd(t, 5, CoreConfig{}, nil)
	from := k.others[0]
	k.visits(from)
	before := k.core.refused.n
	list := []wire.Neighbor{{ID: k.others[1].id.ID().Prefix(), RTT: time.Millisecond}}
	for range 1000 {
		k.now = k.now.Add(time.Millisecond)
		k.says(from, wire.KindNeighbors, (&wire.Neighbors{List: list}).Append(nil))
	}
	if taken := 1000 - int(k.core.refused.n-before); taken > listsAtOnce+listsASecond || taken < listsAtOnce {
		t.Errorf("%d lists were taken in a second", taken)
	}
}

func TestFewQueriesAreTaken(t *testing.T) {
	k := newCrowd(t, 20, CoreConfig{}, nil)
	for _, o := range k.others {
		k.visits(o)
	}
	k.met()
	target := k.others[19].id.ID()
	passed := 0
	for ms := range 2000 {
		k.now = k.now.Add(time.Millisecond)
		for i, o := range k.others[:15] {
			q := wire.RouteQuery{Nonce: uint32(20*ms + i), Origin: o.id.ID(), Target: target, Hops: 2}
			raw, err := o.box.Seal(nil, k.core.self, wire.KindRouteQuery, q.Append(nil))
			check(t, err)
			check(t, k.core.Step(k.now, Datagram{Class: wire.ClassControl, Data: raw, From: o.address, At: k.now}))
			for _, out := range k.core.Drain(nil) {
				if s, ok := out.(Send); ok && (s.Kind == wire.KindRouteQuery || s.Kind == wire.KindRouteReply) {
					passed++
				}
			}
		}
	}
	if most := 3 * queriesOfAll * (1 + queryFanout); passed > most || passed == 0 {
		t.Errorf("%d queries and replies are sent for queries of 15 members in two seconds, at most %d are allowed", passed, most)
	}
	t.Logf("%d queries and replies for 30,000 queries", passed)
}

func TestFewFramesOfRevokedNodesAreHeard(t *testing.T) {
	k := newCrowd(t, 5, CoreConfig{}, nil)
	o := k.others[0]
	k.visits(o)
	check(t, k.core.Revoke(k.now, o.id.ID(), false))
	k.core.Drain(nil)
	heard := 0
	for range 10_000 {
		k.now = k.now.Add(time.Millisecond)
		before := k.core.outside.peek(k.now)
		k.says(o, wire.KindMembers, []byte{1})
		if k.core.outside.left < before {
			heard++
		}
	}
	if most := outsideFrames + 10*outsideFrames; heard > most || heard < most/2 {
		t.Errorf("%d frames of a revoked node are looked at in ten seconds, at most %d are allowed", heard, most)
	}
}
