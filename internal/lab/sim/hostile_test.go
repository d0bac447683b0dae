package sim

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"overlayd/internal/member"
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
	f := stream(n, belmont, boston, 10*time.Millisecond)
	n.Run(3 * time.Minute)
	if lost := f.lost(0, n.Now()-time.Second); lost < .001 || lost > .02 {
		t.Errorf("%.2f%% lost: the ceiling should have cost something, but not for long", 100*lost)
	}
	for _, p := range belmont.Core.Paths(n.now) {
		for _, q := range p.Candidates {
			if q.Quarantine != "" {
				t.Errorf("%v: %s", q.Via, q.Quarantine)
			}
		}
	}
}

// mischief is what a hostile relay does.
type mischief int

const (
	drops   mischief = iota // all data
	lies                    // it is near to everybody, so that all lists say so, and holds up what it relays
	refuses                 // it does not relay: the others have to do, which is what to compare with
)

// hostileNetwork is ten pairs of which no end reaches the other directly but over twenty relays, a part of which is
// hostile. It returns the part of the data that was delivered from the tenth second on, and the mean time that it took.
func hostileNetwork(seed uint64, part float64, do mischief) (delivered float64, took time.Duration) {
	const relays, ends = 20, 10
	n := New(seed)
	f := n.Found()
	rng := rand.New(rand.NewPCG(seed, 11))
	hostile := rng.Perm(relays)[:int(part*relays)]
	for i := range relays {
		o := Options{}
		if do == refuses && slices.Contains(hostile, i) {
			o.Relay = member.RelayNever
		}
		f.Host(fmt.Sprintf("relay-%d", i), o)
	}
	for i := range ends {
		f.Host(fmt.Sprintf("end-%d", i), Options{Relay: member.RelayNever})
	}
	n.Between = func(from, to *Host) Link {
		l := Link{Delay: n.distance(from, to), Jitter: time.Millisecond, Cut: from.index >= relays && to.index >= relays}
		if from.Dawdles+to.Dawdles > 0 {
			l.Delay = time.Millisecond
		}
		return l
	}
	f.Introduce(n.hosts...)
	for _, h := range n.hosts {
		h.Start()
	}
	for _, i := range hostile {
		switch do {
		case lies:
			n.hosts[i].Dawdles = 100 * time.Millisecond
		case drops:
			n.hosts[i].Hostile = dropper(rng, 1)
		}
	}
	var flows []*flow
	for i := range ends {
		flows = append(flows, stream(n, n.hosts[relays+i], n.hosts[relays+(i+1)%ends], 10*time.Millisecond))
	}
	n.Run(30 * time.Second)
	for _, f := range flows {
		delivered += (1 - f.lost(10*time.Second, 28*time.Second)) / float64(len(flows))
		var sum time.Duration
		n := 0
		for seq, at := range f.arrived {
			if sent := f.sent[seq]; sent >= 10*time.Second {
				sum, n = sum+at-sent, n+1
			}
		}
		took += sum / time.Duration(max(n, 1)*len(flows))
	}
	return delivered, took
}

func TestHostileRelaysDoNotKeepDataFromArriving(t *testing.T) {
	for seed := range uint64(2) {
		honest, _ := hostileNetwork(seed, 0, drops)
		for _, part := range []float64{.1, .3, .5} {
			got, _ := hostileNetwork(seed, part, drops)
			t.Logf("seed %d: %.0f%% hostile: %.2f%% delivered, %.2f%% with honest ones", seed, 100*part, 100*got, 100*honest)
			if got < .99*honest {
				t.Errorf("seed %d: %.0f%% hostile: %.2f%% delivered", seed, 100*part, 100*got)
			}
		}
	}
}

func TestRelaysThatSeemNearAttractLittle(t *testing.T) {
	for seed := range uint64(2) {
		for _, part := range []float64{.1, .3, .5} {
			honest, without := hostileNetwork(seed, part, refuses)
			got, with := hostileNetwork(seed, part, lies)
			t.Logf("seed %d: %.0f%% lie: %.2f%% delivered in %v; if they do not relay %.2f%% in %v",
				seed, 100*part, 100*got, with.Round(time.Millisecond), 100*honest, without.Round(time.Millisecond))
			if got < .99*honest || with > 2*without {
				t.Errorf("seed %d: %.0f%% lie: %.2f%% delivered in %v", seed, 100*part, 100*got, with)
			}
		}
	}
}
