package node

import (
	"net/netip"
	"strings"
	"testing"

	"overlayd/internal/member"
	"overlayd/internal/routeguard"
)

func (k *crowd) hostHas(prefixes ...string) {
	k.Helper()
	in := LocalAddresses{Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.7")}}
	for _, p := range prefixes {
		in.Host.Addresses = append(in.Host.Addresses, routeguard.Address{Prefix: netip.MustParsePrefix(p), Interface: "eth0"})
	}
	check(k, k.core.Step(k.now, in))
}

func (k *crowd) warned(words ...string) bool {
	text := strings.Join(k.core.warnings.all(), "\n")
	for _, word := range words {
		if !strings.Contains(text, word) {
			return false
		}
	}
	return true
}

func TestANetworkThatTheHostIsInIsNotRouted(t *testing.T) {
	k := newCrowd(t, 4, CoreConfig{}, behind)
	if k.carrier().IsZero() {
		t.Fatal("nobody carries packets to it")
	}
	for _, lan := range []string{"192.168.8.77/24", "192.168.0.77/16", "192.168.8.77/25"} {
		k.hostHas(lan)
		if id := k.carrier(); !id.IsZero() {
			t.Errorf("in %s: routed to %s", lan, k.core.name(id))
		}
		if !k.warned(lanNet.String(), "eth0", k.core.name(k.others[0].id.ID())) {
			t.Errorf("in %s: warned of %q", lan, k.core.warnings.all())
		}
	}
	k.hostHas("10.1.1.1/24")
	if !k.carrier().IsZero() {
		t.Error("routed at once after the host has left it: paths and addresses come and go")
	}
	k.now = k.now.Add(refuseFor)
	if k.carrier().IsZero() || k.warned(lanNet.String()) {
		t.Errorf("not routed after the host has left it: %q", k.core.warnings.all())
	}
}

func TestANetworkWithAnEndpointInUseIsNotRouted(t *testing.T) {
	k := newCrowd(t, 4, CoreConfig{}, behind)
	inside := netip.MustParseAddrPort("192.168.8.9:51871")
	third := k.others[2].id.ID()
	p := k.core.contact(k.now, third)
	q := k.core.addDirect(k.now, p, inside)
	if k.carrier().IsZero() {
		t.Fatal("an endpoint that never answered keeps a network out")
	}
	p.prober = k.upProber(q.id)
	if id := k.carrier(); !id.IsZero() {
		t.Errorf("routed to %s though it contains an endpoint in use", k.core.name(id))
	}
	if !k.warned(lanNet.String(), inside.String(), k.core.name(third)) {
		t.Errorf("warned of %q", k.core.warnings.all())
	}
}

func TestAHostInTheOverlaysPrefixIsToldSo(t *testing.T) {
	k := newCrowd(t, 2, CoreConfig{}, nil)
	k.hostHas("10.71.5.7/24")
	if !k.warned("10.71.5.0/24", "eth0", "10.71.0.0/16", "--prefix") {
		t.Errorf("warned of %q", k.core.warnings.all())
	}
	told := 0
	for _, out := range k.core.Drain(nil) {
		if n, ok := out.(Notice); ok && n.Warning && strings.Contains(n.Text, "10.71.5.0/24") {
			told++
		}
	}
	k.hostHas("10.71.5.7/24") // again
	for _, out := range k.core.Drain(nil) {
		if n, ok := out.(Notice); ok && n.Warning {
			told++
		}
	}
	if told != 1 {
		t.Errorf("logged %d times", told)
	}
	k.hostHas("10.9.5.7/24")
	if len(k.core.warnings.all()) > 0 {
		t.Errorf("still warned of %q", k.core.warnings.all())
	}
}

func TestAPeerWithEndpointsInTheOverlaysPrefixOnlyIsExplained(t *testing.T) {
	f := newFixture(t)
	f.publishes(2, netip.MustParseAddrPort("10.71.5.9:51871"))
	p := f.core.peers[f.other.ID()]
	for _, q := range p.sorted() {
		f.core.removePath(f.now, p, q)
	}
	if why := f.core.viewPaths(f.now, p).Reason; !strings.Contains(why, "10.71.5.9:51871") || !strings.Contains(why, "10.71.0.0/16") {
		t.Errorf("reason: %s", why)
	}
}

func TestOnePrefixAtTwoSitesIsNoticed(t *testing.T) {
	cfg := CoreConfig{Subnets: []netip.Prefix{lanNet}}
	k := newCrowd(t, 4, cfg, behind)
	k.hostHas("192.168.8.77/24")
	other := k.others[0]
	inside := netip.MustParseAddrPort("192.168.8.9:51871")
	p := k.core.contact(k.now, other.id.ID())
	p.member.Record.Endpoints = []netip.AddrPort{inside}
	advertised := map[netip.Prefix][]member.Member{lanNet: {p.member}}
	q := k.core.addDirect(k.now, p, netip.MustParseAddrPort("203.0.113.9:51871"))
	p.prober = k.upProber(q.id)
	look := func() []string { return k.core.twoSites(k.now, advertised, []netip.Prefix{lanNet}) }
	if got := look(); len(got) > 0 {
		t.Errorf("warned before it could be reached: %q", got)
	}
	k.now = k.now.Add(siteFor)
	if got := look(); len(got) != 1 || !strings.Contains(got[0], inside.String()) || !strings.Contains(got[0], lanNet.String()) {
		t.Errorf("reached elsewhere only: %q", got)
	}
	at := k.core.addDirect(k.now, p, inside)
	p.prober = k.upProber(at.id)
	if got := look(); len(got) > 0 {
		t.Errorf("reached in the network itself: %q", got)
	}
}
