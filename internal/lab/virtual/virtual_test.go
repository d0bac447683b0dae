package virtual

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"overlayd/internal/lab/judge"
	"overlayd/internal/lab/scenario"
)

// triangle is three sites with a relay between two of them; more is added to it.
const triangle = `
name: triangle
duration: 12s
sites: {belmont: {}, cambridge: {}, boston: {}}
links:
  belmont -- boston: {rtt: 40ms}
  belmont -- cambridge: {rtt: 20ms}
  cambridge -- boston: {rtt: 25ms}
traffic:
  packets: {flow: belmont -- boston, every: 10ms}
`

func parse(t testing.TB, text string) *scenario.Scenario {
	t.Helper()
	s, err := scenario.Parse([]byte(text), false)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// run runs a scenario and returns its report; a test that fails shows the time line.
func run(t testing.TB, text string, repeat int) judge.Report {
	t.Helper()
	var out bytes.Buffer
	r, err := Run(t.Context(), parse(t, text), Options{Repeat: repeat, Out: &out})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			r.Print(&out)
			t.Logf("\n%s", &out)
		}
	})
	return r
}

// value is what was measured for an expectation.
func value(t testing.TB, r judge.Report, name string) float64 {
	t.Helper()
	for _, v := range r.Verdicts {
		if v.Name == name {
			if v.Missing || v.LeftOut != "" {
				t.Fatalf("%s: nothing measured: %s", name, v.Note)
			}
			return v.Median
		}
	}
	t.Fatalf("there is no expectation %s", name)
	return 0
}

func TestEqualSeedsGiveEqualRuns(t *testing.T) {
	fifty, err := scenario.Load("../../../scripts/scenarios/fifty.yaml", true)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("a crowd that changes", func(t *testing.T) { equalSeedsGiveEqualRuns(t, fifty) })
	t.Run("a cut under load", func(t *testing.T) {
		equalSeedsGiveEqualRuns(t, parse(t, triangle+`
events:
  fill: {at: 1s, tcp: belmont -> boston, bytes: 4MB}
  cut: {at: 1500ms..3s, cut: belmont -- boston}
expect: {outage: {outage: belmont -- boston, from: cut, below: 200ms}}
`))
	})
}

func equalSeedsGiveEqualRuns(t *testing.T, s *scenario.Scenario) {
	tell := func(seed uint64) string {
		r, err := Run(t.Context(), s, Options{Seed: &seed, Out: io.Discard})
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	first := tell(7)
	if again := tell(7); again != first {
		t.Errorf("two runs of one seed differ:\n%s\n%s", first, again)
	}
	if tell(8) == first {
		t.Error("another seed changes nothing")
	}
}

func TestWhatDoesNotComeAboutFails(t *testing.T) {
	r := run(t, `
name: alone
duration: 6s
sites: {a: {}, b: {}}
links: {a -- b: {rtt: 20ms}}
traffic: {packets: {flow: a -- b, every: 10ms}}
events: {cut: {at: 2s, cut: a -- b}, restore: {at: 4s, restore: a -- b}}
expect:
  outage: {outage: a -- b, below: 1s}
  calm: {loss: a -- b, from: 1s, to: cut - 100ms, below: 0%}
`, 1)
	if !r.Failed() || r.Pass || r.Verdicts[0].Pass || !r.Verdicts[1].Pass {
		t.Error("there is no other way, and the outage is none; or what passes does not")
	}
	if v := value(t, r, "outage"); v < 1.9 || v > 3.5 {
		t.Errorf("an outage of %v s by a cut of 2 s", v)
	}
}

func TestWhoStopsSaysGoodbyeAndWhoIsKilledDoesNot(t *testing.T) {
	outage := func(event string) float64 {
		r := run(t, `
name: relay-ends
duration: 9s
founder: cambridge
sites: {belmont: {}, cambridge: {}, worcester: {}, boston: {}}
links:
  belmont -- cambridge: {rtt: 20ms}
  cambridge -- boston: {rtt: 25ms}
  belmont -- worcester: {rtt: 30ms}
  worcester -- boston: {rtt: 35ms}
  cambridge -- worcester: {rtt: 30ms}
traffic: {packets: {flow: belmont -- boston, every: 10ms}}
events: {gone: {at: 6s, `+event+`: relay of belmont -> boston}}
expect:
  outage: {outage: belmont -- boston, from: gone, below: 1s}
  moved: {path: belmont -- boston, is: via worcester, from: gone, within: 1s}
`, 5)
		if !r.Pass {
			t.Errorf("%s: it does not pass", event)
		}
		return value(t, r, "moved")
	}
	if stopped, killed := outage("stop"), outage("kill"); stopped > 0.05 || killed < 2*stopped {
		t.Errorf("moved in %.3f s after a goodbye, in %.3f s after a death", stopped, killed)
	}
}

func TestUplinkHasARateAndAQueueThatDropsTheTail(t *testing.T) {
	// Every 2 ms a packet of 1000 bytes of payload, which is some 4.4 Mbit/s on the wire, over 2 Mbit/s.
	r := run(t, `
name: narrow
duration: 8s
sites: {a: {uplink: {rate: 2mbit, queue: 100ms}}, b: {}}
links: {a -- b: {rtt: 20ms}}
traffic: {packets: {flow: a -> b, every: 2ms, size: 1000}}
expect: {loss: {loss: a -> b, from: 4s, below: 100%}}
`, 1)
	if v := value(t, r, "loss"); v < 0.5 || v > 0.6 {
		t.Errorf("lost %.2f, want 1 - 2/4.4", v)
	}
	delay := r.Results[0].Flows[0].Median
	if delay < 100*time.Millisecond || delay > 120*time.Millisecond {
		t.Errorf("the median delay is %v, want 10 ms and a full queue of 100 ms", delay)
	}
}

func TestAWipedNodeJoinsAgainAsSomebodyElse(t *testing.T) {
	r := run(t, triangle+`
events:
  wipe: {at: 2s, wipe: boston}
  out: {at: 3s, revoke: boston, by: belmont}
  join: {at: 5s, join: boston, by: belmont, through: cambridge}
expect:
  forgotten: {revoked: boston, from: out, to: join, within: 1s}
  three: {members: all, are: 3, from: join, within: 2s}
  talks: {connected: belmont -- boston, from: join, within: 3s}
`, 1)
	if !r.Pass {
		t.Error("it does not pass")
	}
}

func TestWhatANodeRefusesIsAFault(t *testing.T) {
	r := run(t, triangle+`
events: {grant: {at: 2s, grant: boston, by: cambridge}}
expect: {three: {members: all, are: 3, within: 1s}}
`, 1)
	if r.Pass || !r.Failed() || len(r.Results[0].Faults) != 1 || !strings.Contains(r.Results[0].Faults[0], "event grant") {
		t.Errorf("cambridge is no admin, and the faults are %q", r.Results[0].Faults)
	}
}

// What a simulation cannot do makes everything that it may bear on unknown, and nothing else.
func TestWhatIsNotSimulatedIsNotJudged(t *testing.T) {
	r := run(t, `
name: left-out
duration: 12s
sites: {a: {}, b: {}}
lans:
  west: {subnet: 192.168.7.0/24, gateway: 192.168.7.1, nodes: a, hosts: desk}
  east: {subnet: 192.168.8.0/24, nodes: b, hosts: printer}
links: {a -- b: {rtt: 20ms}}
traffic:
  hosts: {flow: desk -- printer, every: 10ms}
  nodes: {flow: a -- b, every: 10ms}
events:
  gateway: {at: 10s, kill: gateway of west}
expect:
  hosts: {loss: desk -- printer, from: 1s, to: 2s, below: 0%}
  nodes: {loss: a -- b, from: 1s, to: 9s, below: 0%}
  after: {loss: a -- b, from: 9s, below: 0%}
`, 1)
	for i, want := range []string{noHosts, "", noHosts} {
		if got := r.Verdicts[i].LeftOut; got != want || r.Verdicts[i].Pass != (want == "") {
			t.Errorf("%s: %q, want %q; pass %v", r.Verdicts[i].Name, got, want, r.Verdicts[i].Pass)
		}
	}
	if r.Pass || r.Failed() {
		t.Errorf("pass %v, failed %v", r.Pass, r.Failed())
	}
}
