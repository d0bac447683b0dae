package lab

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"overlayd/internal/lab/judge"
	"overlayd/internal/lab/scenario"
	"overlayd/internal/wire"
)

// courtOf is three sites of which a member b is hostile, and what it does to packets from a and to c.
func courtOf(t *testing.T, does scenario.Mischief, six bool) (run *trial, in, out exchange) {
	t.Helper()
	w := worldOf(t, "sites: {a: {}, b: {}, c: {}}\nlinks: {any: {delay: 1ms}}")
	run = &trial{scenario: w.scenario, world: w, journal: judge.NewJournal(nil), epoch: time.Now()}
	if err := run.turnHostile(scenario.Hostile{Node: "b", Does: does}); err != nil {
		t.Fatal(err)
	}
	var at [3]netip.Addr
	for i, site := range w.scenario.Sites {
		at[i] = site.Address
		if six {
			at[i] = site.Address6
		}
	}
	return run, newExchange(t, w, at[0], at[1], "a", "b"), newExchange(t, w, at[1], at[2], "b", "c")
}

// relayedData is a frame of data behind a label.
func relayedData(label wire.Label, counter byte) []byte {
	b := make([]byte, 100)
	wire.PutLabel(b, label)
	b[wire.LabelHeaderLen], b[wire.LabelHeaderLen+8] = wire.WireGuardTransport, counter
	return b
}

func TestAHostileSiteLosesOrHoldsUpTheDataOfOthers(t *testing.T) {
	for does, arrives := range map[scenario.Mischief]bool{scenario.DropsData: false, scenario.DelaysData: true} {
		run, in, out := courtOf(t, does, false)
		if !in.arrives(t, relayedData(1, 1)) {
			t.Fatal("nothing reaches the hostile site")
		}
		began := time.Now()
		if got := out.arrivesWithin(t, time.Second, relayedData(2, 1)); got != arrives {
			t.Errorf("%s: data of others arrives: %v", does, got)
		}
		if took := time.Since(began); arrives && took < delayedData {
			t.Errorf("%s: data of others arrives after %v", does, took)
		}
		if !out.arrives(t, relayedData(2, 2)) {
			t.Errorf("%s: the site's own data does not arrive", does)
		}
		if n := run.countTampering()[0]; n != 1 {
			t.Errorf("%s: %d packets are counted", does, n)
		}
	}
}

// What is forged reaches programs: its checksums are right.
func TestAHostileSiteForgesPackets(t *testing.T) {
	for _, six := range []bool{false, true} {
		run, in, out := courtOf(t, scenario.Forges, six)
		if !out.arrives(t, []byte("so that c is known")) || !in.arrives(t, append([]byte("C"), make([]byte, 150)...)) {
			t.Fatal("nothing arrives at all")
		}
		if err := out.to.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 2000)
		for range 10 {
			n, from, err := out.to.ReadFromUDPAddrPort(b)
			if err != nil || n != 151 || from != out.from.LocalAddr().(interface{ AddrPort() netip.AddrPort }).AddrPort() {
				t.Fatalf("IPv6: %v: %d bytes from %v: %v", six, n, from, err)
			}
		}
		if n := run.countTampering()[0]; n != 10 {
			t.Errorf("%d packets are counted", n)
		}
	}
}

func TestWhatDaemonsCannotDoIsSaid(t *testing.T) {
	w := worldOf(t, "sites: {a: {}, b: {}}\nlinks: {a -- b: {}}")
	run := &trial{scenario: w.scenario, world: w, journal: judge.NewJournal(nil), epoch: time.Now()}
	for _, a := range []scenario.Action{
		scenario.Hostile{Node: "a", Does: scenario.Slanders, About: scenario.Group{"b"}},
		scenario.Clock{Who: scenario.Group{"a"}, By: time.Hour},
	} {
		if _, err := run.actOnHosts(scenario.Timed{Action: a}); err == nil || !strings.Contains(err.Error(), "in simulation") {
			t.Errorf("%+v: %v", a, err)
		}
	}
}
