package scenario

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"
)

const faulty = `
name: x
duration: 60s
sites: {a: {}, b: {}, c: {member: false}, d: {nat: masquerade}}
traffic: {t: {flow: a -- b}}
events:
  move: {at: 1s, move: a}
  clone: {at: 2s, clone: a, on: c}
  disk: {at: 3s, disk: [a, b], is: read-only}
  clock: {at: 4s, clock: a, by: -48h}
  hostile: {at: 5s, hostile: b, does: drops-data}
  slander: {at: 6s, hostile: b, does: slanders, about: [a, d]}
  running: {at: 7s, clock: a, by: 2400h, running: true}
expect:
  arrived: {arrived: a -> b, from: clone, at_most: 3}
  strangers: {unanswered: all, at_most: 9}
  blamed: {blamed: a, among: [b, d], at: end, at_most: 0}
`

func TestEventsBreakHosts(t *testing.T) {
	s := parse(t, faulty, false)
	if s.Events[0].Action != (Move{"a"}) || s.Events[1].Action != (Clone{"a", "c"}) {
		t.Errorf("%+v, %+v", s.Events[0].Action, s.Events[1].Action)
	}
	if disk := s.Events[2].Action.(Disk); disk.Is != DiskReadOnly || !slices.Equal(disk.Who, Group{"a", "b"}) {
		t.Errorf("%+v", disk)
	}
	if clock := s.Events[3].Action.(Clock); clock.By != -48*time.Hour || clock.Running {
		t.Errorf("%+v", clock)
	}
	if h := s.Events[4].Action.(Hostile); h.Node != "b" || h.Does != DropsData {
		t.Errorf("%+v", h)
	}
	if h := s.Events[5].Action.(Hostile); h.Does != Slanders || !slices.Equal(h.About, Group{"a", "d"}) {
		t.Errorf("%+v", h)
	}
	if clock := s.Events[6].Action.(Clock); clock.By != 2400*time.Hour || !clock.Running {
		t.Errorf("%+v", clock)
	}
	if blamed := s.Expect[2].Check.(Blamed); !slices.Equal(blamed.Among, Group{"b", "d"}) {
		t.Errorf("%+v", blamed)
	}
}

func TestFaultsOfHostsThatCannotBe(t *testing.T) {
	for _, event := range []string{
		"move: d", "move: nobody", "clone: a, on: b", "clone: c, on: c", "disk: a, is: slow", "clock: a, by: 0s",
		"clock: a, by: 10000h", "hostile: a, does: good", "hostile: nobody, does: deflects",
		"hostile: a, does: slanders", "hostile: a, does: slanders, about: nobody", "hostile: a, does: forges, about: b",
	} {
		text := "name: x\nduration: 5s\nsites: {a: {}, b: {}, c: {member: false}, d: {nat: masquerade}}\nevents: {e: {at: 1s, " + event + "}}\n"
		if _, err := Parse([]byte(text), false); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", event, err)
		}
	}
}

func TestASiteThatMovesHasOtherAddressesEachTime(t *testing.T) {
	site := parse(t, faulty, false).Sites[0]
	seen := map[netip.Addr]bool{}
	for range 3 {
		for _, a := range site.Addresses() {
			if seen[a] {
				t.Errorf("%v again", a)
			}
			seen[a] = true
		}
		site = site.Moved()
	}
}
