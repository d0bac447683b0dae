package scenario

import (
	"errors"
	"testing"

	"overlayd/internal/lab/wan"
)

// dropOf is the drop of a link that has only that.
func dropOf(t *testing.T, text string) *Drop {
	t.Helper()
	s := parse(t, "name: x\nduration: 5s\nsites: {a: {}, b: {}}\nlinks: {a -- b: {drop: "+text+"}}\n", false)
	return s.Links[0].Change.Drop
}

func TestDropSaysWhatALinkDrops(t *testing.T) {
	for text, want := range map[string]struct {
		filter wan.Filter
		told   string
	}{
		"none":            {wan.Filter{}, "drop nothing"},
		"{types: 4}":      {wan.Filter{Contents: wan.Of(wan.Transport)}, "drop types: [4]"},
		"{types: [1, 2]}": {wan.Filter{Contents: wan.Of(wan.Initiation, wan.Response)}, "drop types: [1, 2]"},
		"{larger: 1200}":  {wan.Filter{Larger: 1200}, "drop larger: 1200"},
		"{all: true}":     {wan.Filter{Contents: wan.Everything}, "drop all: true"},
		"{udp: true}":     {wan.Filter{Contents: wan.AllUDP}, "drop udp: true"},
		"{icmp: true}":    {wan.Filter{Contents: wan.Of(wan.ICMPError)}, "drop icmp: true"},
		"{control: true}": {wan.Filter{Contents: wan.Of(wan.Control)}, "drop control: true"},
		"{labels: true, larger: 900}": {
			wan.Filter{Larger: 900, Contents: wan.Of(wan.Labeled)}, "drop larger: 900, labels: true",
		},
	} {
		drop := dropOf(t, text)
		if drop.Filter != want.filter || drop.Family != nil || drop.String() != want.told {
			t.Errorf("%s is %+v, told as %q", text, drop, drop)
		}
	}
}

func TestADropOfOneFamilyLeavesTheOther(t *testing.T) {
	six := dropOf(t, "{types: 4, family: ipv6}")
	had := wan.Filter{Larger: 1000}
	got := six.Of([wan.Families]wan.Filter{had, had})
	if got[wan.IPv4] != had || got[wan.IPv6] != (wan.Filter{Contents: wan.Of(wan.Transport)}) {
		t.Errorf("got %+v", got)
	}
	if got := (Drop{}).Of(got); got != ([wan.Families]wan.Filter{}) {
		t.Errorf("drop: none leaves %+v", got)
	}
}

func TestADropThatMeansNothingIsAnError(t *testing.T) {
	for _, text := range []string{"{}", "{types: 5}", "{types: 0}", "{larger: 20}", "{family: ipv4}", "{what: 4}", "some", "{udp: no}"} {
		file := "name: x\nduration: 5s\nsites: {a: {}, b: {}}\nlinks: {a -- b: {drop: " + text + "}}\n"
		if _, err := Parse([]byte(file), false); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestALinkHasAnMTUWithOrWithoutICMP(t *testing.T) {
	s := parse(t, "name: x\nduration: 5s\nsites: {a: {}, b: {}}\nlinks: {a -> b: {mtu: 1280}, b -> a: {mtu: 1400, icmp: false}}\n", false)
	got := s.Underlay(1)
	if got[0].Link != (wan.Link{MTU: 1280}) || got[1].Link != (wan.Link{MTU: 1400, Mute: true}) {
		t.Errorf("got %+v", got)
	}
}
