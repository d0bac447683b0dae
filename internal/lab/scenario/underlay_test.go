package scenario

import (
	"slices"
	"testing"
	"time"

	"overlayd/internal/lab/wan"
)

func TestAListedPairOwesNothingToAny(t *testing.T) {
	s := parse(t, valid, false)
	const ms = time.Millisecond
	want := []Direction{
		{Pair{From: "a", To: "b"}, wan.Link{Delay: 20 * ms, Loss: 0.01}},
		{Pair{From: "a", To: "c"}, wan.Link{Delay: 15 * ms}},
		{Pair{From: "b", To: "a"}, wan.Link{Delay: 5 * ms, Jitter: ms, Loss: 0.01}},
		{Pair{From: "b", To: "c"}, wan.Link{Delay: 15 * ms}},
		{Pair{From: "c", To: "a"}, wan.Link{Delay: 15 * ms}},
		{Pair{From: "c", To: "b"}, wan.Link{Delay: 15 * ms}},
	}
	if got := s.Underlay(1); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestWithoutAnyOnlyListedPairsReachEachOther(t *testing.T) {
	s := parse(t, "name: x\nduration: 5s\nsites: {a: {}, b: {}, c: {}}\nlinks: {a -> b: {rtt: 10ms}}\n", false)
	if got := s.Underlay(1); len(got) != 1 || got[0].Pair != (Pair{From: "a", To: "b"}) {
		t.Errorf("got %v", got)
	}
}

func TestASplitSeversOnlyWhatIsBetweenItsGroups(t *testing.T) {
	s := parse(t, "name: x\nduration: 5s\nsites: {other: {}}\ncrowd: {count: 3, rtt: 10ms}\n", false)
	got := s.Severs(Split{Groups: []Group{{"node-1"}, {"node-2", "node-3"}}})
	want := []Pair{
		{From: "node-1", To: "node-2"},
		{From: "node-1", To: "node-3"},
		{From: "node-2", To: "node-1"},
		{From: "node-3", To: "node-1"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
