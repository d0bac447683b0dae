package judge

import (
	"bytes"
	"strings"
	"testing"

	"overlayd/internal/lab/scenario"
)

// reportOf is a report of runs with these outages, whose path at the end is given.
func reportOf(path string, outages ...float64) Report {
	var r Report
	for _, v := range outages {
		o := Outcome{Name: "outage", What: "outage a -- b", Unit: Seconds, Value: v, Bound: 9, In: 1}
		if v < 0 {
			o.Value, o.Missing = 5, true
		}
		o.decide()
		r.Results = append(r.Results, Result{
			Outcomes: []Outcome{o}, Flows: []Flow{{Flow: "a -> b", Path: path}, {Flow: "b -> a", Path: "direct"}},
		})
	}
	r.Conclude()
	return r
}

func TestARealRunAgreesWithinTheBounds(t *testing.T) {
	s, err := scenario.Parse([]byte(`
name: x
duration: 5s
sites: {a: {}, b: {}}
links: {a -- b: {rtt: 10ms}}
traffic: {packets: {flow: a -- b, every: 10ms}}
expect: {outage: {outage: a -- b, below: 1s}}
`), false)
	if err != nil {
		t.Fatal(err)
	}
	simulated := reportOf("via c", 0.05, 0.1, 0.15)
	for _, test := range []struct {
		name string
		real Report
		want bool
	}{
		{"the same", reportOf("via c", 0.1), true},
		{"a little longer", reportOf("via c", 0.179), true},
		{"too long", reportOf("via c", 0.181), false},
		{"a little shorter", reportOf("via c", 0.021), true},
		{"too short", reportOf("via c", 0.019), false},
		{"one of three too long", reportOf("via c", 0.1, 0.12, 0.9), true},
		{"another path at the end", reportOf("direct", 0.1), false},
		{"never over", reportOf("via c", -1), false},
	} {
		a := Compare(s, simulated, test.real)
		if a.Agree != test.want || len(a.Rows) != 3 {
			t.Errorf("%s: agree %v, in %d rows", test.name, a.Agree, len(a.Rows))
		}
		var out bytes.Buffer
		a.Print(&out)
		if want := "x: " + agreed(test.want); !strings.Contains(out.String(), want) {
			t.Errorf("%s: %q is not in\n%s", test.name, want, &out)
		}
	}
	if a := Compare(s, reportOf("via c", -1), reportOf("via c", -1)); !a.Agree {
		t.Error("both are never over, and do not agree")
	}
}
