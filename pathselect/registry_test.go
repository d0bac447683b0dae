package pathselect

import (
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"overlayd/internal/wire"
)

func TestLookup(t *testing.T) {
	for _, name := range Names() {
		if a, err := Lookup(name); err != nil || a.Name() != name {
			t.Errorf("%q: %v, %v", name, a, err)
		}
	}
	for _, name := range []string{"", "best", "Balanced", "balanced "} {
		a, err := Lookup(name)
		if a != nil || !errors.Is(err, ErrUnknown) {
			t.Fatalf("%q: %v, %v", name, a, err)
		}
		for _, known := range Names() {
			if !strings.Contains(err.Error(), known) {
				t.Errorf("%q does not list %s", err, known)
			}
		}
	}
	if name := Default().Name(); name != "balanced" || Names()[0] != name {
		t.Errorf("the default is %s, the first of %v", name, Names())
	}
}

func TestNamesCanBeTypedAndDiffer(t *testing.T) {
	form := regexp.MustCompile(`^[a-z][a-z0-9-]{0,15}$`)
	seen := make(map[string]bool)
	for _, a := range All() {
		if !form.MatchString(a.Name()) || seen[a.Name()] {
			t.Errorf("%q is no name of its own in small letters", a.Name())
		}
		seen[a.Name()] = true
		if a.Summary() == "" || strings.Contains(a.Summary(), "\n") {
			t.Errorf("%s: the summary %q is not one line", a.Name(), a.Summary())
		}
	}
}

// What docs/algorithms.md asks of an algorithm.
func TestEveryAlgorithm(t *testing.T) {
	for _, a := range All() {
		t.Run(a.Name(), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(5, 6))
			for range 200 {
				r := Request{Class: wire.TrafficClass(rng.IntN(int(wire.TrafficClasses)))}
				for i := range 1 + rng.IntN(6) {
					r.Paths = append(r.Paths, randomPath(rng, wire.PathID(i+1)))
				}
				barred := &r.Paths[rng.IntN(len(r.Paths))]
				barred.Quarantine = "in quarantine"
				before := slices.Clone(r.Paths)
				ranked := a.Rank(nil, r)
				ranksAll(t, r, ranked)
				if !reflect.DeepEqual(before, r.Paths) || !reflect.DeepEqual(ranked, a.Rank(nil, r)) {
					t.Fatal("it changes what it is given, or what it answers")
				}
				if last := ranked[len(ranked)-1]; last.ID != barred.ID || last.Bar == "" {
					t.Fatalf("path %d is barred, and %d comes last", barred.ID, last.ID)
				}
			}
			for range 200 {
				p := randomPath(rng, 1)
				worse := p
				worse.RTT += ms
				worse.RecentRTT, worse.MinRTT = worse.RTT, worse.RTT
				grows(t, a, p, worse, "round-trip time")
				worse = p
				worse.LossOutLow = min(1, worse.LossOutLow+.01)
				grows(t, a, p, worse, "loss")
				worse = p
				worse.Via = append(slices.Clone(p.Via), wire.NodeID{99})
				grows(t, a, p, worse, "relays")
			}
		})
		t.Run(a.Name()+" under the Selector", func(t *testing.T) {
			rng := rand.New(rand.NewPCG(7, 8))
			for range 5 {
				b := make([]byte, 800)
				for i := range b {
					b[i] = byte(rng.Uint32())
				}
				play(t, a, b)
			}
		})
	}
}

func randomPath(rng *rand.Rand, id wire.PathID) Path {
	p := Path{
		ID: id, State: Up, Samples: 10, RTT: time.Duration(1+rng.IntN(300)) * ms, Deviation: time.Duration(rng.IntN(20)) * ms,
		Load: float64(rng.IntN(2)) * rng.Float64(), Rate: float64(rng.IntN(2)) * 1e7 * rng.Float64(),
	}
	p.RecentRTT, p.MinRTT = p.RTT, p.RTT
	if rng.IntN(3) == 0 {
		p.LossOutLow = rng.Float64() * rng.Float64()
		p.LossOut = p.LossOutLow
	}
	for i := range rng.IntN(wire.MaxRelays) {
		p.Via = append(p.Via, wire.NodeID{byte(i + 1)})
	}
	return p
}

// ranksAll holds that each path is there once, with a finite cost that is the sum of its terms, and the costs in order.
func ranksAll(t *testing.T, r Request, ranked []Ranked) {
	t.Helper()
	seen := make(map[wire.PathID]bool)
	for i := range ranked {
		x := &ranked[i]
		seen[x.ID] = true
		sum := 0.
		for _, term := range x.Cost.Terms {
			sum += term.Value
		}
		if math.IsNaN(x.Cost.Total) || math.IsInf(x.Cost.Total, 0) || math.Abs(sum-x.Cost.Total) > 1e-6*(1+math.Abs(sum)) {
			t.Fatalf("the terms of path %d add up to %g, and it costs %g", x.ID, sum, x.Cost.Total)
		}
		if i > 0 && ranked[i-1].Bar == x.Bar && ranked[i-1].Cost.Total > x.Cost.Total {
			t.Fatalf("path %d comes before the cheaper path %d", ranked[i-1].ID, x.ID)
		}
	}
	if len(ranked) != len(r.Paths) || len(seen) != len(r.Paths) {
		t.Fatalf("%d paths, of which %d differ, for %d", len(ranked), len(seen), len(r.Paths))
	}
}

func grows(t *testing.T, a Algorithm, p, worse Path, with string) {
	t.Helper()
	cost := func(p Path) float64 { return a.Rank(nil, Request{Paths: []Path{p}})[0].Cost.Total }
	if cost(worse) < cost(p) {
		t.Fatalf("the cost %g falls to %g with more %s: %+v", cost(p), cost(worse), with, p)
	}
}
