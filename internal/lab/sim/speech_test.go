package sim

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"overlayd/internal/lab/hostile"
	"overlayd/internal/member"
	"overlayd/internal/wire"
)

// court is two honest ends, Belmont and Salem, two that may be hostile, and two relays without which no end reaches
// another.
type court struct {
	*Net
	belmont, salem *Host
	hostile        [2]*Host
	relays         [2]*Host
	all            []*Host
}

func newCourt(seed uint64) *court {
	c := &court{Net: New(seed)}
	f := c.Found()
	quiet := Options{Relay: member.RelayNever}
	c.belmont, c.salem = f.Host("belmont", quiet), f.Host("salem", quiet)
	c.hostile = [2]*Host{f.Host("lynn", quiet), f.Host("revere", quiet)}
	c.relays = [2]*Host{f.Host("cambridge", Options{}), f.Host("worcester", Options{})}
	c.all = slices.Clone(c.hosts)
	ends := c.all[:4]
	for i, a := range ends {
		for _, b := range ends[:i] {
			c.Both(a, b, func(l *Link) { l.Cut = true })
		}
		c.Both(a, c.relays[0], func(l *Link) { l.Delay = 5 * time.Millisecond })
		c.Both(a, c.relays[1], func(l *Link) { l.Delay = 8 * time.Millisecond })
	}
	f.Introduce(c.all...)
	return c
}

func (c *court) start() {
	for _, h := range c.all {
		h.Start()
	}
}

// blames reports whether a host holds a relay for guilty on the way to another one.
func (h *Host) blames(relay, to *Host) bool {
	for _, p := range h.Core.Paths(h.now()) {
		for _, c := range p.Candidates {
			if p.Peer == to.Name && strings.Contains(c.Quarantine, relay.Name+" is in quarantine") {
				return true
			}
		}
	}
	return false
}

// Who says that a relay loses its data loses that relay on the way to itself, and nobody else does, also if two say so who
// vouch for each other. Else the slander would be seen to do nothing at all.
func TestASlandererIsBelievedOfItselfOnly(t *testing.T) {
	for _, liars := range []int{1, 2} {
		for seed := range uint64(3) {
			c := newCourt(seed)
			for _, h := range c.hostile[:liars] {
				h.Speak(h.Slanders(c.relays[:1], c.hostile[:]))
			}
			c.start()
			f := stream(c.Net, c.belmont, c.salem, 10*time.Millisecond)
			for _, h := range c.hostile {
				stream(c.Net, c.belmont, h, 10*time.Millisecond)
				stream(c.Net, h, c.belmont, 10*time.Millisecond)
			}
			believed := make(map[*Host]bool)
			c.Every(100*time.Millisecond, func() bool {
				for _, h := range c.hostile {
					believed[h] = believed[h] || c.belmont.blames(c.relays[0], h)
				}
				if c.belmont.blames(c.relays[0], c.salem) || c.salem.blames(c.relays[0], c.belmont) {
					t.Fatalf("%d liars, seed %d: an honest relay is blamed on the way of two honest nodes at %v", liars, seed, c.Now())
				}
				return true
			})
			c.Run(2 * time.Minute)
			for i, h := range c.hostile {
				if believed[h] != (i < liars) {
					t.Errorf("%d liars, seed %d: on the way to %s the relay is blamed: %v", liars, seed, h.Name, believed[h])
				}
			}
			if lost := f.lost(5*time.Second, c.Now()-time.Second); lost > .002 {
				t.Errorf("%d liars, seed %d: %.2f%% between honest nodes are lost", liars, seed, 100*lost)
			}
		}
	}
}

// kinds are how many bytes of some kinds the others than the hostile hosts have sent.
func (c *court) kinds(kinds ...wire.Kind) (sum uint64) {
	for _, h := range c.all {
		for _, kind := range kinds {
			if !slices.Contains(c.hostile[:], h) {
				sum += h.Kinds[kind]
			}
		}
	}
	return sum
}

func TestBogusCircuitsKeepNobodyApart(t *testing.T) {
	for seed := range uint64(2) {
		answers := func(each int) (bytes uint64, f *flow) {
			c := newCourt(seed)
			for i, h := range c.hostile {
				if each > 0 {
					h.Speak(h.OpensCircuits(each, rand.New(rand.NewPCG(seed, uint64(i)))))
				}
				h.Pester(time.Second)
			}
			c.start()
			f = stream(c.Net, c.belmont, c.salem, 10*time.Millisecond)
			c.Run(15 * time.Second)
			c.Both(c.belmont, c.relays[0], func(l *Link) { l.Cut = true }) // another circuit is needed among all those
			c.Run(15 * time.Second)
			for _, h := range c.all {
				if n := len(h.table.Labels); n > 2000 {
					t.Errorf("seed %d: %s has %d labels", seed, h.Name, n)
				}
			}
			return c.kinds(wire.KindCircuitOpened, wire.KindCircuitError), f
		}
		quiet, _ := answers(0)
		loud, f := answers(10)
		t.Logf("seed %d: honest nodes answer circuits with %d bytes, %d without the flood", seed, loud, quiet)
		if loud < 20*quiet {
			t.Errorf("seed %d: the flood has no effect", seed)
		}
		if lost := f.lost(5*time.Second, 29*time.Second); lost > .01 {
			t.Errorf("seed %d: %.2f%% are lost", seed, 100*lost)
		}
	}
}

// Addresses that a hostile host says it has are tried, and no more than the bound allows, by all the ways in which it can
// say so together.
func TestAFloodOfAddressesReachesAVictimWithinTheBound(t *testing.T) {
	for seed := range uint64(3) {
		c := newCourt(seed)
		random := rand.New(rand.NewPCG(seed, 5))
		victim := &listener{}
		var where []netip.AddrPort
		for i := range 40 {
			where = append(where, netip.AddrPortFrom(strangersAddress.Addr(), uint16(5000+i)))
			c.byAddr[where[i]] = victim
		}
		h := c.hostile[0]
		h.Speak(hostile.Points(where, random))
		h.FloodRecords(200*time.Millisecond, where, random)
		h.Pester(time.Second)
		c.start()
		f := stream(c.Net, c.belmont, c.salem, 10*time.Millisecond)
		const span = 60
		c.Run(span * time.Second)
		honest := len(c.all) - 1
		t.Logf("seed %d: the victim gets %d frames of %d hosts", seed, victim.frames, honest)
		if victim.frames < 100 {
			t.Errorf("seed %d: the flood has no effect: %d frames", seed, victim.frames)
		}
		if most := (80 + 10*span) * honest; victim.frames > most {
			t.Errorf("seed %d: the victim gets %d frames, at most %d are allowed", seed, victim.frames, most)
		}
		if lost := f.lost(5*time.Second, c.Now()-time.Second); lost > 0 {
			t.Errorf("seed %d: %.2f%% are lost", seed, 100*lost)
		}
	}
}

// listener counts what arrives.
type listener struct{ frames int }

func (l *listener) receive(datagram) { l.frames++ }
