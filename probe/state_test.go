package probe

import (
	"errors"
	"strings"
	"testing"
	"time"

	"overlayd/internal/wire"
)

func TestFirstAnswerMakesACandidateUp(t *testing.T) {
	r := newRig(t)
	r.add(1, Standby)
	r.want(1, Candidate)
	r.run(0, nil)
	pings := take[SendPing](r)
	if len(pings) != 1 || pings[0].Ping.Seq != 1 || pings[0].Ping.Path != 1 {
		t.Fatalf("pings %+v", pings)
	}
	r.pong(pings[0], 1, 40*ms)
	if c := take[Changed](r); len(c) != 1 || c[0].From != Candidate || c[0].To != Up {
		t.Errorf("changes %+v", c)
	}
	if m := r.measure(1); m.RTT != 40*ms || m.MinRTT != 40*ms || m.RecentRTT != 40*ms || m.Samples != 1 {
		t.Errorf("%+v", m)
	}
}

func TestTimeThatThePeerHoldsAProbeIsNotRoundTrip(t *testing.T) {
	r := newRig(t)
	r.add(1, Standby)
	r.run(0, nil)
	ping := take[SendPing](r)[0]
	r.now = 50 * ms
	r.step(PongReceived{On: 1, At: r.wall(), Pong: wire.Pong{
		Path: 1, Seq: 1, Nonce: ping.Ping.Nonce, Sent: ping.Ping.Sent, Received: 1e9, Replied: 1e9 + wire.Stamp(10*ms),
	}})
	if m := r.measure(1); m.RTT != 40*ms {
		t.Errorf("rtt %v", m.RTT)
	}
}

func TestCandidateIsProbedLessAndLess(t *testing.T) {
	r := newRig(t)
	r.add(1, Standby)
	r.run(10*time.Second, nil)
	early := len(take[SendPing](r))
	r.run(10*time.Minute, nil)
	if late := len(take[SendPing](r)); early > 16 || late > 40 {
		t.Errorf("%d probes in 10 s, %d in 10 minutes", early, late)
	}
}

func TestRates(t *testing.T) {
	for rate, want := range map[Rate]int{Selected: 600, Standby: 240, Recent: 60, Idle: 2} {
		r := newRig(t)
		r.up(10*time.Second, rate)
		take[SendPing](r)
		r.run(70*time.Second, r.answer)
		if n := len(take[SendPing](r)); n < want || n > want*112/100+1 {
			t.Errorf("%s: %d probes a minute, want %d and up to a tenth more", rate, n, want)
		}
	}
}

func TestOverdueAnswerMakesSuspectAndAnyLaterAnswerMakesUp(t *testing.T) {
	r := newRig(t)
	r.up(5*time.Second, Selected, Standby)
	take[SendPing](r)
	var silent []SendPing
	onlyStandby := func(ping SendPing) {
		if ping.Path == 1 {
			silent = append(silent, ping)
		}
	}
	for len(silent) == 0 {
		r.run(r.now+ms, onlyStandby)
	}
	sent := time.Duration(silent[0].Ping.Sent) - time.Second
	r.run(sent+54*ms, onlyStandby)
	r.want(1, Up)
	r.run(sent+56*ms, onlyStandby)
	r.want(1, Suspect)
	take[SendPing](r)
	r.run(sent+56*ms+60*ms, onlyStandby)
	pings := take[SendPing](r)
	if n := pingsOn(pings, 1); n < 2 || n > 4 {
		t.Errorf("%d quick probes in 60 ms", n)
	}
	if pingsOn(pings, 2) == 0 {
		t.Error("the standby was not probed")
	}
	r.pong(silent[1], 1, 40*ms)
	r.want(1, Up)
	if why := r.measure(1).Why; why != "answered" {
		t.Errorf("why: %s", why)
	}
}

// silence runs for a while without answers on path 1; other paths are answered with a report that path 1 delivered
// nothing since sequence last.
func (r *rig) silence(d time.Duration, report wire.Report) {
	r.t.Helper()
	r.run(r.now+d, func(ping SendPing) {
		if ping.Path != 1 {
			r.pong(ping, ping.Path, 40*ms, report)
		}
	})
}

func TestDeadByThePeersWord(t *testing.T) {
	for name, c := range map[string]struct {
		data int
		most time.Duration
	}{"with data": {100, 300 * ms}, "without data": {0, 400 * ms}} {
		r := newRig(t)
		r.up(5*time.Second, Selected, Standby)
		last := r.p.find(1).seq
		start := r.now
		for r.measure(1).State != Dead && r.now < start+2*time.Second {
			r.data[1].sent += uint64(c.data / 10)
			r.silence(10*ms, wire.Report{Path: 1, LastSeq: last, Probes: last, Age: uint32((r.now - start) / us)})
		}
		if took := r.now - start; took > c.most {
			t.Errorf("%s: dead after %v", name, took)
		}
		if m := r.measure(1); !strings.HasSuffix(m.Why, "probes unanswered") {
			t.Errorf("%s: why: %s", name, m.Why)
		}
	}
}

func TestWithoutAnyWordDeadTakesASecond(t *testing.T) {
	r := newRig(t)
	r.up(5*time.Second, Selected)
	r.run(r.now+900*ms, nil)
	r.want(1, Suspect)
	r.run(r.now+500*ms, nil)
	r.want(1, Dead)
}

func TestArrivingDataKeepsAPathAliveForTwoSeconds(t *testing.T) {
	r := newRig(t)
	r.up(5*time.Second, Selected, Standby)
	last, data := r.p.find(1).seq, uint32(0)
	died := time.Duration(0)
	for range 400 { // with probes stuck
		data += 10
		r.silence(10*ms, wire.Report{Path: 1, LastSeq: last, Probes: last, Data: data})
		if r.measure(1).State == Dead {
			died = r.now - 5*time.Second
			break
		}
	}
	if died < dataAlone || died > 2*dataAlone {
		t.Errorf("dead after %v; zero is never", died)
	}
}

func TestAProbeThatIsReportedAsHeardCounts(t *testing.T) {
	r := newRig(t)
	r.up(5*time.Second, Selected, Standby)
	for range 300 { // the answers on path 1 do not come back
		seq := r.p.find(1).seq
		r.silence(10*ms, wire.Report{Path: 1, LastSeq: seq, Probes: seq})
		if r.measure(1).State == Dead {
			t.Fatal("dead")
		}
	}
}

func TestDeadPathComesUpAfterThreeAnswersWithFreshEstimates(t *testing.T) {
	r := newRig(t)
	r.up(5*time.Second, Selected)
	r.step(SetActive{true})
	r.run(r.now+20*time.Second, nil)
	r.want(1, Dead)
	take[SendPing](r)
	r.run(r.now+10*time.Second, nil)
	if n := len(take[SendPing](r)); n < 9 || n > 12 {
		t.Errorf("%d probes in 10 s", n)
	}
	start, answered := r.now, 0
	for r.measure(1).State == Dead && r.now < start+5*time.Second {
		r.run(r.now+ms, func(ping SendPing) { r.pong(ping, 1, 80*ms); answered++ })
	}
	if took := r.now - start; answered != 3 || took > 1300*ms {
		t.Errorf("up after %d answers, %v", answered, took)
	}
	if m := r.measure(1); m.RTT != 80*ms || m.Samples != 3 {
		t.Errorf("%+v", m)
	}
}

func TestAnswersOnOtherPathsEnterTheEstimatesLate(t *testing.T) {
	r := newRig(t)
	r.up(5*time.Second, Selected, Standby)
	r.run(r.now+220*ms, func(ping SendPing) { r.pong(ping, 2, 30*ms) })
	if m := r.measure(1); m.RTT != 40*ms || m.State != Up {
		t.Errorf("after few: %+v", m)
	}
	r.run(r.now+time.Second, func(ping SendPing) { r.pong(ping, 2, 30*ms) })
	if m := r.measure(1); m.RTT != 30*ms || m.State != Up {
		t.Errorf("after many: %+v", m)
	}
	r.run(r.now+200*ms, func(ping SendPing) { r.pong(ping, 2, 30*ms); r.pong(ping, 1, 40*ms) })
	if m := r.measure(1); m.RTT != 40*ms {
		t.Errorf("after its own answers came back: %+v", m)
	}
}

func TestByeKillsAtOnceAndAPingRevives(t *testing.T) {
	r := newRig(t)
	r.up(5*time.Second, Selected, Standby)
	r.step(Bye{})
	r.want(1, Dead)
	r.want(2, Dead)
	r.run(r.now+time.Minute, nil)
	take[SendPing](r)
	r.ping(1, 70, 1)
	r.run(r.now, nil)
	if pingsOn(take[SendPing](r), 1) != 1 {
		t.Error("no probe although the peer was heard")
	}
}

func TestRestartedPeerIsProbedAtOnceAndItsReportsForgotten(t *testing.T) {
	r := newRig(t)
	r.up(5*time.Second, Selected)
	r.ping(1, 70, 100, wire.Report{Path: 1, LastSeq: r.p.find(1).seq, Probes: 10})
	take[SendPing](r)
	r.step(PeerRestarted{})
	r.want(1, Up)
	if m := r.measure(1); m.LossOutProbes != 0 || m.LossInProbes != 0 || m.RTT != 40*ms {
		t.Errorf("%+v", m)
	}
	r.run(r.now+150*ms, r.answer)
	pings := take[SendPing](r)
	if len(pings) < 4 || len(pings[0].Ping.Reports) != 0 {
		t.Errorf("%d probes, reports %v", len(pings), pings[0].Ping.Reports)
	}
}

func TestLateTickJudgesNobodyBeforeTheQueueIsRead(t *testing.T) {
	r := newRig(t)
	r.up(5*time.Second, Selected)
	take[SendPing](r)
	for len(take[SendPing](r)) == 0 {
		r.run(r.now+ms, nil)
	}
	seq := r.p.find(1).seq
	probe := *r.p.find(1).sent(seq)
	sent := probe.at
	r.now += 300 * ms // not running
	r.step(Tick{})
	r.want(1, Up)
	if len(r.out) != 0 {
		t.Errorf("outputs %v", r.out)
	}
	r.now += ms
	at := epoch.Add(time.Duration(sent) - time.Second + 40*ms)
	pong := wire.Pong{Path: 1, Seq: seq, Nonce: probe.nonce, Sent: wire.Stamp(sent), Received: 1, Replied: 1}
	r.step(PongReceived{On: 1, At: at, Pong: pong})
	r.run(r.now+20*ms, r.answer)
	r.want(1, Up)
	if m := r.measure(1); m.RTT != 40*ms {
		t.Errorf("rtt %v", m.RTT)
	}
}

func TestProbeNowIsAShortBurst(t *testing.T) {
	r := newRig(t)
	r.up(5*time.Second, Recent)
	take[SendPing](r)
	r.step(ProbeNow{ID: 1})
	r.step(ProbeNow{ID: 1})
	r.run(r.now+200*ms, r.answer)
	if n := len(take[SendPing](r)); n < 4 || n > 5 {
		t.Errorf("%d probes", n)
	}
}

// A path that nothing flows on is judged slowly, unless something in use depends on it.
func TestUrgentProbesAreJudgedAsThoseOfAStandby(t *testing.T) {
	for _, urgent := range []bool{false, true} {
		r := newRig(t)
		r.up(5*time.Minute, Idle)
		before, mark := r.now, len(r.out)
		r.step(ProbeNow{ID: 1, Urgent: urgent, Check: urgent})
		r.run(r.now+150*ms, nil)
		if got := r.measure(1).State; (got == Suspect) != urgent {
			t.Errorf("urgent %v: %v after the probes %s", urgent, r.now-before, got)
		}
		asking := 0
		for _, out := range r.out[mark:] {
			if ping, ok := out.(SendPing); ok && ping.Ping.Check {
				asking++
			}
		}
		if want := map[bool]int{true: burstProbes}[urgent]; asking != want {
			t.Errorf("urgent %v: %d probes ask the peer to check its paths, want %d", urgent, asking, want)
		}
		r.run(r.now+3*time.Second, r.answer)
		if got := r.measure(1).State; got != Up {
			t.Errorf("urgent %v: %s after answers", urgent, got)
		}
	}
}

func TestBadInputsAreRefused(t *testing.T) {
	r := newRig(t)
	r.add(1, Idle)
	for _, c := range []struct {
		in   Input
		want error
	}{
		{AddPath{ID: 1}, ErrPathExists},
		{AddPath{ID: 0}, ErrInput},
		{AddPath{ID: 2, Rate: 9}, ErrInput},
		{SetRate{ID: 1, Rate: 9}, ErrInput},
		{SetRate{ID: 2}, ErrUnknownPath},
		{RemovePath{2}, ErrUnknownPath},
		{ProbeNow{ID: 2}, ErrUnknownPath},
		{PingReceived{On: 2}, ErrUnknownPath},
		{nil, ErrInput},
	} {
		if err := r.p.Step(r.wall(), c.in); !errors.Is(err, c.want) {
			t.Errorf("%+v: %v, want %v", c.in, err, c.want)
		}
	}
	for id := wire.PathID(2); id <= maxPaths; id++ {
		r.add(id, Idle)
	}
	if err := r.p.Step(r.wall(), AddPath{ID: maxPaths + 1}); !errors.Is(err, ErrTooManyPaths) {
		t.Errorf("%v", err)
	}
	if got := r.p.Paths(); len(got) != maxPaths || got[0] != 1 || got[maxPaths-1] != maxPaths {
		t.Errorf("paths %v", got)
	}
}
