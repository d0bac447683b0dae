package agenda

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestThingsComeByTimeAndThenInTheOrderInWhichTheyWereEntered(t *testing.T) {
	type thing struct {
		due   time.Duration
		order int
	}
	rng := rand.New(rand.NewPCG(1, 1))
	var (
		a    Agenda[thing]
		want []thing
	)
	if _, some := a.Next(); some {
		t.Error("an empty agenda has something")
	}
	for i := range 1000 {
		want = append(want, thing{time.Duration(rng.IntN(50)), i})
		a.Push(want[i].due, want[i])
	}
	slices.SortStableFunc(want, func(x, y thing) int { return cmp.Compare(x.due, y.due) })
	for i, w := range want {
		due, some := a.Next()
		if !some || a.Len() != len(want)-i {
			t.Fatalf("%d are left after %d", a.Len(), i)
		}
		if got := a.Pop(); got != w || due != w.due {
			t.Fatalf("thing %d is %+v, due at %d: want %+v", i, got, due, w)
		}
	}
}
