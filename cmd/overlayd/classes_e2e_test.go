package main

import (
	"fmt"
	"strings"
	"testing"
)

// sends says whether the daemon has sent packets of a class, or none.
func (d *service) sends(class string, want bool) error {
	d.Helper()
	if n := d.status().Counters[class+"_packets"]; n > 0 != want {
		return fmt.Errorf("%s has sent %d %s packets", d.name, n, class)
	}
	return nil
}

// A rule may name a peer that is no member yet, and is for what goes to that peer alone.
func TestARuleForWhatGoesToAPeer(t *testing.T) {
	t.Parallel()
	r := newRegion(t)
	belmont := r.site("belmont")
	belmont.start("--classes", fmt.Sprintf("critical protocol=udp port=%d peer=boston,bulk port=%d", drumPort, drumPort))
	if log := belmont.log(); !strings.Contains(log, "boston") {
		t.Errorf("nothing is said of a peer that is no member: %s", log)
	}
	cambridge, boston := r.site("cambridge"), r.site("boston")
	for _, s := range []*site{cambridge, boston} {
		s.joins(belmont)
		s.start()
	}
	r.meet(belmont, cambridge, boston)

	ear, from := cambridge.ear(), belmont.ipv4()
	belmont.drum(cambridge.ipv4())
	ear.hears(r.bench, from, soon)
	r.must(belmont.sends("bulk", true))
	r.must(belmont.sends("critical", false))

	ear = boston.ear()
	belmont.drum(boston.ipv4())
	ear.hears(r.bench, from, soon)
	r.must(belmont.sends("critical", true))
	boston.drum(belmont.ipv4()) // boston has no rules
	belmont.ear().hears(r.bench, boston.ipv4(), soon)
	r.must(boston.sends("critical", false))
	r.says(belmont.does("status"), "critical_packets")
}
