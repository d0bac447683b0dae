package judge

import "fmt"

// Unit is what a measured value counts.
type Unit string

// The units.
const (
	Seconds Unit = "s"
	Share   Unit = "share" // 0 to 1
	Count   Unit = "count"
	Rate    Unit = "bit/s"
	Truth   Unit = "truth" // 1: as expected
)

// Outcome is one expectation and what was measured for it.
type Outcome struct {
	Name    string  `json:"name"`
	What    string  `json:"what"`
	Unit    Unit    `json:"unit"`
	Value   float64 `json:"value"`
	Missing bool    `json:"missing,omitempty"` // what was to be measured did not happen; the value is the least it can be
	Bound   float64 `json:"bound"`
	AtLeast bool    `json:"at_least"`         // the bound is from below
	In      float64 `json:"in"`               // the share of repetitions that must keep the bound
	Always  float64 `json:"always,omitempty"` // a bound that all must keep; 0: none
	Note    string  `json:"note,omitempty"`
	LeftOut string  `json:"left_out,omitempty"` // why this run can tell nothing about it; then it has not passed
	Pass    bool    `json:"pass"`               // of this repetition, by the bound
}

// decide sets Pass.
func (o *Outcome) decide() {
	o.Pass = o.LeftOut == "" && !o.Missing && o.keeps(o.Bound)
}

// leaveOut says that nothing is known of the outcome, and why.
func (o *Outcome) leaveOut(why string) {
	o.Value, o.Missing, o.Note, o.LeftOut = 0, false, why, why
}

// keeps reports whether the value keeps a bound.
func (o *Outcome) keeps(bound float64) bool {
	if o.AtLeast {
		return o.Value >= bound
	}
	return o.Value <= bound
}

// format prints a value in its unit.
func (u Unit) format(v float64) string {
	switch u {
	case Seconds:
		if v < 1 {
			return fmt.Sprintf("%.0f ms", v*1e3)
		}
		return fmt.Sprintf("%.2f s", v)
	case Share:
		return fmt.Sprintf("%.2f%%", v*100)
	case Rate:
		return fmt.Sprintf("%.2f kbit/s", v/1e3)
	case Truth:
		return map[bool]string{true: "yes", false: "no"}[v >= 1]
	}
	return fmt.Sprintf("%.0f", v)
}

// bound prints what is expected.
func (o Outcome) bound() string {
	if o.Unit == Truth {
		return ""
	}
	sign := "≤ "
	if o.AtLeast {
		sign = "≥ "
	}
	text := sign + o.Unit.format(o.Bound)
	if o.In < 1 {
		text += fmt.Sprintf(" in %.0f%%", o.In*100)
	}
	if o.Always > 0 {
		text += ", always " + sign + o.Unit.format(o.Always)
	}
	return text
}
