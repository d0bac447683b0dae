package lab

import (
	"bytes"
	"strings"
	"testing"

	"overlayd/internal/lab/judge"
)

func TestRatioIsOfTheSameRound(t *testing.T) {
	r := newBenchReport(map[string][]sample{
		"wireguard": {{rate: 1e9}, {rate: 2e9}, {rate: 4e9}},
		"direct":    {{rate: 1e9}, {rate: 1e9}, {rate: 4e9}},
		"relayed":   {{rate: 1e9, cpuPerGB: 1.6}},
	})
	if want := (Spread{Median: 1, Min: 0.5, Max: 1, Count: 3}); r.Ratio != want {
		t.Errorf("got %+v, want %+v", r.Ratio, want)
	}
	r.Idle = []judge.Usage{{Node: "relay", Resident: 41e6}, {Node: "wireguard-go at sender", Resident: 80e6}}
	r.Busy = r.Idle
	var out bytes.Buffer
	r.Print(&out)
	text := out.String()
	if strings.Count(text, "PASS") != 1 || strings.Count(text, "FAIL") != 2 {
		t.Errorf("the ratio passes, the relay's CPU and memory do not:\n%s", text)
	}
}
