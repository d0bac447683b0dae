package duplicate

import (
	"net/netip"
	"slices"
	"testing"
	"time"
)

var (
	start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	x     = netip.MustParseAddrPort("198.51.100.1:51871")
	y     = netip.MustParseAddrPort("203.0.113.2:51871")
)

// heard is one fresh frame.
type heard struct {
	after     time.Duration
	epoch     uint64
	takenOver bool
	from      netip.AddrPort
}

func TestDuplicates(t *testing.T) {
	s := time.Second
	for _, c := range []struct {
		name   string
		frames []heard
		want   bool
	}{
		{"a node that restarts again and again", []heard{{0, 2, false, x}, {s, 4, false, x}, {2 * s, 6, false, x}}, false},
		{"a node that moves", []heard{{0, 2, false, x}, {s, 2, false, y}, {2 * s, 2, false, x}}, false},
		{"a node that moves and restarts", []heard{{0, 2, false, x}, {s, 4, false, y}, {2 * s, 6, false, x}}, false},
		{"a node that goes back to a snapshot", []heard{{0, 2, false, x}, {s, 5, true, x}, {2 * s, 7, true, x}}, false},
		{"a snapshot that is started elsewhere", []heard{{0, 2, false, x}, {s, 5, true, y}}, false},
		{"a copy of the state", []heard{{0, 2, false, x}, {s, 4, false, y}, {2 * s, 7, true, x}}, true},
		{"a copy of the memory", []heard{{0, 2, false, x}, {s, 2, false, y}, {2 * s, 5, true, y}, {3 * s, 7, true, x}}, true},
		{"a copy that runs behind a relay", []heard{{0, 2, false, x}, {s, 4, false, netip.AddrPort{}}, {2 * s, 7, true, x}}, true},
		{"evidence that is old", []heard{{0, 2, false, x}, {s, 4, false, y}, {time.Hour, 7, true, x}}, false},
		{"a frame of an older epoch", []heard{{0, 4, false, x}, {s, 2, false, y}, {2 * s, 1, true, x}}, false},
	} {
		var r Runs
		news := 0
		now := start
		for _, f := range c.frames {
			now = start.Add(f.after)
			if r.Heard(now, f.epoch, f.takenOver, f.from) {
				news++
			}
		}
		at := r.At(now)
		if got := at != nil; got != c.want || news > 0 != c.want {
			t.Errorf("%s: found at %v, news %d times; want %v", c.name, at, news, c.want)
		}
	}
}

func TestDuplicatesAreNamedOnceAndForgotten(t *testing.T) {
	var r Runs
	now, news, epoch := start, 0, uint64(2)
	r.Heard(now, epoch, false, x)
	for i := range 20 {
		now = now.Add(time.Second)
		epoch += 3
		from := []netip.AddrPort{y, x}[i%2]
		if r.Heard(now, epoch, true, from) {
			news++
		}
		r.Heard(now, epoch, true, from)
	}
	if at := r.At(now); news != 1 || !slices.Equal(at, []netip.AddrPort{x, y}) {
		t.Errorf("told %d times, at %v; want once, at both addresses", news, at)
	}
	if len(r.list) > runsKept {
		t.Errorf("%d runs are kept", len(r.list))
	}
	if at := r.At(now.Add(within + time.Second)); at != nil {
		t.Errorf("still named at %v", at)
	}
}

func TestSourcesAreBounded(t *testing.T) {
	var r Runs
	for i := range 100 {
		r.Heard(start, 2, false, netip.AddrPortFrom(x.Addr(), uint16(i+1)))
	}
	if n := len(r.list[0].sources); n != sourcesKept {
		t.Errorf("%d sources are kept, want %d", n, sourcesKept)
	}
}
