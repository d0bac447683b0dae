package virtual

import (
	"strings"
	"testing"
)

// pair is two sites without a third: there is no way around what their link drops.
const pair = `
name: pair
duration: 12s
defaults: {ipv6: false}
sites: {belmont: {}, boston: {}}
links: {belmont -- boston: {rtt: 40ms}}
traffic:
  packets: {flow: belmont -- boston, every: 10ms, size: 1100}
events:
  drop: {at: 4s, set: belmont -> boston, drop: DROP}
  clear: {at: 8s, set: belmont -> boston, drop: none}
expect:
  calm: {lost: belmont -- boston, from: 1s, to: drop - 100ms, at_most: 0}
  dropped: {loss: belmont -> boston, from: drop, to: clear - 100ms, below: 100%}
  other-direction: {lost: boston -> belmont, from: drop, to: clear, at_most: 0}
  over: {loss: belmont -> boston, from: clear + 2s, below: 1%}
  paths-die: {dead: belmont -> boston, at_most: 100}
`

func TestALinkDropsWhatAScenarioSays(t *testing.T) {
	for _, c := range []struct {
		name, drop string
		lost       float64 // of the data
		dies       bool    // the path, as probes see it
	}{
		{"data", "{types: 4}", 1, false},
		{"handshakes", "{types: [1, 2, 3]}", 0, false}, // the session is there
		{"large packets", "{larger: 1000}", 1, false},
		{"packets larger than ours", "{larger: 1300}", 0, false},
		{"control frames", "{control: true}", 0, true},
		{"everything", "{all: true}", 1, true},
		{"IPv6", "{all: true, family: ipv6}", 0, false},
		{"labels", "{labels: true}", 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := run(t, strings.Replace(pair, "DROP", c.drop, 1), 1)
			if got := value(t, r, "dropped"); got < c.lost-.01 || got > c.lost+.3 {
				t.Errorf("%.1f%% lost, want %.0f%%", 100*got, 100*c.lost)
			}
			if got := value(t, r, "paths-die"); (got > 0) != c.dies {
				t.Errorf("%.0f paths died", got)
			}
			for _, name := range []string{"calm", "other-direction"} {
				if got := value(t, r, name); got != 0 && !c.dies {
					t.Errorf("%s: %.0f lost", name, got)
				}
			}
			if got := value(t, r, "over"); got > .01 {
				t.Errorf("%.1f%% lost after the end", 100*got)
			}
		})
	}
}
