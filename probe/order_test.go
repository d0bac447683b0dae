package probe

import (
	"math"
	"testing"
	"time"

	"overlayd/internal/wire"
)

func TestRunsOfLossesAndLateProbes(t *testing.T) {
	for _, c := range []struct {
		name       string
		order      []uint32
		runs, late uint16
	}{
		{"in order", []uint32{1, 2, 3, 4}, 0, 0},
		{"one lost", []uint32{1, 3, 4}, 1, 0},
		{"a run of three", []uint32{1, 5, 6}, 1, 0},
		{"two runs", []uint32{1, 3, 6}, 2, 0},
		{"late, nothing lost", []uint32{1, 3, 2, 4}, 0, 1},
		{"late at the edge of a run", []uint32{1, 5, 4}, 1, 1},
		{"late in the middle of a run", []uint32{1, 5, 3}, 2, 1},
		{"twice", []uint32{1, 2, 2, 1}, 0, 0},
		{"a long gap", []uint32{1, 200, 201}, 1, 0},
		{"very late", []uint32{1, 200, 2}, 1, 1},
	} {
		var h heard
		for i, seq := range c.order {
			h.note(seq, 0, instant(i)*1e8)
		}
		if h.runs != c.runs || h.late != c.late {
			t.Errorf("%s: %d runs, %d late; want %d, %d", c.name, h.runs, h.late, c.runs, c.late)
		}
	}
}

func TestBurstsAndReorderingOfTheLastMinutes(t *testing.T) {
	var o order
	m := orderMark{at: 1, seq: math.MaxUint32 - 50, got: 7, runs: math.MaxUint16, late: 9} // counters wrap
	o.add(m)
	if o.burst() != 0 || o.reordered() != 0 {
		t.Error("something of nothing")
	}
	for range 10 { // of ten, a run of three is lost and one comes late
		m.at, m.seq, m.got, m.runs, m.late = m.at.add(time.Second), m.seq+10, m.got+7, m.runs+1, m.late+1
		o.add(m)
	}
	if o.burst() != 3 || math.Abs(o.reordered()-1./7) > 1e-9 {
		t.Errorf("runs of %v, %v reordered", o.burst(), o.reordered())
	}
	for range 20 { // then all is well for five minutes
		m.at, m.seq, m.got = m.at.add(15*time.Second), m.seq+10, m.got+10
		o.add(m)
	}
	if o.burst() != 0 || o.reordered() != 0 {
		t.Errorf("later: runs of %v, %v reordered", o.burst(), o.reordered())
	}
	o.add(orderMark{at: m.at, seq: 1, got: 1})
	if o.n != 1 {
		t.Error("counters that began anew are compared with those before")
	}
}

func TestBothEndsKnowRunsAndReordering(t *testing.T) {
	r := newRig(t)
	r.up(time.Second, Selected)
	heard, runs := uint32(0), uint16(0)
	r.run(11*time.Second, func(ping SendPing) {
		seq := ping.Ping.Seq
		if seq%10 == 0 || seq%10 == 1 {
			return
		}
		if seq%10 == 2 {
			runs++
		}
		heard++
		r.pong(ping, 1, 40*ms, wire.Report{Path: 1, LastSeq: seq, Probes: heard, Runs: runs, Late: runs})
	})
	m := r.measure(1)
	if m.BurstOut < 1.8 || m.BurstOut > 2.2 || m.ReorderedOut < .1 || m.ReorderedOut > .15 {
		t.Errorf("out: runs of %v, %v reordered", m.BurstOut, m.ReorderedOut)
	}
	if m.Losses < 9 || m.Losses > 12 || r.wall().Sub(m.LastLoss) > 2*time.Second {
		t.Errorf("%d losses in 10 runs, the last one at %v", m.Losses, m.LastLoss)
	}
	for seq := uint32(1); seq <= 100; seq++ {
		r.now += 100 * ms
		if seq%10 > 3 {
			r.ping(1, 70, seq)
		}
	}
	r.ping(1, 70, 93)
	if m := r.measure(1); m.BurstIn < 3.5 || m.BurstIn > 4.1 || m.ReorderedIn == 0 || m.ReorderedIn > .05 {
		t.Errorf("in: runs of %v, %v reordered", m.BurstIn, m.ReorderedIn)
	}
}
