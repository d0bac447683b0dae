package virtual

import (
	"bytes"
	"os"
	"strconv"
	"testing"
	"time"

	"overlayd/internal/lab/chaos"
)

// chaosSeeds is how many seeds the tests take; OVERLAYD_CHAOS_SEEDS says otherwise. `make chaos` takes 200.
const chaosSeeds = 3

// TestNothingBreaksInChaos throws all kinds of faults at ten nodes, from some seeds.
func TestNothingBreaksInChaos(t *testing.T) {
	seeds := uint64(chaosSeeds)
	if text := os.Getenv("OVERLAYD_CHAOS_SEEDS"); text != "" {
		n, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		seeds = n
	} else if testing.Short() {
		seeds = 1
	}
	for seed := uint64(1); seed <= seeds; seed++ {
		s, err := chaos.Scenario(seed, chaos.Simulated())
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		r, err := Run(t.Context(), s, Options{Out: &out})
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, &out)
		}
		if r.Failed() {
			r.Print(&out)
			t.Errorf("%s\nagain: bin/overlaylab chaos --seed %d -v", &out, seed)
		}
	}
}

func TestChaosOfOneSeedIsOneRun(t *testing.T) {
	o := chaos.Simulated()
	o.For, o.Faults, o.Tail = 15*time.Second, 8, 0
	s, err := chaos.Scenario(4, o)
	if err != nil {
		t.Fatal(err)
	}
	equalSeedsGiveEqualRuns(t, s)
}
