package pathselect

import (
	"math"
	"testing"
	"time"
)

func TestLossPenalty(t *testing.T) {
	for p, want := range map[float64]float64{
		0: 0, .005: 2.8, .01: 7.8, .02: 22.3, .05: 94, .1: 325, .3: 3492, 1: 99000,
	} {
		if got := lossPenalty(p); math.Abs(got-want) > .02*want {
			t.Errorf("%.3f: %.1f ms, want %.1f", p, got, want)
		}
	}
	for p := 0.; p < 1; p += .001 {
		if lossPenalty(p+.001) <= lossPenalty(p) {
			t.Fatalf("not increasing at %.3f", p)
		}
	}
}

func TestBalancedTermsAddUp(t *testing.T) {
	p := *path(1, 40*ms, cambridge, francisco)
	p.Deviation, p.LossOutLow = 2*ms, .02
	c := Balanced().Rank(nil, Request{Paths: []Path{p}})[0].Cost
	sum := 0.
	for _, term := range c.Terms {
		sum += term.Value
	}
	if len(c.Terms) != 4 || math.Abs(sum-c.Total) > 1e-9 || math.Abs(c.Total-(40+2+22.3+4)) > .2 {
		t.Errorf("%+v", c)
	}
}

func TestDampingDecays(t *testing.T) {
	cfg := Config{}.withDefaults()
	var d damping
	at := epoch
	for range 100 {
		d.fail(at, cfg.DampHold, &cfg)
	}
	if left := d.left(at, &cfg); left > cfg.DampMax || left < cfg.DampMax*9/10 {
		t.Errorf("at most %v, got %v", cfg.DampMax, left)
	}
	if left := d.left(at.Add(time.Hour), &cfg); left != 0 {
		t.Errorf("after an hour %v", left)
	}
}
