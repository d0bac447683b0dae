package sim

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
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

// swings fails if a source has gone back since a time to a way that it had left, or moves again and again.
func (s *sources) swings(h *Host, after time.Duration) {
	var ways []string
	for _, sw := range h.switchesTo(s.hub, 0) {
		if way := strings.Join(sw.Via, " "); sw.At < after {
			ways = []string{way} // what it had then
		} else {
			ways = append(ways, way)
		}
	}
	for i, way := range ways {
		if slices.Contains(ways[:i], way) || i > 2 {
			s.Errorf("seed %d: %s swings: %q", s.Seed, h.Name, ways)
			return
		}
	}
}

// loadSeed is the seed of the tests; OVERLAYD_SIM_SEED asks for another one.
func loadSeed() uint64 {
	seed, err := strconv.ParseUint(os.Getenv("OVERLAYD_SIM_SEED"), 10, 64)
	if err != nil {
		return 1
	}
	return seed
}

func TestSourcesThatLoseTheirPathsAtOnceSpreadOverTheRelays(t *testing.T) {
	type situation struct {
		ceiling uint64        // of each relay; 28 Mbit/s flow in all
		near    time.Duration // by which one relay is nearer to all
	}
	situations := map[string]situation{
		"alike":                  {0, 0},
		"one nearer, 56% in use": {10_000_000, 3 * time.Millisecond},
	}
	if os.Getenv("OVERLAYD_SIM_HOURS") != "" { // a long run
		situations["one nearer, 40% in use"] = situation{14_000_000, 2 * time.Millisecond}
	}
	for name, c := range situations {
		t.Run(name, func(t *testing.T) {
			s := manySources(t, loadSeed(), c.ceiling, c.near)
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
			for _, h := range s.sources {
				s.swings(h, settled)
			}
		})
	}
}
