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
	if clock := s.Events[3].Action.(Clock); clock.By != -48*time.Hour {
		t.Errorf("%+v", clock)
	}
	if s.Events[4].Action != (Hostile{"b", DropsData}) {
		t.Errorf("%+v", s.Events[4].Action)
	}
	if blamed := s.Expect[2].Check.(Blamed); !slices.Equal(blamed.Among, Group{"b", "d"}) {
		t.Errorf("%+v", blamed)
	}
}

func TestFaultsOfHostsThatCannotBe(t *testing.T) {
	for _, event := range []string{
		"move: d", "move: nobody", "clone: a, on: b", "clone: c, on: c", "disk: a, is: slow", "clock: a, by: 0s",
		"clock: a, by: 10000h", "hostile: a, does: good", "hostile: nobody, does: deflects",
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
