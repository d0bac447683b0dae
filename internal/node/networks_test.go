package node

import (
	"net/netip"
	"testing"
	"time"

	"overlayd/internal/member"
	"overlayd/internal/wire"
	"overlayd/pathselect"
	"overlayd/probe"
)

var (
	lanNet = netip.MustParsePrefix("192.168.8.0/24")
	router = netip.MustParseAddr("192.168.8.1")
)

// behind lets the first two of the others, and the core itself if cfg says so, advertise a network.
func behind(i int, c *member.Certificate, s *member.Statement) {
	if i < 2 {
		c.Subnets, s.Subnets = []netip.Prefix{lanNet}, []netip.Prefix{lanNet}
	}
}

// reached makes the core believe that it reaches a member in a given time; zero: not at all.
func (k *crowd) reached(o *other, rtt time.Duration) {
	k.Helper()
	p := k.core.contact(k.now, o.id.ID())
	p.prober = probe.New(probe.Config{}, k.core.Stamp, k.core.random, k.core.secret)
	p.choices.list[0].route = pathselect.Selection{}
	if rtt == 0 {
		return
	}
	k.answers(p.prober, 1, rtt)
	p.choices.list[0].route.Selected = 1
}

// upProber has one path, which is up.
func (k *crowd) upProber(id wire.PathID) *probe.Prober {
	k.Helper()
	p := probe.New(probe.Config{}, k.core.Stamp, k.core.random, k.core.secret)
	k.answers(p, id, time.Millisecond)
	return p
}

// answers makes a path of a prober whose first probe is answered.
func (k *crowd) answers(p *probe.Prober, id wire.PathID, rtt time.Duration) {
	k.Helper()
	check(k, p.Step(k.now, probe.AddPath{ID: id}))
	check(k, p.Step(k.now, probe.Tick{}))
	for _, out := range p.Drain(nil) {
		if ping, ok := out.(probe.SendPing); ok {
			at := k.now.Add(rtt)
			k.now = at
			check(k, p.Step(at, probe.PongReceived{
				On: id, At: at, Pong: wire.Pong{Path: id, Seq: ping.Ping.Seq, Nonce: ping.Ping.Nonce, Sent: ping.Ping.Sent, Received: 1, Replied: 1},
			}))
		}
	}
}

// carrier is who carries packets to the network, by a fresh look.
func (k *crowd) carrier() (id wire.NodeID) {
	k.core.reviewNetworks(k.now)
	return k.core.networks.told.Carriers[lanNet]
}

func TestTheNearerOfTwoNodesCarriesANetwork(t *testing.T) {
	k := newCrowd(t, 4, CoreConfig{}, behind)
	near, far := k.others[0], k.others[1]
	k.reached(far, 50*time.Millisecond)
	if k.carrier() != far.id.ID() {
		t.Fatal("the only one that is reached does not carry it")
	}
	k.reached(near, 10*time.Millisecond)
	if k.carrier() != far.id.ID() {
		t.Error("a nearer one takes over at once")
	}
	k.now = k.now.Add(carrierHold)
	if k.carrier() != near.id.ID() {
		t.Error("a nearer one does not take over")
	}
	k.reached(far, 9*time.Millisecond)
	k.carrier()
	k.now = k.now.Add(2 * carrierHold)
	if k.carrier() != near.id.ID() {
		t.Error("taken over for a millisecond")
	}
	k.reached(near, 0)
	if k.carrier() != far.id.ID() {
		t.Error("a failure waits")
	}
	k.reached(far, 0)
	if k.carrier() != far.id.ID() {
		t.Error("changed though nobody is reached")
	}
	if got := k.core.networks.told.Behind; len(got) != 2 {
		t.Errorf("packets of %d nodes are taken", len(got))
	}
	check(t, k.core.Revoke(k.now, far.id.ID(), false))
	if k.carrier() != near.id.ID() || len(k.core.networks.told.Behind) != 1 {
		t.Error("a revoked node carries on")
	}
}

func TestASuspectNodeIsStoodInForSoon(t *testing.T) {
	k := newCrowd(t, 4, CoreConfig{}, behind)
	first, second := k.others[0], k.others[1]
	k.reached(first, 10*time.Millisecond)
	k.reached(second, 40*time.Millisecond)
	if k.carrier() != first.id.ID() {
		t.Fatal("the nearer one does not carry it")
	}
	p := k.core.peers[first.id.ID()]
	check(t, p.prober.Step(k.now, probe.ProbeNow{ID: 1}))
	for deadline := k.now.Add(5 * time.Second); p.state(1) == probe.Up && k.now.Before(deadline); {
		k.now = k.now.Add(5 * time.Millisecond)
		check(t, p.prober.Step(k.now, probe.Tick{}))
	}
	if p.state(1) != probe.Suspect {
		t.Fatalf("the path is %s", p.state(1))
	}
	if k.carrier() != first.id.ID() {
		t.Error("another one stands in at once")
	}
	due := k.core.networks.doubt
	if due.IsZero() || due.Sub(k.now) > doubtFor {
		t.Fatalf("looked at again %v from now", due.Sub(k.now))
	}
	k.now = due
	if k.carrier() != second.id.ID() {
		t.Error("nobody stands in for a suspect node")
	}
}

func TestTheSmallestLiveNodeOfASiteHoldsItsGateway(t *testing.T) {
	cfg := CoreConfig{Subnets: []netip.Prefix{lanNet}, Gateways: []netip.Addr{router}}
	k := newCrowd(t, 4, cfg, behind)
	holds := func() bool {
		k.core.reviewNetworks(k.now)
		return k.core.networks.holding[router]
	}
	smaller := k.others[0].id.ID().Compare(k.core.self) < 0 || k.others[1].id.ID().Compare(k.core.self) < 0
	for _, o := range k.others[:2] {
		k.reached(o, time.Millisecond)
	}
	if holds() {
		t.Error("held before the other nodes of the site could speak")
	}
	k.core.networks.waited = true
	if holds() == smaller {
		t.Errorf("held: %t; another live node has a smaller identifier: %t", !smaller, smaller)
	}
	for _, o := range k.others[:2] {
		k.reached(o, 0)
	}
	if !holds() {
		t.Error("nobody else lives, and it is not held")
	}
	for _, o := range k.others[:2] {
		if p := k.core.peers[o.id.ID()]; p.beside != probe.Standby {
			t.Errorf("another node of the site is probed at rate %s at least", p.beside)
		}
	}
}

func TestOnlyWhatTheCertificateAllowsIsAdvertised(t *testing.T) {
	allowed, other := lanNet, netip.MustParsePrefix("192.168.9.0/24")
	k := newCrowd(t, 1, CoreConfig{Subnets: []netip.Prefix{allowed}}, nil)
	k.core.cfg.Subnets = []netip.Prefix{allowed, other}
	k.now = k.now.Add(time.Second)
	k.core.publishSelf(k.now)
	k.core.settle(k.now)
	if got := k.core.localNetworks(); len(got) != 1 || got[0] != allowed {
		t.Errorf("advertised: %v", got)
	}
	check(t, k.core.SetSubnet(k.now, k.core.self, other, true))
	k.run(time.Second)
	if got := k.core.localNetworks(); len(got) != 2 {
		t.Errorf("advertised after it was allowed: %v", got)
	}
}
