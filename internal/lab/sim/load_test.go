package sim

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"overlayd/internal/member"
	"overlayd/internal/wire"
)

const (
	loadSources = 50
	loadRelays  = 5
)

// sources is a hub that fifty nodes send to, and five relays.
type sources struct {
	*Net
	testing.TB
	hub     *Host
	relays  []*Host
	sources []*Host
	cut     bool
}

// manySources is such a network; near is how much nearer, one way, the first relay is to everybody than the others.
func manySources(t testing.TB, seed, ceiling uint64, near time.Duration) *sources {
	s := &sources{Net: New(seed), TB: t}
	f := s.Found()
	for i := range loadRelays {
		s.relays = append(s.relays, f.Host(fmt.Sprintf("relay-%d", i), Options{Ceiling: ceiling}))
	}
	s.hub = f.Host("hub", Options{Relay: member.RelayNever})
	for i := range loadSources {
		s.sources = append(s.sources, f.Host(fmt.Sprintf("source-%d", i), Options{Relay: member.RelayNever}))
	}
	s.Between = func(from, to *Host) Link {
		l := Link{Delay: 10 * time.Millisecond, Jitter: time.Millisecond}
		for _, end := range []*Host{from, to} {
			if end == s.relays[0] {
				l.Delay -= near
			}
		}
		direct := (from == s.hub || to == s.hub) && from.index >= loadRelays && to.index >= loadRelays
		l.Cut = direct && s.cut
		return l
	}
	f.Introduce(s.hosts...)
	for _, h := range s.hosts {
		h.Start()
	}
	for i, h := range s.sources { // 560 kbit/s each
		s.After(time.Duration(i)*time.Millisecond, func() {
			s.Every(20*time.Millisecond, func() bool {
				h.SendSized(s.hub, wire.DefaultTraffic, 1400)
				return true
			})
		})
	}
	return s
}

// used is how many sources each relay carries.
func (s *sources) used() (n [loadRelays]int) {
	for _, h := range s.sources {
		if via := h.via(s, s.hub); len(via) == 1 {
			for i, r := range s.relays {
				if via[0] == r.Name {
					n[i]++
				}
			}
		}
	}
	return n
}

// switches is how often the sources changed their paths since a time.
func (s *sources) switches(after time.Duration) (n int) {
	for _, h := range s.sources {
		n += len(h.switchesTo(s.hub, after))
	}
	return n
}

func TestSourcesThatLoseTheirPathsAtOnceSpreadOverTheRelays(t *testing.T) {
	for name, c := range map[string]struct {
		ceiling uint64
		near    time.Duration
	}{
		"alike":                   {0, 0},
		"one nearer and bounded":  {14_000_000, 2 * time.Millisecond}, // 28 Mbit/s in all
		"one nearer, all bounded": {10_000_000, 3 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			s := manySources(t, 1, c.ceiling, c.near)
			s.Run(20 * time.Second)
			s.cut = true
			s.Run(5 * time.Second)
			used := s.used()
			t.Logf("after 5 s: %v, %d switches since", used, s.switches(20*time.Second))
			if most := slices.Max(used[:]); most > 2*loadSources/loadRelays {
				t.Errorf("seed %d: %v: a relay has %d of %d", s.Seed, used, most, loadSources)
			}
			s.Run(25 * time.Second)
			settled := s.Now()
			s.Run(30 * time.Second)
			t.Logf("after 60 s: %v, %d switches in the last half", s.used(), s.switches(settled))
			if n := s.switches(settled); n > loadSources/5 {
				t.Errorf("seed %d: %d switches in half a minute", s.Seed, n)
			}
			for _, h := range s.sources {
				if list := h.switchesTo(s.hub, settled); len(list) > 1 {
					t.Errorf("seed %d: %s does not settle: %+v", s.Seed, h.Name, list)
				}
			}
		})
	}
}
