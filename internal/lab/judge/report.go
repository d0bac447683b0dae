package judge

import (
	"fmt"
	"math"
	"slices"

	"overlayd/internal/lab/meter"
	"overlayd/internal/lab/scenario"
)

// Report is all repetitions of one scenario.
type Report struct {
	Scenario    string    `json:"scenario"`
	Description string    `json:"description"`
	Short       bool      `json:"short"`
	Simulated   bool      `json:"simulated"`
	Results     []Result  `json:"results"`
	Verdicts    []Verdict `json:"verdicts"`
	LeftOut     []string  `json:"left_out,omitempty"` // expectations of which these runs can tell nothing
	Pass        bool      `json:"pass"`               // everything that was expected came about, and nothing was left out
}

// Repeat runs a scenario so many times, once at least, each time with the next seed, and concludes. The error says that a
// run broke off.
func Repeat(
	r *Report, s *scenario.Scenario, first *uint64, times int, once func(seed uint64) (Result, error),
) error {
	seed := s.Seed
	if first != nil {
		seed = *first
	}
	for i := range uint64(max(1, times)) {
		result, err := once(seed + i)
		if err != nil {
			return fmt.Errorf("%s, seed %d: %w", s.Name, seed+i, err)
		}
		r.Results = append(r.Results, result)
	}
	r.Conclude()
	return nil
}

// Failed reports whether something that was expected did not come about, or a program misbehaved.
func (r Report) Failed() bool {
	return slices.ContainsFunc(r.Results, func(result Result) bool { return len(result.Faults) > 0 }) ||
		slices.ContainsFunc(r.Verdicts, func(v Verdict) bool { return !v.Pass && v.LeftOut == "" })
}

// Verdict is one expectation over all repetitions.
type Verdict struct {
	Outcome                // of the repetition with the worst value
	Values       []float64 `json:"values"` // in ascending order
	Min          float64   `json:"min"`
	Median       float64   `json:"median"`
	P95          float64   `json:"p95"`
	Max          float64   `json:"max"`
	MissingTimes int       `json:"missing_times"`
	Kept         int       `json:"kept"` // repetitions that keep the bound
	Pass         bool      `json:"pass"`
}

// Conclude fills what follows from the results.
func (r *Report) Conclude() {
	if len(r.Results) == 0 {
		r.Pass = true
		return
	}
	for i := range r.Results[0].Outcomes {
		var all []Outcome
		for _, result := range r.Results {
			if i < len(result.Outcomes) {
				all = append(all, result.Outcomes[i])
			}
		}
		v := verdict(all)
		if v.LeftOut != "" {
			r.LeftOut = append(r.LeftOut, v.Name)
		}
		r.Verdicts = append(r.Verdicts, v)
	}
	r.Pass = !r.Failed() && len(r.LeftOut) == 0
}

// verdict sums up the outcomes of one expectation, of which there is one at least.
func verdict(all []Outcome) Verdict {
	v := Verdict{Outcome: all[0]}
	always := true
	for _, o := range all {
		v.Values = append(v.Values, o.Value)
		if o.Missing {
			v.MissingTimes++
		}
		if o.Pass {
			v.Kept++
		}
		always = always && !o.Missing && (o.Always == 0 || o.keeps(o.Always))
		if worse(o, v.Outcome) {
			v.Outcome = o
		}
	}
	slices.Sort(v.Values)
	v.Min, v.Max = v.Values[0], v.Values[len(v.Values)-1]
	v.Median, v.P95 = meter.Quantile(v.Values, 0.5), meter.Quantile(v.Values, 0.95)
	needed := int(math.Ceil(v.In*float64(len(all)) - 1e-9))
	v.Pass = v.LeftOut == "" && v.Kept >= needed && (always || v.Always == 0)
	return v
}

// worse reports whether a is a worse outcome than b of the same expectation.
func worse(a, b Outcome) bool {
	if (a.LeftOut != "") != (b.LeftOut != "") {
		return a.LeftOut != ""
	}
	if a.Missing != b.Missing {
		return a.Missing
	}
	if a.AtLeast {
		return a.Value < b.Value
	}
	return a.Value > b.Value
}
