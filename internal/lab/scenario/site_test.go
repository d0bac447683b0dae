package scenario

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
)

// sitesOf are the sites of a scenario that has only those and defaults.
func sitesOf(t *testing.T, text string) []Site {
	t.Helper()
	return parse(t, "name: x\nduration: 5s\n"+text, false).Sites
}

func TestASiteHasBothFamiliesALANAndDocker(t *testing.T) {
	a := sitesOf(t, "sites: {a: {}, b: {}}\n")[0]
	if got := a.Addresses(); !slices.Equal(got, []netip.Addr{
		netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("2001:db8:0:1::2"),
	}) {
		t.Errorf("addresses %v", got)
	}
	if want := []Bridge{
		{"br-lan", netip.MustParsePrefix("192.168.0.1/24")}, {"docker0", netip.MustParsePrefix("172.17.0.1/16")},
	}; !slices.Equal(a.Bridges, want) {
		t.Errorf("bridges %v", a.Bridges)
	}
}

func TestAScenarioTakesAwayWhatSitesHave(t *testing.T) {
	all := sitesOf(t, `
defaults: {lan: false, docker: 11}
sites: {a: {}, b: {ipv6: false, docker: 0}, c: {ipv4: false, lan: true, docker: 0}}
crowd: {count: 1, rtt: 10ms}
`)
	a, b, c, crowd := all[0], all[1], all[2], all[3]
	if len(a.Bridges) != 11 || a.Bridges[10] != (Bridge{"br-10", netip.MustParsePrefix("172.27.0.1/16")}) {
		t.Errorf("a has %v", a.Bridges)
	}
	if len(b.Bridges) != 0 || len(b.Addresses()) != 1 || !b.Addresses()[0].Is4() {
		t.Errorf("b has %v at %v", b.Bridges, b.Addresses())
	}
	if len(c.Bridges) != 1 || len(c.Addresses()) != 1 || !c.Addresses()[0].Is6() {
		t.Errorf("c has %v at %v", c.Bridges, c.Addresses())
	}
	if len(crowd.Bridges) != 11 || len(crowd.Addresses()) != 2 {
		t.Errorf("the crowd has %v at %v", crowd.Bridges, crowd.Addresses())
	}
}

func TestASiteOnALANHasNoOtherOne(t *testing.T) {
	all := sitesOf(t, "sites: {a: {}, b: {}}\nlans: {east: {subnet: 192.168.7.0/24, nodes: a}}\n")
	if len(all[0].Bridges) != 1 || all[0].Bridges[0].Device != "docker0" || len(all[1].Bridges) != 2 {
		t.Errorf("bridges %v and %v", all[0].Bridges, all[1].Bridges)
	}
}

func TestASiteNeedsAFamily(t *testing.T) {
	for _, sites := range []string{"a: {ipv4: false, ipv6: false}", "a: {docker: 16}", "a: {ipv4: false, nat: masquerade}"} {
		_, err := Parse([]byte("name: x\nduration: 5s\nfounder: b\nsites: {"+sites+", b: {}, c: {}}\n"), false)
		if !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", sites, err)
		}
	}
}
