package nat

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"
)

func addresses(texts ...string) (list []netip.Addr) {
	for _, text := range texts {
		list = append(list, netip.MustParseAddr(text))
	}
	return list
}

var dampStart = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func TestNewAddressesCountAtOnce(t *testing.T) {
	var d Damper
	for i, list := range [][]netip.Addr{
		addresses("192.0.2.1"), addresses("192.0.2.2"), addresses("192.0.2.3", "192.0.2.2"), addresses("192.0.2.2"),
		addresses("192.0.2.3", "192.0.2.2"), // once more
	} {
		now := dampStart.Add(time.Duration(i) * time.Second)
		d.Set(now, list)
		if got := d.Steady(now); !slices.Equal(got, list) {
			t.Errorf("of %v these count: %v", list, got)
		}
		if due, ok := d.NextDeadline(now); ok {
			t.Errorf("waits for %v", due)
		}
	}
}

// flap lets an address come and go in so many periods, half of each, and counts how often the list changes.
func flap(d *Damper, begin time.Time, period time.Duration, periods int) (changes int, end time.Time) {
	steady, flapping := addresses("192.0.2.1"), addresses("192.0.2.1", "192.0.2.9")
	var last []netip.Addr
	now := begin
	look := func() {
		if got := d.Steady(now); !slices.Equal(got, last) {
			last, changes = got, changes+1
		}
	}
	for range periods {
		for _, list := range [][]netip.Addr{flapping, steady} {
			d.Set(now, list)
			for until := now.Add(period / 2); now.Before(until); {
				look()
				next := until
				if due, ok := d.NextDeadline(now); ok && due.Before(next) {
					next = due
				}
				now = next
			}
		}
	}
	look()
	return changes, now
}

func TestAFlappingAddressIsHeldBack(t *testing.T) {
	for _, c := range []struct {
		period  time.Duration
		periods int
		most    int
	}{
		{200 * time.Millisecond, 500, 5}, {time.Second, 600, 5}, {10 * time.Second, 360, 9}, {time.Minute, 60, 17},
	} {
		var d Damper
		n, end := flap(&d, dampStart, c.period, c.periods)
		if n > c.most {
			t.Errorf("%d periods of %v change the list %d times", c.periods, c.period, n)
		}
		d.Set(end, addresses("192.0.2.1", "192.0.2.9")) // and now it stays
		for due, ok := d.NextDeadline(end); ok; due, ok = d.NextDeadline(end) {
			end = due
		}
		if got := d.Steady(end); len(got) != 2 {
			t.Errorf("periods of %v: it does not count again after all", c.period)
		}
		if wait := end.Sub(dampStart) - c.period*time.Duration(c.periods); wait > maxHold {
			t.Errorf("periods of %v: it waits %v", c.period, wait)
		}
	}
}

func TestThePastOfAddressesIsForgottenInTheEnd(t *testing.T) {
	var d Damper
	_, now := flap(&d, dampStart, time.Second, 100)
	now = now.Add(steadyFor)
	d.Set(now, addresses("192.0.2.1", "192.0.2.9"))
	if got := d.Steady(now); len(got) != 2 {
		t.Error("held back for what was long ago")
	}
	for i := range 10 * maxDamped {
		d.Set(now.Add(time.Duration(i)*time.Millisecond), addresses(fmt.Sprintf("10.0.%d.%d", i/250, i%250)))
	}
	if len(d.past) > maxDamped+1 {
		t.Errorf("the past of %d addresses is kept", len(d.past))
	}
}
