package virtual

import (
	"strings"
	"testing"
)

// court is two honest ends and one that is not, which reach each other by relays only.
const court = `
name: court
duration: 40s
defaults: {ipv6: false, docker: 0}
sites: {belmont: {}, salem: {}, lynn: {}, cambridge: {}, worcester: {}}
links:
  any: {rtt: 20ms}
traffic:
  honest: {flow: belmont -- salem, every: 10ms}
  other: {flow: belmont -- lynn, every: 10ms}
events:
  c1: {at: 1s, cut: belmont -- salem}
  c2: {at: 1s, cut: belmont -- lynn}
  hostile: {at: 5s, hostile: lynn, DOES}
expect:
  believed: {blamed: [cambridge, worcester, salem], among: all, at: 35s, at_most: 0}
  blamed: {blamed: [cambridge, worcester], among: [belmont, salem], from: 1s, at_most: 0}
  strangers: {unanswered: [belmont, salem, cambridge, worcester], from: 6s, at_most: 180}
  talks: {loss: belmont -- salem, from: 6s, below: 1%}
`

// What hostile members do comes about, and what must hold does all the same.
func TestWhatHostileMembersDoComesAbout(t *testing.T) {
	for does, comes := range map[string][2]bool{ // the slander is believed; strangers are sent something
		"does: drops-data":       {false, false},
		"does: opens-circuits":   {false, false},
		"does: floods-addresses": {false, true},
		"does: slanders, about: [cambridge, worcester, salem]": {true, false},
	} {
		t.Run(does, func(t *testing.T) {
			r := run(t, strings.Replace(court, "DOES", does, 1), 1)
			if got := value(t, r, "believed"); (got > 0) != comes[0] {
				t.Errorf("%.0f relays are blamed on the way to the hostile member", got)
			}
			if got := value(t, r, "strangers"); (got > 40) != comes[1] {
				t.Errorf("%.0f packets to a stranger", got)
			}
			for _, v := range r.Verdicts {
				if !v.Pass && v.Name != "believed" {
					t.Errorf("%s: %v %s", v.Name, v.Value, v.Note)
				}
			}
		})
	}
}

// steps is a node that alone has something to say, and whose clock is set as it runs, to where it was before.
const steps = `
name: steps
duration: 20s
sites: {belmont: {}, boston: {}}
links: {belmont -- boston: {rtt: 20ms}}
traffic:
  packets: {flow: belmont -> boston, every: 10ms}
events:
  forth: {at: 3s, clock: belmont, by: 2400h, running: true}
  back: {at: 8s, clock: belmont, by: -4800h, running: true}
  right: {at: 13s, clock: belmont, by: 2400h, running: true}
expect:
  talks: {lost: belmont -> boston, from: 1s, at_most: 50}
`

func TestAClockIsSetAsTheNodeRuns(t *testing.T) {
	r := run(t, steps, 1)
	for _, v := range r.Verdicts {
		if !v.Pass {
			t.Errorf("%s: %v %s", v.Name, v.Value, v.Note)
		}
	}
	t.Logf("%.0f packets are lost", value(t, r, "talks"))
}
