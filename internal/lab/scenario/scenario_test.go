package scenario

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const valid = `
name: example
duration: 20s
sites:
  a: {}
  b: {nat: masquerade, uplink: {rate: 50mbit, queue: 200ms}}
  c: {started: false}
links:
  any: {rtt: 30ms}
  a -- b: {rtt: 40ms, loss: 1%}
  b -> a: {delay: 5ms, jitter: 1ms}
traffic:
  packets: {flow: a -- b, every: 20ms}
events:
  restore: {at: cut + 2s, restore: a -- b}
  cut: {at: 5s..8s, cut: a -- b}
  flapping: {at: 12s, flap: a -> c, every: 2s, for: 5s}
  fill: {at: 1s, tcp: a -> b, for: 3s, congestion: cubic, text: true}
  bare: {at: 1s, tcp: a -> b, for: 3s, underlay: true}
  kill: {at: 19s, kill: relay of a -> b}
expect:
  outage: {outage: a -- b, from: cut, to: restore, below: 200ms, in: 95%, always: 1s}
  path: {path: a -> b, is: via c, from: cut, within: 3s}
  rate: {goodput: fill, at_least: 95%, of: bare}
  capture: {capture: c, during: fill, text: absent, at_least: 1MB}
short:
  duration: 25s
  events:
    cut: {at: 2s..3s}
    kill: null
  expect:
    outage: {below: 1s}
`

func parse(t *testing.T, text string, short bool) *Scenario {
	t.Helper()
	s, err := Parse([]byte(text), short)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestParseReadsEverything(t *testing.T) {
	s := parse(t, valid, false)
	if s.Founder != "a" || len(s.Sites) != 3 || s.Sites[1].NAT != Masquerade || !s.Sites[2].Down {
		t.Errorf("sites %+v, founder %s", s.Sites, s.Founder)
	}
	if up := s.Sites[1].Uplink; up.Rate != 50e6 || up.Queue != 200*time.Millisecond {
		t.Errorf("uplink %+v", up)
	}
	if got := *s.Links[1].Change.Delay; got != 20*time.Millisecond {
		t.Errorf("rtt: 40ms is a delay of %v", got)
	}
	if len(s.Events) != 6 || s.Events[1].At != (Moment{MomentStart, 5 * time.Second, 3 * time.Second}) {
		t.Errorf("events %+v", s.Events)
	}
	outage := s.Expect[0].Check.(Outage)
	if outage.Below != (Limit{Bound: 0.2, In: 0.95, Always: 1}) {
		t.Errorf("outage %+v", outage)
	}
}

func TestShortFormIsLaidOverTheLongOne(t *testing.T) {
	s := parse(t, valid, true)
	if s.Duration != 25*time.Second || s.Events[1].At.After != 2*time.Second {
		t.Errorf("duration %v, events %+v", s.Duration, s.Events)
	}
	if slices.ContainsFunc(s.Events, func(e Event) bool { return e.Name == "kill" }) {
		t.Error("null did not remove the event")
	}
	if below := s.Expect[0].Check.(Outage).Below; below.Bound != 1 || below.In != 0.95 {
		t.Errorf("outage %+v", below)
	}
}

func TestTimelineDrawsFromTheSeed(t *testing.T) {
	s := parse(t, valid, false)
	distinct := map[time.Duration]bool{}
	for seed := range uint64(10) {
		a, err := s.Timeline(seed)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := s.Timeline(seed)
		cut, _ := a.At(Moment{Base: "cut"})
		again, _ := b.At(Moment{Base: "cut"})
		restore, _ := a.At(Moment{Base: "restore"})
		if cut != again || cut < 5*time.Second || cut >= 8*time.Second || restore != cut+2*time.Second {
			t.Errorf("seed %d: cut %v and %v, restore %v", seed, cut, again, restore)
		}
		distinct[cut] = true
		if !slices.IsSortedFunc(a.Actions, func(x, y Timed) int { return int(x.At - y.At) }) {
			t.Errorf("seed %d: actions out of order", seed)
		}
	}
	if len(distinct) < 10 {
		t.Errorf("10 seeds drew %d moments", len(distinct))
	}
}

func TestFlappingEndsRestored(t *testing.T) {
	line, err := parse(t, valid, false).Timeline(1)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, a := range line.Actions {
		if a.Event == "flapping" {
			_, cut := a.Action.(Cut)
			got = append(got, a.At.String()+map[bool]string{true: " cut", false: " restore"}[cut])
		}
	}
	want := []string{"12s cut", "14s restore", "16s cut", "17s restore"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestErrorsNameTheLineAndWhatIsWrong(t *testing.T) {
	for _, test := range []struct{ from, to, want string }{
		{"duration: 20s", "durations: 20s", `line 3: a scenario has no key "durations"`},
		{"duration: 20s", "duration: 20", `line 3: "20" is not a duration`},
		{"duration: 20s", "", "needs a duration"},
		{"{rtt: 30ms}", "{rrt: 30ms}", `line 9: a link has no key "rrt"`},
		{"a -- b: {rtt", "a - b: {rtt", `line 10: "a - b" is neither`},
		{"a -- b: {rtt", "a -- x: {rtt", `there is no site "x"`},
		{"a -- b: {rtt", "any: {rtt", `line 10: links has the key "any" twice`},
		{"loss: 1%", "loss: 1", `"1" is not a share`},
		{"50mbit", "50", `"50" is not a rate`},
		{"nat: masquerade", "nat: full-cone", `nat is masquerade or absent`},
		{"at: cut + 2s", "at: restore + 2s", "is no event, or one that waits for this"},
		{"at: cut + 2s", "at: cut + 20s", "the scenario lasts from 0s to 20s"},
		{"{at: 19s, kill", "{at: 19s, cut: a -- b, kill", `the event "kill" needs exactly one of`},
		{"flow: a -- b, every", "flow: a -> b, every", "there is no traffic b -> a"},
		{"below: 200ms, ", "", `the expectation "outage" needs below`},
		{"of: bare", "of: bear", `there is no event "bear" with tcp`},
		{"during: fill", "during: bare", "does not carry the text"},
		{"a: {}", "a: &x {}", "anchors and aliases"},
		{"a: {}", "A: {}", `"A" is not a name`},
		{"from: cut, to: restore", "from: restore, to: cut", "is not a part of the scenario"},
	} {
		text := strings.Replace(valid, test.from, test.to, 1)
		if text == valid {
			t.Errorf("%q is not in the example", test.from)
		}
		_, err := Parse([]byte(text), false)
		if err == nil || !strings.Contains(err.Error(), test.want) || !errors.Is(err, ErrInvalid) {
			t.Errorf("%q for %q: got %v, want %q", test.to, test.from, err, test.want)
		}
	}
}

func TestFaultOfTheShortFormIsFoundInBoth(t *testing.T) {
	text := strings.Replace(valid, "cut: {at: 2s..3s}", "cut: {at: 2s..1s}", 1)
	for _, short := range []bool{false, true} {
		if _, err := Parse([]byte(text), short); err == nil || !strings.Contains(err.Error(), "the short form") {
			t.Errorf("short %v: got %v", short, err)
		}
	}
}

func TestRoutes(t *testing.T) {
	for _, test := range []struct {
		text string
		via  []string
		want bool
	}{
		{"direct", nil, true},
		{"direct", []string{"c"}, false},
		{"relayed", nil, false},
		{"relayed", []string{"c"}, true},
		{"via c", []string{"c"}, true},
		{"via c", []string{"d"}, false},
		{"via c, d", []string{"c", "d"}, true},
	} {
		r, err := parseRoute(test.text)
		if err != nil || r.Matches(test.via) != test.want {
			t.Errorf("%q matches %v: %v, %v", test.text, test.via, r.Matches(test.via), err)
		}
	}
}

func TestShippedScenariosAreValid(t *testing.T) {
	files, err := filepath.Glob("../../../scripts/scenarios/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	pending, _ := filepath.Glob("../../../scripts/scenarios/pending/*.yaml")
	files = append(files, pending...)
	for _, file := range files {
		for _, short := range []bool{false, true} {
			s, err := Load(file, short)
			if err != nil {
				t.Errorf("short %v: %v", short, err)
			} else if s.Name+".yaml" != filepath.Base(file) {
				t.Errorf("%s is named %s", file, s.Name)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(valid))
	f.Add([]byte(crowded))
	files, _ := filepath.Glob("../../../scripts/scenarios/*.yaml")
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, short := range []bool{false, true} {
			s, err := Parse(b, short)
			if (s == nil) == (err == nil) {
				t.Fatalf("scenario %v and error %v", s, err)
			}
			if err != nil {
				if !errors.Is(err, ErrInvalid) {
					t.Fatalf("error of an unknown kind: %v", err)
				}
				continue
			}
			if _, err := s.Timeline(s.Seed); err != nil {
				t.Fatalf("a valid scenario has no time line: %v", err)
			}
		}
	})
}
