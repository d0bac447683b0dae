package node

import (
	"slices"
	"testing"
	"time"

	"overlayd/internal/control"
	"overlayd/internal/member"
	"overlayd/pathselect"
	"overlayd/probe"
)

func TestAPeerThatNobodyLookedForIsNotDead(t *testing.T) {
	noEndpoints := func(i int, _ *member.Certificate, s *member.Statement) {
		if i == 1 {
			s.Endpoints = nil
		}
	}
	k := newCrowd(t, 2, CoreConfig{}, noEndpoints)
	shows := func(i int, state control.State, reason string) {
		t.Helper()
		v := k.core.viewPathsTo(k.now, k.ids(i)[0])
		if v.State != state || v.Reason != reason {
			t.Errorf("node-%d is %s: %q; want %s: %q", i, v.State, v.Reason, state, reason)
		}
	}
	k.run(3 * time.Second)
	shows(0, control.StateCandidate, "no answer yet from its address, tried for 3s")
	shows(1, control.StateIdle, "nothing flows: a path is looked for with the first packet")
	check(t, k.core.Step(k.now, Wake{Peer: k.ids(1)[0]}))
	shows(1, control.StateDead, "it publishes no address, and no relay that reaches it is known")
	k.run(9 * time.Second)
	shows(0, control.StateDead, "no answer yet from its address, tried for 12s")
	k.run(recentFor)
	shows(1, control.StateIdle, "nothing flows: a path is looked for with the first packet")
}

// reports are what the core said of peers that come and go.
func (k *crowd) reports() (list []string) {
	for _, out := range k.core.Drain(nil) {
		if r, ok := out.(PeerChanged); ok {
			word := " down: "
			if r.Up {
				word = " up: "
			}
			list = append(list, r.Peer+word+r.Reason)
		}
	}
	return list
}

func TestPeersThatComeAndGoAreReported(t *testing.T) {
	k := newCrowd(t, 2, CoreConfig{}, nil)
	k.core.Drain(nil)
	k.ways(0, way{nil, 10 * ms})
	if got, want := k.reports(), []string{"node-0 up: direct path answered first"}; !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
	p := k.peer(0)
	check(t, p.prober.Step(k.now, probe.Bye{}))
	p.outdated = true
	k.core.touch(p)
	k.core.settle(k.now)
	want := []string{"node-0 down: no path works: direct path dead: the peer shut down"}
	if got := k.reports(); !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
}

func TestReportsOfAPeerAreBoundedAndEndWithTheTruth(t *testing.T) {
	k := newCrowd(t, 2, CoreConfig{}, nil)
	p := k.peer(0)
	k.core.Drain(nil)
	told := 0
	for i := range 101 {
		k.now = k.now.Add(100 * time.Millisecond)
		r := pathselect.Reason{Code: pathselect.Returned}
		if i%2 == 1 {
			r.Code = pathselect.NothingElse
		}
		p.choices.list[0].route = pathselect.Selection{Selected: 1, Reason: r}
		k.core.report(k.now, p)
		told += len(k.reports())
	}
	if most := reportsAtOnce + 1; told > most {
		t.Errorf("%d reports in 10 s, want %d at most", told, most)
	}
	k.now = k.now.Add(reportEvery)
	k.core.report(k.now, p)
	if !p.reported.up {
		t.Error("the last report says that the peer is down")
	}
}

func TestAPinHoldsForAPeerToWhichNothingFlows(t *testing.T) {
	k := newCrowd(t, 30, CoreConfig{}, nil)
	var far int
	for i := range k.others {
		if k.peer(i) == nil {
			far = i
			break
		}
	}
	if k.peer(far) != nil {
		t.Fatal("all are contacts")
	}
	name := k.others[far].cert.Name
	k.rule(control.RouteRequest{Kind: control.RoutePin, Peer: name, Relays: control.Via{"node-1"}})
	p := k.peer(far)
	if p == nil {
		t.Fatal("a pinned path makes no contact")
	}
	k.run(10 * ms)
	v := k.core.viewPathsTo(k.now, p.id)
	want := "no answer yet from its address, tried for 0s; pinned via node-1 (rule 1), which does not work: " +
		"node-1 is not reached directly"
	if v.Reason != want {
		t.Errorf("shown is %q, want %q", v.Reason, want)
	}
	k.reached(k.others[1], 10*ms)
	k.run(nominateEvery)
	if a := p.relays.tried(k.ids(1)); a == nil || !a.pending && a.failures == 0 {
		t.Errorf("the circuit is not opened: %+v", a)
	}
	k.run(guestSilence + 2*sweepEvery)
	if k.peer(far) != p {
		t.Error("the contact was given up")
	}
	_, err := k.core.RemoveRules(k.now, nil, true)
	check(t, err)
	k.run(2 * sweepEvery)
	if k.peer(far) == p {
		t.Error("the contact is kept though nothing is pinned")
	}
}
