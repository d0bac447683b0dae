package main

import (
	"strings"
	"testing"
)

// What users wish of the way to a peer is carried out while data flows, survives a restart, is told by history, and ends.
func TestAPinnedWayWithRealTraffic(t *testing.T) {
	t.Parallel()
	r := newRegion(t)
	belmont := r.site("belmont")
	belmont.start()
	cambridge, boston := r.site("cambridge"), r.site("boston")
	for _, s := range []*site{cambridge, boston} {
		s.joins(belmont)
		s.start()
	}
	r.meet(belmont, cambridge, boston)
	belmont.drum(boston.ipv4())
	ear := boston.ear()
	ear.hears(r.bench, belmont.ipv4(), soon)
	r.eventually(soon, func() error { return belmont.reaches("boston") })

	r.says(belmont.does("route", "pin", "boston", "--via", "cambridge", "--note", "fibre works"), "1")
	r.eventually(soon, func() error { return belmont.reaches("boston", "cambridge") })
	r.says(belmont.does("paths", "boston", "--why"), "cambridge", "pinned via cambridge (rule 1 by")
	r.says(belmont.does("route", "list"), "pinned via cambridge", "fibre works")
	r.says(belmont.does("what-if", "--down", "cambridge"), "boston", "direct")

	belmont.stop()
	belmont.start()
	belmont.drum(boston.ipv4())
	r.eventually(soon, func() error { return belmont.reaches("boston", "cambridge") })

	belmont.does("route", "remove", "1")
	r.eventually(soon, func() error { return belmont.reaches("boston") })
	history := belmont.does("history", "boston")
	for _, words := range []string{"pinned via cambridge", "via cambridge"} {
		if !strings.Contains(history, words) {
			t.Errorf("the history lacks %q:\n%s", words, history)
		}
	}
}
