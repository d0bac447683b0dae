package policy

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"overlayd/internal/wire"
	"overlayd/pathselect"
)

var (
	noon      = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	boston    = wire.NodeID{1}
	cambridge = wire.NodeID{2}
	newton    = wire.NodeID{3}
	salem     = wire.NodeID{4}
)

func relays(ids ...wire.NodeID) []wire.NodeID { return ids }

// set is made of rules that all fit.
func set(t testing.TB, rules ...Rule) *Set {
	t.Helper()
	s := New(nil)
	for _, r := range rules {
		if _, _, err := s.Add(noon, r); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestRulesOfAPeerBecomeItsPolicy(t *testing.T) {
	s := set(t,
		Rule{Kind: Pin, Peer: boston, Relays: relays(cambridge), By: "root", Expires: noon.Add(time.Hour)},
		Rule{Kind: Never, Relays: relays(salem), By: "ann", Strict: true},
		Rule{Kind: Avoid, Relays: relays(newton)},
		Rule{Kind: Prefer, Peer: salem, Relays: relays(cambridge)},
		Rule{Kind: Cost, Relays: relays(cambridge), Millis: 20},
		Rule{Kind: Cost, Uplink: "wwan0", Millis: 50},
		Rule{Kind: Hops, Hops: 3},
		Rule{Kind: Algorithm, Algorithm: "latency"},
	)
	want := &pathselect.Policy{
		Pin: &pathselect.Pin{
			Via:       relays(cambridge),
			Exclusion: pathselect.Exclusion{Why: "another path is pinned (rule 1 by root, until 13:00)"},
		},
		Never: map[wire.NodeID]pathselect.Exclusion{
			salem: {Strict: true, Why: "never to be relayed through (rule 2 by ann)"},
		},
		Hops:    &pathselect.Hops{Most: 3, Exclusion: pathselect.Exclusion{Why: "more hops than are allowed (rule 7)"}},
		Avoid:   relays(newton),
		Relays:  map[wire.NodeID]float64{cambridge: 20},
		Uplinks: map[pathselect.Uplink]float64{"wwan0": 50},
	}
	if diff := cmp.Diff(want, s.For(boston, noon)); diff != "" {
		t.Errorf("boston (-want +got):\n%s", diff)
	}
	want = &pathselect.Policy{
		Avoid: relays(newton), Prefer: relays(cambridge), Hops: want.Hops,
		Relays: map[wire.NodeID]float64{cambridge: 20}, Uplinks: map[pathselect.Uplink]float64{"wwan0": 50},
	}
	if diff := cmp.Diff(want, s.For(salem, noon)); diff != "" {
		t.Errorf("salem, which no path leads through on the way to itself (-want +got):\n%s", diff)
	}
	if got := s.Pinned(boston); !slices.Equal(got, relays(cambridge)) || s.Pinned(salem) != nil {
		t.Errorf("pinned are %v and %v", got, s.Pinned(salem))
	}
}

func TestWithoutARuleThereIsNoPolicy(t *testing.T) {
	s := set(t, Rule{Kind: Algorithm, Algorithm: "loss"}, Rule{Kind: Pin, Peer: salem})
	if got := s.For(boston, noon); got != nil {
		t.Errorf("got %+v", got)
	}
	if got := s.For(salem, noon); got == nil || got.Pin == nil || len(got.Pin.Via) != 0 {
		t.Errorf("the direct path is pinned, and the policy is %+v", got)
	}
}

func TestWhatIsSaidOfAPeerBeatsWhatIsSaidOfAll(t *testing.T) {
	s := set(t,
		Rule{Kind: Never, Relays: relays(cambridge)},
		Rule{Kind: Prefer, Peer: boston, Relays: relays(cambridge)},
		Rule{Kind: Hops, Hops: 1}, Rule{Kind: Hops, Peer: boston, Hops: 3},
	)
	near, far := s.For(boston, noon), s.For(newton, noon)
	if len(near.Never) != 0 || !slices.Equal(near.Prefer, relays(cambridge)) || near.Hops.Most != 3 {
		t.Errorf("boston has %+v", near)
	}
	if _, never := far.Never[cambridge]; !never || far.Hops.Most != 1 {
		t.Errorf("newton has %+v", far)
	}
	var kinds []string
	for _, r := range s.On(boston) {
		kinds = append(kinds, r.Kind.String())
	}
	if got := strings.Join(kinds, " "); got != "prefer hops" {
		t.Errorf("in force for boston: %s", got)
	}
}

func TestANewRuleTakesThePlaceOfTheOneThatItContradicts(t *testing.T) {
	for _, tt := range []struct {
		name     string
		old, new Rule
		replaces bool
	}{
		{"pin", Rule{Kind: Pin, Peer: boston}, Rule{Kind: Pin, Peer: boston, Relays: relays(newton)}, true},
		{"opinion", Rule{Kind: Avoid, Relays: relays(newton)}, Rule{Kind: Prefer, Relays: relays(newton)}, true},
		{"another relay", Rule{Kind: Avoid, Relays: relays(newton)}, Rule{Kind: Avoid, Relays: relays(salem)}, false},
		{"another peer", Rule{Kind: Hops, Hops: 1}, Rule{Kind: Hops, Hops: 2, Peer: boston}, false},
		{"cost", Rule{Kind: Cost, Uplink: "eth0", Millis: 1}, Rule{Kind: Cost, Uplink: "eth0", Millis: 2}, true},
		{"relay and uplink", Rule{Kind: Cost, Uplink: "eth0"}, Rule{Kind: Cost, Relays: relays(newton)}, false},
		{"algorithm", Rule{Kind: Algorithm, Algorithm: "a"}, Rule{Kind: Algorithm, Algorithm: "b"}, true},
		{
			"class",
			Rule{Kind: Algorithm, Algorithm: "a"},
			Rule{Kind: Algorithm, Algorithm: "b", OneClass: true, Class: wire.DefaultTraffic},
			false,
		},
		{"cost and opinion", Rule{Kind: Cost, Relays: relays(newton)}, Rule{Kind: Avoid, Relays: relays(newton)}, false},
	} {
		s := set(t, tt.old)
		added, replaced, err := s.Add(noon, tt.new)
		if err != nil || len(added) != 1 || added[0].ID != 2 {
			t.Fatalf("%s: added %+v, %v", tt.name, added, err)
		}
		if (len(replaced) == 1) != tt.replaces || len(s.Rules()) != 2-len(replaced) {
			t.Errorf("%s: replaced %+v, left %+v", tt.name, replaced, s.Rules())
		}
	}
}

func TestAPinThatAnotherRuleBarsIsRefused(t *testing.T) {
	pin := Rule{Kind: Pin, Peer: boston, Relays: relays(cambridge, newton)}
	for _, against := range []Rule{
		{Kind: Never, Relays: relays(newton)},
		{Kind: Hops, Hops: 2},
		{Kind: Hops, Hops: 2, Peer: boston},
	} {
		for _, order := range [][]Rule{{pin, against}, {against, pin}} {
			s := set(t, order[0])
			_, _, err := s.Add(noon, order[1])
			if !errors.Is(err, ErrClash) || !strings.Contains(err.Error(), "`overlayctl route remove 1`") {
				t.Errorf("%v after %v: %v", order[1].Kind, order[0].Kind, err)
			}
			if len(s.Rules()) != 1 {
				t.Errorf("a refused rule was kept: %+v", s.Rules())
			}
		}
	}
}

func TestAPinThatHasBecomeSenselessDoesNotCount(t *testing.T) {
	s := set(t,
		Rule{Kind: Never, Relays: relays(cambridge)},
		Rule{Kind: Prefer, Peer: boston, Relays: relays(cambridge)},
		Rule{Kind: Pin, Peer: boston, Relays: relays(cambridge)},
	)
	if _, err := s.Remove(2); err != nil {
		t.Fatal(err)
	}
	p := s.For(boston, noon)
	if _, never := p.Never[cambridge]; p.Pin != nil || !never || s.Pinned(boston) != nil {
		t.Errorf("the policy is %+v, pinned is %v", p, s.Pinned(boston))
	}
}

func TestAddTakesAllOrNone(t *testing.T) {
	s := set(t)
	_, _, err := s.Add(noon, Rule{Kind: Avoid, Relays: relays(newton)}, Rule{Kind: Avoid})
	if !errors.Is(err, ErrRule) || len(s.Rules()) != 0 {
		t.Errorf("%v, and there are %+v", err, s.Rules())
	}
	added, _, err := s.Add(noon, Rule{Kind: Avoid, Relays: relays(newton)}, Rule{Kind: Avoid, Relays: relays(salem)})
	if err != nil || len(added) != 2 || added[0].ID != 1 || added[1].ID != 2 || !added[1].At.Equal(noon) {
		t.Errorf("%+v, %v", added, err)
	}
}

func TestThereIsABoundOnRules(t *testing.T) {
	s := set(t)
	for i := range MaxRules {
		relay := wire.NodeID{9, byte(i >> 8), byte(i)}
		if _, _, err := s.Add(noon, Rule{Kind: Avoid, Relays: relays(relay)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := s.Add(noon, Rule{Kind: Hops, Hops: 1}); !errors.Is(err, ErrFull) {
		t.Errorf("one more: %v", err)
	}
	again := Rule{Kind: Prefer, Relays: relays(wire.NodeID{9, 0, 7})}
	if _, replaced, err := s.Add(noon, again); err != nil || len(replaced) != 1 {
		t.Errorf("one in the place of another: %v, %v", replaced, err)
	}
	if got := len(s.Rules()); got != MaxRules {
		t.Errorf("%d rules", got)
	}
}

func TestRulesExpire(t *testing.T) {
	s := set(t,
		Rule{Kind: Hops, Hops: 1, Expires: noon.Add(time.Hour)},
		Rule{Kind: Hops, Peer: boston, Hops: 2, Expires: noon.Add(time.Minute)},
		Rule{Kind: Pin, Peer: salem},
	)
	if due, ok := s.NextDeadline(); !ok || !due.Equal(noon.Add(time.Minute)) {
		t.Errorf("due %v, %v", due, ok)
	}
	if got := s.Expire(noon.Add(time.Minute - 1)); got != nil {
		t.Errorf("too early: %+v", got)
	}
	if got := s.Expire(noon.Add(time.Minute)); len(got) != 1 || got[0].ID != 2 {
		t.Errorf("expired %+v", got)
	}
	if got := s.Expire(noon.Add(time.Hour)); len(got) != 1 || got[0].ID != 1 {
		t.Errorf("expired %+v", got)
	}
	if due, ok := s.NextDeadline(); ok {
		t.Errorf("due %v though nothing expires", due)
	}
	if _, _, err := s.Add(noon, Rule{Kind: Hops, Hops: 1, Expires: noon}); !errors.Is(err, ErrRule) {
		t.Errorf("a rule of the past: %v", err)
	}
}

func TestRemove(t *testing.T) {
	s := set(t, Rule{Kind: Pin, Peer: boston}, Rule{Kind: Pin, Peer: salem}, Rule{Kind: Pin, Peer: newton})
	if _, err := s.Remove(1, 9); !errors.Is(err, ErrNone) || !strings.Contains(err.Error(), "as 9") || len(s.Rules()) != 3 {
		t.Errorf("%v, left %+v", err, s.Rules())
	}
	if got, err := s.Remove(3, 1, 3); err != nil || len(got) != 2 || len(s.Rules()) != 1 || s.Rules()[0].ID != 2 {
		t.Errorf("removed %+v, %v, left %+v", got, err, s.Rules())
	}
	added, _, err := s.Add(noon, Rule{Kind: Hops, Hops: 1})
	if err != nil || added[0].ID != 4 {
		t.Errorf("the number of a removed rule was given again: %+v, %v", added, err)
	}
	if got := s.Clear(); len(got) != 2 || len(s.Rules()) != 0 {
		t.Errorf("cleared %+v", got)
	}
}

func TestOddRulesAreRefused(t *testing.T) {
	for _, r := range []Rule{
		{},
		{Kind: 99},
		{Kind: Pin},
		{Kind: Pin, Peer: boston, Relays: relays(boston)},
		{Kind: Pin, Peer: boston, Relays: relays(newton, newton)},
		{Kind: Pin, Peer: boston, Relays: relays(newton, salem, cambridge, wire.NodeID{7})},
		{Kind: Pin, Peer: boston, Millis: 1},
		{Kind: Avoid},
		{Kind: Avoid, Relays: relays(newton), Strict: true},
		{Kind: Never, Relays: relays(wire.NodeID{})},
		{Kind: Never, Relays: relays(newton, salem)},
		{Kind: Cost, Millis: 3},
		{Kind: Cost, Relays: relays(newton), Millis: -1},
		{Kind: Cost, Relays: relays(newton), Millis: MaxMillis + 1},
		{Kind: Cost, Relays: relays(newton), Uplink: "eth0"},
		{Kind: Cost, Uplink: "../etc/passwd"},
		{Kind: Cost, Uplink: "averyveryverylongname"},
		{Kind: Hops},
		{Kind: Hops, Hops: MaxHops + 1},
		{Kind: Algorithm},
		{Kind: Algorithm, Algorithm: "new\nline"},
		{Kind: Algorithm, Algorithm: "a", OneClass: true, Class: wire.TrafficClasses},
		{Kind: Hops, Hops: 1, OneClass: true},
		{Kind: Hops, Hops: 1, Note: strings.Repeat("x", maxText+1)},
	} {
		if _, _, err := New(nil).Add(noon, r); !errors.Is(err, ErrRule) {
			t.Errorf("%+v: %v", r, err)
		}
	}
}

func TestTheClosestAlgorithmIsWished(t *testing.T) {
	s := set(t,
		Rule{Kind: Algorithm, Algorithm: "all"},
		Rule{Kind: Algorithm, Algorithm: "class", OneClass: true, Class: wire.Bulk},
		Rule{Kind: Algorithm, Algorithm: "peer", Peer: boston},
		Rule{Kind: Algorithm, Algorithm: "both", Peer: boston, OneClass: true, Class: wire.Critical},
	)
	for _, tt := range []struct {
		peer  wire.NodeID
		class wire.TrafficClass
		want  string
	}{
		{boston, wire.Critical, "both"}, {boston, wire.Bulk, "peer"}, {salem, wire.Bulk, "class"}, {salem, wire.Critical, "all"},
	} {
		if got, ok := s.AlgorithmFor(tt.peer, tt.class); !ok || got != tt.want {
			t.Errorf("%v traffic: %q, want %q", tt.class, got, tt.want)
		}
	}
	if got, ok := New(nil).AlgorithmFor(boston, wire.Bulk); ok {
		t.Errorf("without a rule: %q", got)
	}
}

func TestRulesInWords(t *testing.T) {
	name := func(id wire.NodeID) string {
		return map[wire.NodeID]string{cambridge: "cambridge", newton: "newton"}[id]
	}
	for _, tt := range []struct {
		rule Rule
		want string
	}{
		{Rule{Kind: Pin, Relays: relays(cambridge, newton), By: "root", Expires: noon.Add(time.Hour)}, "pinned via cambridge, newton (rule 7 by root, until 13:00)"},
		{Rule{Kind: Pin, Strict: true, Expires: noon.Add(24 * time.Hour)}, "pinned to the direct path strictly (rule 7, until 26 Nov 12:00)"},
		{Rule{Kind: Never, Relays: relays(newton), By: "ann"}, "never via newton (rule 7 by ann)"},
		{Rule{Kind: Avoid, Relays: relays(newton)}, "newton avoided (rule 7)"},
		{Rule{Kind: Prefer, Relays: relays(newton)}, "newton preferred (rule 7)"},
		{Rule{Kind: Cost, Relays: relays(newton), Millis: 2.5}, "newton costs 2.5 ms more (rule 7)"},
		{Rule{Kind: Cost, Uplink: "wwan0", Millis: 50}, "uplink wwan0 costs 50 ms more (rule 7)"},
		{Rule{Kind: Hops, Hops: 1}, "direct only (rule 7)"},
		{Rule{Kind: Hops, Hops: 2}, "at most 2 hops (rule 7)"},
		{Rule{Kind: Algorithm, Algorithm: "loss", OneClass: true, Class: wire.Bulk}, "priced by loss for bulk traffic (rule 7)"},
	} {
		tt.rule.ID = 7
		if got := tt.rule.Text(noon, name); got != tt.want {
			t.Errorf("%v: %q, want %q", tt.rule.Kind, got, tt.want)
		}
	}
}

func TestKindsHaveNames(t *testing.T) {
	for k := Pin; k <= Algorithm; k++ {
		if got, ok := ParseKind(k.String()); !ok || got != k {
			t.Errorf("%v came back as %v, %v", k, got, ok)
		}
	}
	if got, ok := ParseKind(""); ok {
		t.Errorf("no name is %v", got)
	}
}

// every is a set with a rule of each kind.
func every(t testing.TB) *Set {
	return set(t,
		Rule{Kind: Pin, Peer: boston, Relays: relays(cambridge), Strict: true, By: "root", Expires: noon.Add(time.Hour + 1), Note: "moved"},
		Rule{Kind: Avoid, Relays: relays(newton)},
		Rule{Kind: Prefer, Peer: newton, Relays: relays(cambridge)},
		Rule{Kind: Never, Relays: relays(salem)},
		Rule{Kind: Cost, Uplink: "wwan0", Millis: 0.5},
		Rule{Kind: Cost, Relays: relays(newton), Millis: 20},
		Rule{Kind: Hops, Hops: 2},
		Rule{Kind: Algorithm, Algorithm: "loss", OneClass: true, Class: wire.DefaultTraffic},
	)
}

func TestRulesComeBackFromTheFile(t *testing.T) {
	s := every(t)
	b, err := Append(nil, s.Rules())
	if err != nil {
		t.Fatal(err)
	}
	rules, err := Parse(b)
	if diff := cmp.Diff(s.Rules(), rules); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	added, _, err := New(rules).Add(noon, Rule{Kind: Pin, Peer: salem})
	if err != nil || added[0].ID != 9 {
		t.Errorf("the next rule is %+v, %v", added, err)
	}
}

func TestRulesThatContradictEachOtherAreNoRules(t *testing.T) {
	for name, rules := range map[string][]Rule{
		"twice":        {{ID: 1, Kind: Hops, Hops: 1}, {ID: 2, Kind: Hops, Hops: 2}},
		"out of order": {{ID: 2, Kind: Hops, Hops: 1}, {ID: 1, Kind: Pin, Peer: boston}},
		"no number":    {{Kind: Hops, Hops: 1}},
		"too many":     make([]Rule, MaxRules+1),
	} {
		b, err := Append(nil, rules)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Parse(b); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	b, err := Append(nil, every(f).Rules())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte{0x80})
	f.Fuzz(func(t *testing.T, b []byte) {
		rules, err := Parse(b)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("odd error %v", err)
			}
			return
		}
		again, err := Append(nil, rules)
		if err != nil {
			t.Fatal(err)
		}
		back, err := Parse(again)
		if diff := cmp.Diff(rules, back, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
		s := New(rules)
		s.For(boston, noon)
		s.Expire(noon)
	})
}
