package judge

import (
	"testing"
	"time"

	"overlayd/internal/control"
	"overlayd/internal/lab/scenario"
)

const ms = time.Millisecond

var (
	toBoston   = scenario.Pair{From: "belmont", To: "boston"}
	direct     = scenario.Route{Direct: true}
	byCamb     = scenario.Route{Via: []string{"cambridge"}}
	historyDay = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
)

// at is a moment of the tests' time line.
func at(d time.Duration) time.Time { return historyDay.Add(d) }

// sees is a report of Belmont's path to Boston.
func sees(since time.Duration, switches int, candidate control.State, via ...string) control.Paths {
	if via == nil {
		via = []string{}
	}
	return control.Paths{Node: "belmont", Peers: []control.PeerPaths{{
		Peer: "boston", State: "up", Selected: &control.Path{Via: via}, Since: at(since), Switches: switches,
		Candidates: []control.Candidate{{Path: control.Path{Via: []string{}}, State: candidate}},
	}}}
}

// exampleHistory starts direct, is cut at 5 s, goes through Cambridge from 5.1 s and returns at 9 s.
func exampleHistory() *History {
	h := NewHistory(time.Now())
	h.Add(sees(-3*time.Second, 1, "up"), at(-time.Second))
	h.Begin(at(0))
	h.Add(sees(-3*time.Second, 1, "up"), at(4*time.Second))
	h.Add(sees(5100*time.Millisecond, 2, "suspect", "cambridge"), at(5200*ms))
	h.Add(sees(5100*time.Millisecond, 2, "dead", "cambridge"), at(5300*ms))
	h.Add(sees(9*time.Second, 3, "up"), at(9050*ms))
	return h
}

func TestSelectionCountsFromWhenItWasMade(t *testing.T) {
	h := exampleHistory()
	when, ok := h.becomes(toBoston, byCamb, 5*time.Second, 20*time.Second)
	if !ok || when != 5100*time.Millisecond {
		t.Errorf("via cambridge from %v, %v", when, ok)
	}
	if when, ok := h.becomes(toBoston, direct, 6*time.Second, 20*time.Second); !ok || when != 9*time.Second {
		t.Errorf("direct again from %v, %v", when, ok)
	}
	if _, ok := h.becomes(toBoston, direct, 6*time.Second, 8*time.Second); ok {
		t.Error("direct in a window in which it is not")
	}
	if s, ok := h.At(toBoston, 0); !ok || !s.matches(direct) || s.At >= 0 {
		t.Errorf("at the start: %+v, %v", s, ok)
	}
}

func TestAlwaysSeesEverySelectionOfTheWindow(t *testing.T) {
	h := exampleHistory()
	if ok, other := h.always(toBoston, direct, 0, 5*time.Second); !ok {
		t.Errorf("before the cut it is %s", other)
	}
	if ok, other := h.always(toBoston, direct, 0, 10*time.Second); ok || other != "via cambridge" {
		t.Errorf("throughout: %v, %s", ok, other)
	}
}

func TestSwitchesAndDeathsAreCountedInTheWindow(t *testing.T) {
	h := exampleHistory()
	for _, test := range []struct {
		from, to         time.Duration
		switches, deaths int
	}{{0, 20 * time.Second, 2, 1}, {6 * time.Second, 20 * time.Second, 1, 0}, {0, 5 * time.Second, 0, 0}} {
		s, d := h.switchesIn(toBoston, test.from, test.to), h.deathsIn(toBoston, test.from, test.to)
		if s != test.switches || d != test.deaths {
			t.Errorf("%v to %v: %d switches, %d deaths", test.from, test.to, s, d)
		}
	}
}

func TestSwitchesBetweenTwoLooksAreCounted(t *testing.T) {
	h := exampleHistory()
	h.Add(sees(9900*ms, 5, "up"), at(10*time.Second)) // there and back
	if n := h.switchesIn(toBoston, 9500*ms, 20*time.Second); n != 2 {
		t.Errorf("%d switches, want 2", n)
	}
}

func TestRestartedNodeCountsFromZero(t *testing.T) {
	h := exampleHistory()
	h.Add(sees(12*time.Second, 1, "up", "cambridge"), at(12100*time.Millisecond))
	if n := h.switchesIn(toBoston, 11*time.Second, 20*time.Second); n != 1 {
		t.Errorf("%d switches, want 1", n)
	}
}

func TestNoPathMatchesNoRoute(t *testing.T) {
	h := exampleHistory()
	h.Add(control.Paths{Node: "belmont", Peers: []control.PeerPaths{{Peer: "boston", State: "dead"}}}, at(11*time.Second))
	s, _ := h.At(toBoston, 12*time.Second)
	if s.matches(direct) || s.matches(scenario.Route{Relayed: true}) || s.String() != "no path" {
		t.Errorf("got %v", s)
	}
}

func TestQuarantinesAreCountedOnceEach(t *testing.T) {
	h := NewHistory(time.Now())
	h.Begin(at(0))
	report := func(when time.Duration, why string) {
		r := sees(0, 1, "up", "cambridge")
		r.Peers[0].Candidates[0].Via, r.Peers[0].Candidates[0].Quarantine = []string{"cambridge"}, why
		h.Add(r, at(when))
	}
	for i, why := range []string{"", "lost 5%", "lost 6%", "", "lost 7%"} {
		report(time.Duration(i+1)*time.Second, why)
	}
	if all, late := h.quarantinesIn(toBoston, 0, time.Minute), h.quarantinesIn(toBoston, 3*time.Second, time.Minute); all != 2 || late != 1 {
		t.Errorf("%d quarantines, %d of them late", all, late)
	}
	if got := h.blamed(toBoston); got != "via cambridge: lost 7%" {
		t.Errorf("the latest reason: %q", got)
	}
	if h.quarantinesIn(toBoston.Directions()[0], 0, 1500*ms) != 0 {
		t.Error("a quarantine before there was one")
	}
}
