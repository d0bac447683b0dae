package node

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"overlayd/internal/control"
	"overlayd/internal/member"
	"overlayd/internal/policy"
	"overlayd/internal/wire"
	"overlayd/pathselect"
)

// rule makes rules as the API does.
func (k *crowd) rule(r control.RouteRequest) (added, replaced []policy.Rule) {
	k.Helper()
	wanted, err := k.core.rulesOf(k.now, r)
	check(k, err)
	added, replaced, err = k.core.AddRules(k.now, wanted)
	check(k, err)
	return added, replaced
}

func (k *crowd) peer(i int) *peer { return k.core.peers[k.others[i].id.ID()] }

func (k *crowd) ids(others ...int) (ids []wire.NodeID) {
	for _, i := range others {
		ids = append(ids, k.others[i].id.ID())
	}
	return ids
}

func TestARuleReachesThePoliciesOfItsPeers(t *testing.T) {
	k := newCrowd(t, 4, CoreConfig{}, nil)
	if got := k.core.policyFor(k.peer(0), k.now); got != nil {
		t.Fatalf("without a rule there is the policy %+v", got)
	}
	k.rule(control.RouteRequest{Kind: control.RoutePin, Peer: "node-0", Relays: control.Via{"node-1"}, By: "root", For: control.Duration(time.Hour)})
	pinned := k.core.policyFor(k.peer(0), k.now)
	if pinned == nil || pinned.Pin == nil || !slices.Equal(pinned.Pin.Via, k.ids(1)) ||
		pinned.Pin.Why != "another path is pinned (rule 1 by root, until 01:00)" {
		t.Errorf("the policy is %+v", pinned)
	}
	if again := k.core.policyFor(k.peer(0), k.now.Add(time.Second)); again != pinned {
		t.Error("the policy was made anew though no rule has changed")
	}
	if got := k.core.policyFor(k.peer(2), k.now); got != nil {
		t.Errorf("another peer has the policy %+v", got)
	}
	if got := k.core.pinnedVia(k.peer(0)); !slices.Equal(got, k.ids(1)) || k.core.pinnedVia(k.peer(2)) != nil {
		t.Errorf("circuits are wanted through %v and %v", got, k.core.pinnedVia(k.peer(2)))
	}
	k.rule(control.RouteRequest{Kind: control.RouteNever, Relays: control.Via{"node-2", "node-3"}})
	if got := k.core.policyFor(k.peer(0), k.now); got == pinned || len(got.Never) != 2 {
		t.Errorf("after another rule the policy is %+v", got)
	}
	view := k.core.viewPathsTo(k.now, k.ids(0)[0])
	want := control.List[string]{"pinned via node-1 (rule 1 by root, until 01:00)", "never via node-2 (rule 2)", "never via node-3 (rule 3)"}
	if !slices.Equal(view.Rules, want) {
		t.Errorf("shown are %q", view.Rules)
	}
}

func TestARuleMakesActivePeersLookAgain(t *testing.T) {
	k := newCrowd(t, 4, CoreConfig{}, nil)
	check(t, k.core.Step(k.now, Wake{Peer: k.ids(0)[0]}))
	k.run(50 * time.Millisecond)
	for i := range 4 {
		k.peer(i).outdated = false
	}
	k.core.policyChanged(k.now)
	for i := range 4 {
		if p := k.peer(i); !p.outdated || !p.touched {
			t.Errorf("node-%d is not looked at again", i)
		}
	}
	if got := k.peer(0).relays.due; !got.Equal(k.now) {
		t.Errorf("circuits to an active peer are looked for %v from now", got.Sub(k.now))
	}
	if got := k.peer(1).relays.due; !got.IsZero() {
		t.Errorf("circuits to an idle peer are looked for %v from now", got.Sub(k.now))
	}
}

func TestRulesAreToldAndStored(t *testing.T) {
	k := newCrowd(t, 3, CoreConfig{}, nil)
	k.core.Drain(nil)
	var saved [][]policy.Rule
	var told []string
	drain := func() {
		saved, told = nil, nil
		for _, out := range k.core.Drain(nil) {
			switch out := out.(type) {
			case SaveRules:
				saved = append(saved, out.Rules)
			case RuleChanged:
				told = append(told, string(out.Change)+" "+out.Name+": "+out.Text)
			}
		}
	}
	k.rule(control.RouteRequest{Kind: control.RouteHops, Peer: "node-1", Hops: 2})
	drain()
	if len(saved) != 1 || len(saved[0]) != 1 || !slices.Equal(told, []string{"made node-1: at most 2 hops (rule 1)"}) {
		t.Errorf("stored %v, told %q", saved, told)
	}
	k.rule(control.RouteRequest{Kind: control.RouteHops, Peer: "node-1", Hops: 1})
	drain()
	want := []string{"replaced node-1: at most 2 hops (rule 1)", "made node-1: direct only (rule 2)"}
	if len(saved) != 1 || len(saved[0]) != 1 || !slices.Equal(told, want) {
		t.Errorf("stored %v, told %q", saved, told)
	}
	_, err := k.core.RemoveRules(k.now, []policy.ID{2}, false)
	check(t, err)
	drain()
	if len(saved) != 1 || len(saved[0]) != 0 || !slices.Equal(told, []string{"removed node-1: direct only (rule 2)"}) {
		t.Errorf("stored %v, told %q", saved, told)
	}
	if _, err := k.core.RemoveRules(k.now, []policy.ID{2}, false); !errors.Is(explain(err), control.ErrUnknownRoute) {
		t.Errorf("removed twice: %v", err)
	}
	if drain(); len(saved) != 0 || len(told) != 0 {
		t.Errorf("nothing happened, and stored %v, told %q", saved, told)
	}
}

func TestARuleEndsByItselfAndDoesNotComeBackWithARestart(t *testing.T) {
	k := newCrowd(t, 2, CoreConfig{}, nil)
	k.rule(control.RouteRequest{Kind: control.RoutePin, Peer: "node-0", For: control.Duration(time.Minute)})
	stored := slices.Clone(k.core.rules.set.Rules())
	end := k.now.Add(time.Minute)
	k.run(time.Minute - 1)
	if due, ok := k.core.NextDeadline(); !ok || due.After(end) {
		t.Errorf("the core wants to be ticked %v after the end of the rule", due.Sub(end))
	}
	if p := k.peer(0); k.core.policyFor(p, k.now) == nil {
		t.Error("the rule ended early")
	}
	k.run(1)
	if p := k.peer(0); k.core.policyFor(p, k.now) != nil || len(k.core.rules.set.Rules()) != 0 {
		t.Errorf("the rule still holds: %+v", k.core.rules.set.Rules())
	}
	if r := loadRules(k.now, stored); len(r.set.Rules()) != 0 {
		t.Errorf("after a restart there are %+v", r.set.Rules())
	}
	if r := loadRules(epoch0, stored); len(r.set.Rules()) != 1 {
		t.Errorf("after an earlier restart there are %+v", r.set.Rules())
	}
}

func TestARuleOutlivesTheMembershipOfTheNodesThatItNames(t *testing.T) {
	k := newCrowd(t, 3, CoreConfig{}, nil)
	k.rule(control.RouteRequest{Kind: control.RoutePin, Peer: "node-0", Relays: control.Via{"node-1"}})
	check(t, k.core.Revoke(k.now, k.ids(1)[0], false))
	views := k.core.viewRules(k.core.rules.set.Rules())
	if len(views) != 1 || len(views[0].Strangers) != 1 || views[0].Strangers[0] != views[0].Relays[0] {
		t.Errorf("shown as %+v", views)
	}
	check(t, k.core.Reinstate(k.now, k.ids(1)[0]))
	k.visits(k.others[1])
	if v := k.core.viewRules(k.core.rules.set.Rules())[0]; len(v.Strangers) != 0 || v.What != "pinned via node-1" {
		t.Errorf("shown as %+v", v)
	}
}

func TestTheAlgorithmThatUsersWishForChoosesFromThenOn(t *testing.T) {
	k := newCrowd(t, 2, CoreConfig{Algorithms: map[wire.TrafficClass]pathselect.Algorithm{
		wire.Critical: pathselect.Loss(),
	}}, nil)
	using := func(peer int, class wire.TrafficClass) string { return k.peer(peer).choices.of(class).using.Name() }
	for class, want := range map[wire.TrafficClass]string{
		wire.DefaultTraffic: "balanced", wire.Bulk: "balanced", wire.Critical: "loss",
	} {
		if got := using(1, class); got != want {
			t.Errorf("configured for %v: %s, want %s", class, got, want)
		}
	}
	k.rule(control.RouteRequest{Kind: control.RouteAlgorithm, Algorithm: "throughput", Peer: "node-1", Class: "bulk"})
	k.rule(control.RouteRequest{Kind: control.RouteAlgorithm, Algorithm: "latency", Peer: "node-1"})
	for class, want := range map[wire.TrafficClass]string{
		wire.DefaultTraffic: "latency", wire.Bulk: "throughput", wire.Critical: "latency", wire.Interactive: "latency",
	} {
		if got := using(1, class); got != want {
			t.Errorf("wished for %v: %s, want %s", class, got, want)
		}
	}
	if got := using(0, wire.Bulk); got != "balanced" {
		t.Errorf("for another peer %s", got)
	}
	_, err := k.core.RemoveRules(k.now, nil, true)
	check(t, err)
	if got := using(1, wire.Bulk) + using(1, wire.DefaultTraffic); got != "balancedbalanced" {
		t.Errorf("afterwards %s", got)
	}
}

func TestOddRequestsForRulesAreRefusedInOneSentence(t *testing.T) {
	k := newCrowd(t, 4, CoreConfig{}, func(i int, _ *member.Certificate, s *member.Statement) {
		if i == 3 {
			s.Relay = member.RelayNever
		}
	})
	k.rule(control.RouteRequest{Kind: control.RouteNever, Relays: control.Via{"node-2"}})
	for _, tt := range []struct {
		r    control.RouteRequest
		as   error
		want string
	}{
		{control.RouteRequest{Kind: "bend"}, control.ErrBadRequest, `there is no rule called "bend"`},
		{control.RouteRequest{Kind: control.RoutePin}, control.ErrBadRequest, "name the peer whose path is to be pinned"},
		{control.RouteRequest{Kind: control.RouteAvoid}, control.ErrBadRequest, "name a relay"},
		{control.RouteRequest{Kind: control.RouteHops, Peer: "paris", Hops: 1}, control.ErrUnknownPeer, `"paris" is not the name`},
		{control.RouteRequest{Kind: control.RouteAvoid, Relays: control.Via{"paris"}}, control.ErrUnknownPeer, `"paris" is not the name`},
		{control.RouteRequest{Kind: control.RouteAlgorithm, Algorithm: "magic"}, control.ErrBadRequest, `unknown path-selection algorithm "magic": use balanced, `},
		{
			control.RouteRequest{Kind: control.RouteAlgorithm, Algorithm: "balanced", Class: "gold"},
			control.ErrBadRequest, `no traffic class is called "gold"`,
		},
		{
			control.RouteRequest{Kind: control.RoutePin, Peer: "node-0", Relays: control.Via{"node-3"}},
			control.ErrConflict, "node-3 does not relay for others",
		},
		{
			control.RouteRequest{Kind: control.RoutePin, Peer: "node-0", Relays: control.Via{"node-2"}},
			control.ErrConflict, "`overlayctl route remove 1`",
		},
	} {
		wanted, err := k.core.rulesOf(k.now, tt.r)
		if err == nil {
			_, _, err = k.core.AddRules(k.now, wanted)
		}
		if err = explain(err); !errors.Is(err, tt.as) || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%+v: %v", tt.r, err)
		}
	}
	if got := len(k.core.rules.set.Rules()); got != 1 {
		t.Errorf("%d rules", got)
	}
}
