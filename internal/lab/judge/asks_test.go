package judge

import (
	"testing"

	"overlayd/internal/lab/scenario"
)

func TestPathsAreLookedAtOftenIfAnExpectationAsksWhenTheyChange(t *testing.T) {
	for name, c := range map[string]struct {
		check scenario.Check
		want  bool
	}{
		"path":         {scenario.Path{}, true},
		"switches":     {scenario.Switches{}, true},
		"dead":         {scenario.Dead{}, true},
		"quarantined":  {scenario.Quarantined{}, true},
		"blamed":       {scenario.Blamed{}, false},
		"first-packet": {scenario.FirstPacket{}, false},
	} {
		s := &scenario.Scenario{Expect: []scenario.Expectation{{Check: scenario.Arrived{}}, {Check: c.check}}}
		if got := AsksWhen(s); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
