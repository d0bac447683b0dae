package probe

import (
	"testing"
	"time"

	"overlayd/internal/wire"
)

func TestReportsTellWhatWasHeard(t *testing.T) {
	r := newRig(t)
	r.up(time.Second, Standby)
	for seq := uint32(1); seq <= 10; seq++ {
		if seq == 4 || seq == 7 {
			continue
		}
		r.now += 100 * ms
		r.ping(1, 70, seq)
	}
	r.ping(1, 70, 7) // late
	r.ping(1, 70, 7) // twice
	r.data[1].received, r.data[1].last = 5, stamp(r.wall())-wire.Stamp(3*ms)
	take[SendPong](r)
	r.ping(1, 70, 10)
	pong := take[SendPong](r)[0]
	want := wire.Report{Path: 70, LastSeq: 10, Probes: 9, Data: 5, Age: 0, Runs: 1, Late: 1}
	if len(pong.Pong.Reports) != 1 || pong.Pong.Reports[0] != want {
		t.Errorf("reports %+v, want %+v", pong.Pong.Reports, want)
	}
	r.now += 100 * ms
	r.data[1].last = stamp(r.wall()) - wire.Stamp(3*ms)
	r.add(2, Standby)
	r.ping(2, 71, 1)
	pong = take[SendPong](r)[0]
	if len(pong.Pong.Reports) != 2 || pong.Pong.Reports[0].Age != 3000 {
		t.Errorf("reports %+v", pong.Pong.Reports)
	}
	if m := r.measure(1); m.LossIn < .09 || m.LossIn > .12 {
		t.Errorf("loss in %v of %d", m.LossIn, m.LossInProbes)
	}
}

func TestDataIsCountedForThePathThatOursNowCarries(t *testing.T) {
	r := newRig(t)
	r.up(time.Second, Standby)
	r.ping(1, 70, 1)
	r.data[1].received = 10
	r.ping(1, 71, 1) // the peer made a new path of it
	r.data[1].received = 15
	r.ping(1, 71, 2)
	pongs := take[SendPong](r)
	got := pongs[len(pongs)-1].Pong.Reports
	if len(got) != 2 || got[0].Data != 10 || got[1].Data != 5 {
		t.Errorf("reports %+v", got)
	}
	r.step(RemovePath{1})
	r.add(2, Standby)
	r.ping(2, 71, 3)
	r.data[2].received = 2
	r.ping(2, 71, 4)
	pongs = take[SendPong](r)
	if got := pongs[len(pongs)-1].Pong.Reports; len(got) != 2 || got[1].Data != 7 {
		t.Errorf("reports %+v", got)
	}
}

func TestHeardAndReportsAreBounded(t *testing.T) {
	r := newRig(t)
	r.up(time.Second, Standby)
	for i := range 100 {
		r.now += ms
		r.ping(1, wire.PathID(200-i), 1)
	}
	pongs := take[SendPong](r)
	got := pongs[len(pongs)-1].Pong.Reports
	if len(r.p.heard) != maxHeard || len(got) != wire.MaxReports {
		t.Fatalf("%d heard, %d reported", len(r.p.heard), len(got))
	}
	if got[0].Path != 101 || got[wire.MaxReports-1].Path != 100+wire.MaxReports {
		t.Errorf("not the latest ones in order: %+v", got)
	}
	r.now += heardTTL + time.Second
	r.ping(1, 70, 1)
	if len(r.p.heard) != 1 {
		t.Errorf("%d heard after a long time", len(r.p.heard))
	}
}

func TestAnswersGoOutOnASecondPathUnlessTheFirstIsUp(t *testing.T) {
	r := newRig(t)
	r.up(time.Second, Standby, Standby, Selected)
	r.add(4, Standby)
	take[SendPong](r)
	for on, want := range map[wire.PathID][]wire.PathID{1: {1}, 4: {4, 3}} {
		r.ping(on, 70+on, 1)
		got := take[SendPong](r)[0].Paths
		if len(got) != len(want) || got[0] != want[0] || len(got) == 2 && got[1] != want[1] {
			t.Errorf("on %d: %v, want %v", on, got, want)
		}
	}
	r.run(r.now+3*time.Second, func(p SendPing) {
		if p.Path == 2 {
			r.answer(p)
		}
	})
	take[SendPong](r)
	r.ping(3, 73, 2)
	if got := take[SendPong](r)[0].Paths; len(got) != 2 || got[1] != 2 {
		t.Errorf("on the dead one: %v", got)
	}
}

func TestOutgoingLossIsWhatReportsMiss(t *testing.T) {
	r := newRig(t)
	r.up(time.Second, Selected)
	heard := uint32(0)
	r.run(6*time.Second, func(ping SendPing) {
		if ping.Ping.Seq%5 == 0 {
			return // lost
		}
		heard++
		r.pong(ping, 1, 40*ms, wire.Report{Path: 1, LastSeq: ping.Ping.Seq, Probes: heard})
	})
	m := r.measure(1)
	if m.LossOut < .17 || m.LossOut > .23 || m.LossOutLow < .05 || m.LossOutProbes < 25 || m.LossRecent < .1 {
		t.Errorf("%+v", m)
	}
}

func TestLostDataIsLossOfThePath(t *testing.T) {
	r := newRig(t)
	r.up(time.Second, Selected)
	arrived, probes := 0., uint32(0)
	r.run(6*time.Second, func(ping SendPing) {
		r.data[1].sent += 50
		arrived += 50 * .8
		probes++
		r.pong(ping, 1, 40*ms, wire.Report{Path: 1, LastSeq: ping.Ping.Seq, Probes: probes, Data: uint32(arrived)})
	})
	m := r.measure(1)
	if m.LossOut < .17 || m.LossOut > .21 || m.LossOutLow < .15 || m.DataOut < 500 {
		t.Errorf("%+v", m)
	}
	for range 30 { // data goes elsewhere: it is not held against the path for ever
		r.run(r.now+time.Second, func(ping SendPing) {
			probes++
			r.pong(ping, 1, 40*ms, wire.Report{Path: 1, LastSeq: ping.Ping.Seq, Probes: probes, Data: uint32(arrived)})
		})
	}
	if m := r.measure(1); m.LossOut != 0 {
		t.Errorf("%+v", m)
	}
}
