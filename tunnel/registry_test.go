package tunnel

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.zx2c4.com/wireguard/device"
)

// allowedIPs is what wireguard-go has for a peer.
func (s *site) allowedIPs(of *site) []string {
	s.t.Helper()
	config, err := s.plane.device.IpcGet()
	if err != nil {
		s.t.Fatal(err)
	}
	var (
		allowed []string
		mine    bool
	)
	for line := range strings.Lines(config) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch key {
		case "public_key":
			var public device.NoisePublicKey
			if err := public.FromHex(value); err != nil {
				s.t.Fatal(err)
			}
			mine = public == device.NoisePublicKey(of.public)
		case "allowed_ip":
			if mine {
				allowed = append(allowed, value)
			}
		}
	}
	slices.Sort(allowed)
	return allowed
}

func prefixes(texts ...string) []netip.Prefix {
	var list []netip.Prefix
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

func TestAddPeerSetsTheAddressesItMayUse(t *testing.T) {
	a, b, c := newSite(t, 1), newSite(t, 2), newSite(t, 3)
	steps := []struct {
		peer  *site
		allow []string
		wantB string
		wantC string
	}{
		{b, []string{"10.0.0.2/32", "10.5.1.1/32"}, "10.0.0.2/32 10.5.1.1/32", ""},
		{b, []string{"10.0.0.2/32", "10.5.1.1/32"}, "10.0.0.2/32 10.5.1.1/32", ""},
		{b, []string{"10.0.0.2/32", "fd00::2/128"}, "10.0.0.2/32 fd00::2/128", ""},
		{c, []string{"10.0.0.2/32", "10.0.0.3/32"}, "fd00::2/128", "10.0.0.2/32 10.0.0.3/32"},
		{c, []string{"10.0.0.3/32"}, "fd00::2/128", "10.0.0.3/32"},
		{b, []string{"10.0.0.2/32", "fd00::2/128"}, "10.0.0.2/32 fd00::2/128", "10.0.0.3/32"},
	}
	for i, step := range steps {
		if err := a.plane.AddPeer(step.peer.id, step.peer.public, prefixes(step.allow...)); err != nil {
			t.Fatal(err)
		}
		if err := a.plane.create(a.plane.peers.view.Load().peer(step.peer.id)); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(a.allowedIPs(b), " "); got != step.wantB {
			t.Errorf("step %d: the first peer has %q, want %q", i, got, step.wantB)
		}
		if got := strings.Join(a.allowedIPs(c), " "); got != step.wantC {
			t.Errorf("step %d: the second peer has %q, want %q", i, got, step.wantC)
		}
		view := a.plane.peers.view.Load()
		for text, want := range map[string]*site{"10.0.0.3": c, "fd00::2": b} {
			if p := view.owner(netip.MustParseAddr(text)); p != nil && p.id != want.id {
				t.Errorf("step %d: %s goes to %v", i, text, p.id)
			}
		}
	}
	if err := a.plane.AddPeer(b.id, c.public, nil); err == nil {
		t.Error("a peer changed its key")
	}
	if err := a.plane.AddPeer(b.id, b.public, prefixes("10.5.0.0/16")); err == nil {
		t.Error("a peer got a network for its address")
	}
}

func TestARemovedPeerIsForgotten(t *testing.T) {
	a, b, _, _ := connected(t)
	a.sendTo(b, 0, 1, 100)
	b.expect(0, 1)
	for range 2 {
		if err := b.plane.RemovePeer(a.id); err != nil {
			t.Fatal(err)
		}
	}
	if b.plane.device.LookupPeer(device.NoisePublicKey(a.public)) != nil {
		t.Error("wireguard-go still knows the peer")
	}
	if b.plane.peers.view.Load().owner(a.inner) != nil {
		t.Error("its address still leads to it")
	}
	b.add(a)
	b.sendTo(a, 0, 1, 100) // by a new session, before the other side has given up the old one
	a.expect(0, 1)
}

func TestTheEndOfTheInterfaceEndsThePlane(t *testing.T) {
	s := newSite(t, 1)
	s.tun.Close()
	<-s.plane.Done()
}

func TestClosingTwiceIsHarmless(t *testing.T) {
	s := newSite(t, 1)
	if err := s.plane.Close(); err != nil {
		t.Fatal(err)
	}
	<-s.plane.Done()
}
