package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"overlayd/internal/member"
	"overlayd/pathselect"
)

// square is Belmont and Boston, 80 ms apart, and two relays: Cambridge, over which it is 20 ms, and Worcester, 30 ms.
func square(seed uint64) (n *Net, belmont, boston, cambridge, worcester *Host) {
	n = New(seed)
	f := n.Found()
	quiet := Options{Relay: member.RelayNever}
	belmont, boston = f.Host("belmont", quiet), f.Host("boston", quiet)
	cambridge, worcester = f.Host("cambridge", Options{}), f.Host("worcester", Options{})
	link := func(a, b *Host, oneWay time.Duration) {
		n.Both(a, b, func(l *Link) { l.Delay, l.Jitter = oneWay, oneWay/20 })
	}
	link(belmont, boston, 40*time.Millisecond)
	for _, end := range []*Host{belmont, boston} {
		link(end, cambridge, 5*time.Millisecond)
		link(end, worcester, 7500*time.Microsecond)
	}
	f.Introduce(n.hosts...)
	for _, h := range n.hosts {
		h.Start()
	}
	return n, belmont, boston, cambridge, worcester
}

// dropper loses a part of the data.
func dropper(rng *rand.Rand, part float64) func() (bool, time.Duration) {
	return func() (bool, time.Duration) { return rng.Float64() < part, 0 }
}

func TestARelayThatHarmsDataOnlyIsLeftAndNamed(t *testing.T) {
	const seeds = 8
	for _, c := range []struct {
		name   string
		lose   float64
		wait   time.Duration
		within time.Duration
	}{
		{"drops all", 1, 0, 2 * time.Second},
		{"drops a fifth", .2, 0, 15 * time.Second},
		{"drops a twentieth", .05, 0, 60 * time.Second},
		{"delays by 100 ms", 0, 100 * time.Millisecond, 30 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			var took []time.Duration
			for seed := range uint64(seeds) {
				n, belmont, boston, cambridge, _ := square(seed)
				stream(n, belmont, boston, 10*time.Millisecond)
				n.Run(20 * time.Second)
				if via := belmont.via(t, boston); !slices.Equal(via, []string{"cambridge"}) {
					t.Fatalf("seed %d: by way of %v at first", seed, via)
				}
				begin := n.Now()
				lose := dropper(rand.New(rand.NewPCG(seed, 7)), c.lose)
				cambridge.Hostile = func() (bool, time.Duration) {
					lost, _ := lose()
					return lost, c.wait
				}
				for n.Now() < begin+2*time.Minute && slices.Equal(belmont.via(t, boston), []string{"cambridge"}) {
					n.Run(50 * time.Millisecond)
				}
				took = append(took, n.Now()-begin)
				n.Run(70 * time.Second)
				if via := belmont.via(t, boston); slices.Contains(via, "cambridge") {
					t.Errorf("seed %d: back to cambridge: %+v", seed, belmont.switchesTo(boston, begin))
				}
				quarantined := false
				for _, p := range belmont.Core.Paths(n.now) {
					for _, q := range p.Candidates {
						quarantined = quarantined || p.Peer == "boston" && slices.Contains(q.Via, "cambridge") && q.Quarantine != ""
					}
				}
				if !quarantined {
					t.Errorf("seed %d: cambridge is not in quarantine", seed)
				}
			}
			slices.Sort(took)
			t.Logf("left after %v", took)
			if most := took[len(took)-1]; most > c.within {
				t.Errorf("left after %v at most, want %v", most, c.within)
			}
		})
	}
}

func TestAnHonestRelayAtItsCeilingIsNotQuarantined(t *testing.T) {
	n, belmont, boston, cambridge, _ := square(3)
	cambridge.Kill()
	cambridge.cfg.Ceiling = 100_000 // 100 packets of 208 bytes a second are 166 kbit/s
	cambridge.Start()
	stream(n, belmont, boston, 10*time.Millisecond)
	n.Run(3 * time.Minute)
	for _, p := range belmont.Core.Paths(n.now) {
		for _, q := range p.Candidates {
			if q.Quarantine != "" {
				t.Errorf("%v: %s", q.Via, q.Quarantine)
			}
		}
	}
}

// hostileNetwork is many nodes of which no two reach each other directly but over relays, a part of which is hostile.
func hostileNetwork(t testing.TB, seed uint64, part float64) (delivered float64) {
	const relays, ends = 20, 10
	n := New(seed)
	f := n.Found()
	for i := range relays {
		f.Host(fmt.Sprintf("relay-%d", i), Options{})
	}
	for i := range ends {
		f.Host(fmt.Sprintf("end-%d", i), Options{Relay: member.RelayNever, Algorithm: pathselect.Balanced()})
	}
	n.Between = func(from, to *Host) Link {
		return Link{Delay: n.distance(from, to), Jitter: time.Millisecond, Cut: from.index >= relays && to.index >= relays}
	}
	f.Introduce(n.hosts...)
	for _, h := range n.hosts {
		h.Start()
	}
	rng := rand.New(rand.NewPCG(seed, 11))
	for _, i := range rng.Perm(relays)[:int(part*relays)] {
		n.hosts[i].Hostile = dropper(rng, 1)
	}
	var flows []*flow
	for i := range ends {
		flows = append(flows, stream(n, n.hosts[relays+i], n.hosts[relays+(i+1)%ends], 10*time.Millisecond))
	}
	n.Run(30 * time.Second)
	for _, f := range flows {
		delivered += (1 - f.lost(10*time.Second, 28*time.Second)) / float64(len(flows))
	}
	return delivered
}

func TestHostileRelaysDoNotKeepDataFromArriving(t *testing.T) {
	for seed := range uint64(2) {
		honest := hostileNetwork(t, seed, 0)
		for _, part := range []float64{.1, .3, .5} {
			got := hostileNetwork(t, seed, part)
			t.Logf("seed %d: %.0f%% hostile: %.2f%% delivered, %.2f%% with honest ones", seed, 100*part, 100*got, 100*honest)
			if got < .99*honest {
				t.Errorf("seed %d: %.0f%% hostile: %.2f%% delivered", seed, 100*part, 100*got)
			}
		}
	}
}
