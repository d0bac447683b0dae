package judge

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// outcomes are repetitions of one expectation with a bound of 0.2 in 95%, and always 1.
func outcomes(values ...float64) []Result {
	var all []Result
	for _, v := range values {
		o := Outcome{Name: "outage", Unit: Seconds, Value: v, Bound: 0.2, In: 0.95, Always: 1}
		o.decide()
		all = append(all, Result{Outcomes: []Outcome{o}, Pass: o.Pass})
	}
	return all
}

func many(n int, v float64, more ...float64) []float64 {
	values := make([]float64, n, n+len(more))
	for i := range values {
		values[i] = v
	}
	return append(values, more...)
}

func TestShareOfRepetitionsMustKeepTheBound(t *testing.T) {
	for _, test := range []struct {
		name   string
		values []float64
		want   bool
	}{
		{"all", many(20, 0.1), true},
		{"19 of 20", many(19, 0.1, 0.5), true},
		{"18 of 20", many(18, 0.1, 0.5, 0.5), false},
		{"19 of 20, but one over what none may be", many(19, 0.1, 1.5), false},
		{"a single one that keeps it", many(1, 0.2), true},
		{"a single one that does not", many(0, 0, 0.3), false},
	} {
		r := Report{Results: outcomes(test.values...)}
		r.Conclude()
		if r.Pass != test.want {
			t.Errorf("%s: %v", test.name, r.Pass)
		}
	}
}

func TestMissingMeasurementFails(t *testing.T) {
	o := Outcome{Unit: Seconds, Value: 0, Bound: 1, In: 1, Missing: true}
	o.decide()
	if o.Pass {
		t.Error("nothing measured, and passed")
	}
}

func TestBoundFromBelow(t *testing.T) {
	for value, want := range map[float64]bool{0.94: false, 0.95: true, 1.1: true} {
		o := Outcome{Unit: Share, Value: value, Bound: 0.95, In: 1, AtLeast: true}
		o.decide()
		if o.Pass != want {
			t.Errorf("%v: %v", value, o.Pass)
		}
	}
}

func TestFaultFailsTheReport(t *testing.T) {
	r := Report{Results: outcomes(0.1)}
	r.Results[0].Faults = []string{"boston: panic: out of cheese"}
	r.Conclude()
	var out bytes.Buffer
	r.Print(&out)
	if r.Pass || !strings.Contains(out.String(), "out of cheese") {
		t.Errorf("pass %v:\n%s", r.Pass, &out)
	}
}

func TestReportShowsTheDistribution(t *testing.T) {
	r := Report{Scenario: "boston", Results: outcomes(many(10, 0.05, 0.06, 0.07, 0.08, 0.15)...)}
	r.Conclude()
	var out bytes.Buffer
	r.Print(&out)
	for _, want := range []string{"50 ms", "150 ms", "≤ 200 ms in 95%, always ≤ 1.00 s", "14 of 14", "boston: PASS", "█"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, &out)
		}
	}
	if strings.Contains(out.String(), "\x1b[") {
		t.Error("there are colours in what is not a terminal")
	}
	b, err := json.Marshal(r)
	if err != nil || !bytes.Contains(b, []byte(`"median":0.05`)) {
		t.Errorf("%s, %v", b, err)
	}
}

func TestWhatIsLeftOutNeitherPassesNorFails(t *testing.T) {
	r := Report{Scenario: "saturated", Simulated: true, Results: outcomes(0.1)}
	rate := Outcome{Name: "goodput", Unit: Share, Value: 1, Bound: 0.95, AtLeast: true}
	rate.leaveOut("transfers are not simulated")
	rate.decide()
	r.Results[0].Outcomes = append(r.Results[0].Outcomes, rate)
	r.Conclude()
	var out bytes.Buffer
	r.Print(&out)
	if r.Pass || r.Failed() || !slices.Equal(r.LeftOut, []string{"goodput"}) {
		t.Errorf("pass %v, failed %v, left out %v", r.Pass, r.Failed(), r.LeftOut)
	}
	if !strings.Contains(out.String(), "saturated: NOT SIMULATED: 1 of 2 (goodput)") {
		t.Errorf("it says\n%s", &out)
	}
	r.Results[0].Outcomes[0].Pass = false
	r.Verdicts, r.LeftOut = nil, nil
	r.Conclude()
	if !r.Failed() {
		t.Error("a failure beside what is left out is none")
	}
}
