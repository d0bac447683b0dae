package blackhole

import (
	"testing"
	"time"

	"overlayd/internal/wire"
)

// sizeRig plays paths of which some pass frames up to a limit only.
type sizeRig struct {
	t      *testing.T
	now    time.Time
	limits []int // of the paths; zero: none
	loss   map[int]time.Time
	tests  int
	heavy  bool
	*Sizes
}

func newSizeRig(t *testing.T, limits ...int) *sizeRig {
	n := uint64(0)
	return &sizeRig{
		t: t, now: start, limits: limits, loss: map[int]time.Time{},
		Sizes: NewSizes(func() uint64 { n++; return n }),
	}
}

func (r *sizeRig) run(d time.Duration, carries int, answer bool) {
	for end := r.now.Add(d); r.now.Before(end); r.now = r.now.Add(20 * time.Millisecond) {
		var list []SizeSample
		for i := range r.limits {
			list = append(list, SizeSample{
				Path: wire.PathID(i + 1), Up: true, Carries: i == carries, LastLoss: r.loss[i], Heavy: r.heavy, Answered: r.now.Add(-30 * time.Millisecond),
				Patience: 50 * time.Millisecond,
			})
			if !answer {
				list[i].Answered = time.Time{}
			}
		}
		r.Observe(r.now, list)
		for _, test := range r.Drain(nil) {
			r.tests++
			if limit := r.limits[test.Path-1]; limit == 0 || test.Size <= limit {
				r.Answered(r.now, test.Token)
			}
		}
	}
}

func (r *sizeRig) lose(i int) { r.loss[i] = r.now }

func TestAPathThatIsTooSmallIsFoundWithinASecond(t *testing.T) {
	r := newSizeRig(t, 1208, 0)
	r.Largest(r.now, 1332)
	r.run(5*time.Second, 0, true)
	if r.tests != 0 {
		t.Fatalf("%d tests though nothing was lost", r.tests)
	}
	r.lose(0)
	r.run(time.Second, 0, true)
	if r.TooSmall(1) == "" {
		t.Fatal("the path is not found to be too small")
	}
	if !r.Passes(2) || r.TooSmall(2) != "" {
		t.Error("the other path was not tested before it takes over")
	}
}

func TestLossThatHasNothingToDoWithSizeIsTestedRarely(t *testing.T) {
	r := newSizeRig(t, 0)
	r.Largest(r.now, 1332)
	for range 600 {
		r.lose(0)
		r.run(time.Second, 0, true)
	}
	if r.TooSmall(1) != "" || r.tests > 20 {
		t.Errorf("%d tests in ten minutes; %s", r.tests, r.TooSmall(1))
	}
}

func TestHeavyLossIsTestedAtOnce(t *testing.T) {
	r := newSizeRig(t, 0)
	r.Largest(r.now, 1332)
	for range 10 { // until tests for ordinary losses are rare
		r.lose(0)
		r.run(10*time.Second, 0, true)
	}
	r.limits[0], r.heavy = 1208, true
	at := r.now
	if !r.PassedSince(1, start) || r.PassedSince(1, at) {
		t.Error("it is not known when the path was last seen to carry large packets")
	}
	r.run(time.Second, 0, true)
	if r.TooSmall(1) == "" {
		t.Error("the path is not found to be too small")
	}
}

// A peer that reports losses without end causes 4 frames in 2 s on a path at most.
func TestTestsAreBounded(t *testing.T) {
	r := newSizeRig(t, 0)
	r.heavy = true
	for range 60 {
		r.Largest(r.now, 1332)
		r.lose(0)
		r.run(time.Second, 0, true)
	}
	if most := testSends * 31; r.tests > most {
		t.Errorf("%d frames in a minute, at most %d allowed", r.tests, most)
	}
}

func TestWhileProbesAreLostNothingIsFound(t *testing.T) {
	r := newSizeRig(t, 1)
	r.Largest(r.now, 1332)
	r.lose(0)
	r.run(10*time.Second, 0, false)
	if r.TooSmall(1) != "" {
		t.Error("a dead path was taken for a small one")
	}
}

func TestSmallPacketsNeedNoTest(t *testing.T) {
	r := newSizeRig(t, 100)
	r.Largest(r.now, leastSize-1)
	r.lose(0)
	r.run(time.Second, 0, true)
	if r.tests != 0 || !r.Passes(1) {
		t.Errorf("%d tests", r.tests)
	}
}

func TestAPathIsTriedAgainAndLargePacketsAreForgotten(t *testing.T) {
	r := newSizeRig(t, 1208)
	r.Largest(r.now, 1332)
	r.lose(0)
	r.run(time.Second, 0, true)
	r.tests = 0
	r.Largest(r.now, 1332)
	r.run(50*time.Second, 0, true)
	if r.TooSmall(1) == "" || r.tests != 2*testSends {
		t.Errorf("%d frames of tests in 50 s, 2 tests wanted; %q", r.tests, r.TooSmall(1))
	}
	for range 4 { // nothing large is sent any more
		r.Largest(r.now, 100)
		r.run(40*time.Second, 0, true)
	}
	if r.TooSmall(1) != "" {
		t.Error("nothing large is sent any more")
	}
	r.limits[0] = 0
	r.Largest(r.now, 1332)
	r.run(6*time.Minute, 0, true)
	if r.TooSmall(1) != "" {
		t.Error("the path carries everything again, and was not tested")
	}
}

func TestAnswersOfStrangersProveNothing(t *testing.T) {
	r := newSizeRig(t, 1)
	r.Largest(r.now, 1332)
	r.lose(0)
	for range 100 {
		r.run(20*time.Millisecond, 0, true)
		r.Answered(r.now, 99)
	}
	if r.TooSmall(1) == "" {
		t.Error("a token that was never sent answered a test")
	}
}
