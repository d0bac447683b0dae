package node

import (
	"testing"
	"time"

	"overlayd/internal/wire"
)

func TestLinesAboutPeersAreBounded(t *testing.T) {
	r, now := newReports(), epoch0
	written := func(d time.Duration, of func(i int) Output) (n int) {
		for i := range int(d / (10 * time.Millisecond)) {
			now = now.Add(10 * time.Millisecond)
			if !r.leavesOut(now, of(i)) {
				n++
			}
		}
		return n
	}
	one := written(10*time.Minute, func(i int) Output {
		if i%2 == 0 {
			return Switched{ID: wire.NodeID{1}}
		}
		return PathChanged{ID: wire.NodeID{1}, Notable: true}
	})
	if most := reportsOfPeerAtOnce + 600*reportsOfPeer; float64(one) > most || one < reportsOfPeerAtOnce {
		t.Errorf("%d lines about one peer in ten minutes, at most %v are allowed", one, most)
	}
	if r.leavesOut(now, Switched{ID: wire.NodeID{2}}) {
		t.Error("nothing is written about another peer")
	}
	all := written(10*time.Minute, func(i int) Output { return Switched{ID: wire.NodeID{byte(i), byte(i >> 8)}} })
	if most := reportsOfAllAtOnce + 600*reportsOfAll; all > most || all < most/2 {
		t.Errorf("%d lines about all peers in ten minutes, at most %d are allowed", all, most)
	}
	if r.leavesOut(now, RuleChanged{}) || r.leavesOut(now, PathChanged{}) {
		t.Error("what is no matter of peers is left out")
	}
	now = now.Add(time.Hour)
	r.leavesOut(now, Switched{ID: wire.NodeID{0xff, 0xff, 0xff}})
	if len(r.peers) > 1024 {
		t.Errorf("%d peers are remembered", len(r.peers))
	}
}
