package sim

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"overlayd/internal/control"
	"overlayd/internal/wire"
	"overlayd/tunnel/fwd"
)

// flow is a stream of numbered packets and what became of each.
type flow struct {
	from, to *Host
	sent     map[uint64]time.Duration
	arrived  map[uint64]time.Duration
}

// stream sends a packet every so often, until the simulation ends.
func stream(n *Net, from, to *Host, every time.Duration) *flow {
	f := &flow{from: from, to: to, sent: map[uint64]time.Duration{}, arrived: map[uint64]time.Duration{}}
	before := to.Delivered
	to.Delivered = func(src *Host, seq uint64, sent time.Time) {
		if src == from {
			f.arrived[seq] = n.Now()
		}
		if before != nil {
			before(src, seq, sent)
		}
	}
	n.Every(every, func() bool {
		f.sent[from.Send(to)] = n.Now()
		return true
	})
	return f
}

// outage is the longest time between sendings of two delivered packets within a period, beyond the interval.
func (f *flow) outage(after, before time.Duration) time.Duration {
	var delivered []time.Duration
	for seq, at := range f.sent {
		if _, ok := f.arrived[seq]; ok && at >= after && at <= before {
			delivered = append(delivered, at)
		}
	}
	slices.Sort(delivered)
	if len(delivered) == 0 {
		return before - after
	}
	worst := max(delivered[0]-after, before-delivered[len(delivered)-1])
	for i := 1; i < len(delivered); i++ {
		worst = max(worst, delivered[i]-delivered[i-1])
	}
	return worst
}

// lost is the share of the packets sent in a period that never arrived.
func (f *flow) lost(after, before time.Duration) float64 {
	n, lost := 0, 0
	for seq, at := range f.sent {
		if at < after || at > before {
			continue
		}
		n++
		if _, ok := f.arrived[seq]; !ok {
			lost++
		}
	}
	return float64(lost) / float64(max(n, 1))
}

func (h *Host) switchesTo(peer *Host, after time.Duration) []Switch {
	var list []Switch
	for _, s := range h.Switches {
		if s.Peer == peer.Name && s.At >= after {
			list = append(list, s)
		}
	}
	return list
}

func (h *Host) via(t testing.TB, peer *Host) []string {
	t.Helper()
	all := h.switchesTo(peer, 0)
	if len(all) == 0 {
		t.Fatalf("%s never had a path to %s", h.Name, peer.Name)
	}
	return all[len(all)-1].Via
}

// triangle is Belmont, Cambridge and Boston: 40 ms direct, 20 and 25 ms by way of Cambridge.
func triangle(seed uint64, o ...Options) (n *Net, belmont, cambridge, boston *Host) {
	n = New(seed)
	f := n.Found()
	option := func(i int) Options {
		if i < len(o) {
			return o[i]
		}
		return Options{}
	}
	belmont, cambridge, boston = f.Host("belmont", option(0)), f.Host("cambridge", option(1)), f.Host("boston", option(2))
	n.Both(belmont, boston, func(l *Link) { l.Delay, l.Jitter = 20*time.Millisecond, time.Millisecond })
	n.Both(belmont, cambridge, func(l *Link) { l.Delay, l.Jitter = 10*time.Millisecond, time.Millisecond })
	n.Both(cambridge, boston, func(l *Link) { l.Delay, l.Jitter = 12500*time.Microsecond, time.Millisecond })
	f.Introduce(belmont, cambridge, boston)
	for _, h := range []*Host{belmont, cambridge, boston} {
		h.Start()
	}
	n.Check = holding(n)
	return n, belmont, cambridge, boston
}

// holding checks the invariants every 10 ms of virtual time, between events.
func holding(n *Net) func() {
	var last time.Time
	return func() {
		if n.now.Sub(last) >= 10*time.Millisecond {
			last = n.now
			hold(n)
		}
	}
}

func hold(n *Net) {
	for _, h := range n.hosts {
		if h.table == nil {
			continue
		}
		for label, e := range h.table.Labels {
			neverLoops(n, label, e)
		}
		aliveIfAnyPathIs(n, h)
	}
}

// neverLoops: a label leads through at most as many switches as a path may have relays.
func neverLoops(n *Net, label wire.Label, e fwd.Entry) {
	for hops := 0; e.Switch != nil; {
		if hops++; hops > wire.MaxRelays {
			panic("label " + label.String() + " loops")
		}
		next := n.hostAt(e.Switch.To.Addr)
		if next == nil || next.table == nil {
			return
		}
		var known bool
		if e, known = next.table.Labels[e.Switch.To.Label]; !known {
			return
		}
	}
}

// aliveIfAnyPathIs: data never goes to a dead path alone while another one is up.
func aliveIfAnyPathIs(n *Net, h *Host) {
	for _, p := range h.Core.Paths(n.now) {
		if p.State != control.StateDead {
			continue
		}
		for _, c := range p.Candidates {
			if c.State == control.StateUp {
				panic(fmt.Sprintf("%s has a path to %s and does not use it: %+v", h.Name, p.Peer, p))
			}
		}
	}
}

const seeds = 20

func TestCutOfTheDirectPath(t *testing.T) {
	var outages []time.Duration
	for seed := range uint64(seeds) {
		n, belmont, _, boston := triangle(seed)
		f := stream(n, belmont, boston, 10*time.Millisecond)
		n.Run(5*time.Second + time.Duration(n.rng.Int64N(int64(time.Second))))
		if via := belmont.via(t, boston); len(via) != 0 {
			t.Errorf("seed %d: via %v before the cut, want direct", seed, via)
		}
		cut := n.Now()
		n.Both(belmont, boston, func(l *Link) { l.Cut = true })
		n.Run(5 * time.Second)
		if via := belmont.via(t, boston); !slices.Equal(via, []string{"cambridge"}) {
			t.Errorf("seed %d: via %v after the cut, want cambridge", seed, via)
		}
		outages = append(outages, f.outage(cut-50*time.Millisecond, n.Now()-time.Second))
		restored := n.Now()
		n.Both(belmont, boston, func(l *Link) { l.Cut = false })
		n.Run(20 * time.Second)
		if via := belmont.via(t, boston); len(via) != 0 {
			t.Errorf("seed %d: via %v after the return, want direct", seed, via)
		}
		if lost := f.lost(restored, n.Now()-time.Second); lost > 0 {
			t.Errorf("seed %d: %.2f%% lost on the return", seed, 100*lost)
		}
	}
	slices.SortFunc(outages, cmp.Compare)
	t.Logf("outages: min %v, median %v, max %v", outages[0], outages[seeds/2], outages[seeds-1])
	if outages[seeds-2] > 200*time.Millisecond {
		t.Errorf("outage: %v of 19 in 20, want under 200 ms", outages[seeds-2])
	}
}

func TestOneWay(t *testing.T) {
	for seed := range uint64(seeds) {
		n, belmont, _, boston := triangle(seed)
		there, back := stream(n, belmont, boston, 10*time.Millisecond), stream(n, boston, belmont, 10*time.Millisecond)
		n.Run(5 * time.Second)
		cut := n.Now()
		n.Link(belmont, boston).Cut = true
		n.Run(10 * time.Second)
		if via := belmont.via(t, boston); !slices.Equal(via, []string{"cambridge"}) {
			t.Errorf("seed %d: broken direction via %v, want cambridge", seed, via)
		}
		if via := boston.via(t, belmont); len(via) != 0 {
			t.Errorf("seed %d: sound direction via %v, want direct", seed, via)
		}
		if o := there.outage(cut, n.Now()-time.Second); o > 250*time.Millisecond {
			t.Errorf("seed %d: outage %v", seed, o)
		}
		if lost := back.lost(cut, n.Now()-time.Second); lost > 0 {
			t.Errorf("seed %d: %.2f%% lost on the sound direction", seed, 100*lost)
		}
	}
}

func TestLossy(t *testing.T) {
	for seed := range uint64(seeds) {
		n, belmont, _, boston := triangle(seed)
		stream(n, belmont, boston, 10*time.Millisecond)
		n.Run(5 * time.Second)
		onset := n.Now()
		n.Both(belmont, boston, func(l *Link) { l.Loss = 0.3 })
		n.Run(20 * time.Second)
		moved := belmont.switchesTo(boston, onset)
		if len(moved) != 1 || moved[0].At-onset > 3*time.Second || !slices.Equal(moved[0].Via, []string{"cambridge"}) {
			t.Errorf("seed %d: switches %+v from %v, want one to cambridge within 3 s", seed, moved, onset)
		}
	}
}

func TestTokyo(t *testing.T) {
	for seed := range uint64(seeds) {
		n, washington, sanFrancisco, tokyo := triangle(seed)
		n.Both(washington, tokyo, func(l *Link) { l.Delay, l.Jitter = 150*time.Millisecond, 5*time.Millisecond })
		n.Both(washington, sanFrancisco, func(l *Link) { l.Delay, l.Jitter = 30*time.Millisecond, 2*time.Millisecond })
		n.Both(sanFrancisco, tokyo, func(l *Link) { l.Delay, l.Jitter = 50*time.Millisecond, 2*time.Millisecond })
		n.Run(2 * time.Second)
		begun := n.Now()
		stream(n, washington, tokyo, 10*time.Millisecond)
		n.Run(65 * time.Second)
		all := washington.switchesTo(tokyo, begun)
		if len(all) == 0 || all[0].At-begun > 5*time.Second || len(all) > 2 || len(washington.via(t, tokyo)) != 1 {
			t.Errorf("seed %d: switches %+v from %v", seed, all, begun)
		}
	}
}

func TestRelayDies(t *testing.T) {
	for seed := range uint64(seeds) {
		n := New(seed)
		f := n.Found()
		var hosts []*Host
		for _, name := range []string{"belmont", "cambridge", "boston", "newton"} {
			hosts = append(hosts, f.Host(name, Options{}))
		}
		belmont, cambridge, boston, newton := hosts[0], hosts[1], hosts[2], hosts[3]
		n.Both(newton, belmont, func(l *Link) { l.Delay = 15 * time.Millisecond })
		n.Both(newton, boston, func(l *Link) { l.Delay = 15 * time.Millisecond })
		n.Both(belmont, boston, func(l *Link) { l.Cut = true })
		f.Introduce(hosts...)
		for _, h := range hosts {
			h.Start()
		}
		n.Run(2 * time.Second)
		flow := stream(n, belmont, boston, 10*time.Millisecond)
		n.Run(10*time.Second + time.Duration(n.rng.Int64N(int64(time.Second))))
		if via := belmont.via(t, boston); !slices.Equal(via, []string{"cambridge"}) {
			t.Fatalf("seed %d: via %v before the relay dies, want cambridge", seed, via)
		}
		died := n.Now()
		cambridge.Kill()
		n.Run(5 * time.Second)
		if via := belmont.via(t, boston); !slices.Equal(via, []string{"newton"}) {
			t.Errorf("seed %d: via %v after the relay died, want newton", seed, via)
		}
		if o := flow.outage(died-50*time.Millisecond, n.Now()-time.Second); o > 300*time.Millisecond {
			t.Errorf("seed %d: outage %v, want under 300 ms", seed, o)
		}
	}
}

func TestChainOfTwoRelays(t *testing.T) {
	for seed := range uint64(seeds) {
		n := New(seed)
		f := n.Found()
		var hosts []*Host
		for _, name := range []string{"belmont", "cambridge", "newton", "boston"} {
			hosts = append(hosts, f.Host(name, Options{}))
		}
		belmont, cambridge, newton, boston := hosts[0], hosts[1], hosts[2], hosts[3]
		cut := func(l *Link) { l.Cut = true }
		n.Both(belmont, boston, cut)
		n.Both(belmont, newton, cut)
		n.Both(cambridge, boston, cut)
		f.Introduce(hosts...)
		for _, h := range hosts {
			h.Start()
		}
		n.Run(3 * time.Second)
		begun := n.Now()
		flow := stream(n, belmont, boston, 10*time.Millisecond)
		n.Run(10 * time.Second)
		if via := belmont.via(t, boston); !slices.Equal(via, []string{"cambridge", "newton"}) {
			t.Errorf("seed %d: via %v, want cambridge, newton", seed, via)
		}
		if o := flow.outage(begun, n.Now()-time.Second); o > time.Second {
			t.Errorf("seed %d: %v until the first packet", seed, o)
		}
	}
}

// All paths break at once, and what the nodes knew of each other is out of date: two relays are the only way left.
func TestCutsThatLeaveTwoRelays(t *testing.T) {
	for seed := range uint64(seeds) {
		n := New(seed)
		f := n.Found()
		var hosts []*Host
		for _, name := range []string{"belmont", "worcester", "cambridge", "boston"} {
			hosts = append(hosts, f.Host(name, Options{}))
		}
		belmont, worcester, cambridge, boston := hosts[0], hosts[1], hosts[2], hosts[3]
		f.Introduce(hosts...)
		for _, h := range hosts {
			h.Start()
		}
		flow := stream(n, belmont, boston, 10*time.Millisecond)
		n.Run(60 * time.Second)
		broken := n.Now()
		cut := func(l *Link) { l.Cut = true }
		n.Both(belmont, boston, cut)
		n.Both(belmont, cambridge, cut)
		n.Both(worcester, boston, cut)
		n.Run(20 * time.Second)
		if via := belmont.via(t, boston); !slices.Equal(via, []string{"worcester", "cambridge"}) {
			t.Errorf("seed %d: via %v, want worcester, cambridge", seed, via)
		}
		if o := flow.outage(broken, n.Now()-time.Second); o > 3*time.Second {
			t.Errorf("seed %d: outage %v", seed, o)
		}
	}
}

func TestFlapping(t *testing.T) {
	for seed := range uint64(seeds) {
		n, belmont, _, boston := triangle(seed)
		flow := stream(n, belmont, boston, 10*time.Millisecond)
		n.Run(10 * time.Second)
		begun := n.Now()
		n.Every(3*time.Second, func() bool {
			n.Both(belmont, boston, func(l *Link) { l.Cut = !l.Cut })
			return true
		})
		n.Run(2 * time.Minute)
		if lost := flow.lost(begun, n.Now()-time.Second); lost > 0.01 {
			t.Errorf("seed %d: %.2f%% lost", seed, 100*lost)
		}
		if s := belmont.switchesTo(boston, begun); len(s) > 12 {
			t.Errorf("seed %d: %d switches in two minutes", seed, len(s))
		}
	}
}

// Two nodes behind NATs that have never met: the first packet goes through Cambridge, and the direct path is punched.
func TestTwoNATs(t *testing.T) {
	for seed := range uint64(seeds) {
		n, belmont, _, boston := triangle(seed, Options{NAT: true}, Options{}, Options{NAT: true})
		n.Both(belmont, boston, func(l *Link) { l.Cut = true }) // so that they do not meet while nothing is to be sent
		n.Run(60 * time.Second)
		n.Both(belmont, boston, func(l *Link) { l.Cut = false })
		begun := n.Now()
		flow := stream(n, belmont, boston, 10*time.Millisecond)
		n.Run(3 * time.Second)
		if via := belmont.via(t, boston); len(via) != 0 {
			t.Errorf("seed %d: via %v after 3 s, want direct; %+v", seed, via, belmont.switchesTo(boston, begun))
		}
		if o := flow.outage(begun, n.Now()-500*time.Millisecond); o > time.Second {
			t.Errorf("seed %d: %v until the first packet", seed, o)
		}
		cut := n.Now()
		n.Both(belmont, boston, func(l *Link) { l.Cut = true })
		n.Run(5 * time.Second)
		if o := flow.outage(cut-50*time.Millisecond, n.Now()-time.Second); o > 250*time.Millisecond {
			t.Errorf("seed %d: outage %v when the punched path was cut", seed, o)
		}
	}
}

func TestTheSameSeedGivesTheSameTrace(t *testing.T) {
	run := func() uint64 {
		n, belmont, cambridge, boston := triangle(7)
		stream(n, belmont, boston, 10*time.Millisecond)
		stream(n, boston, cambridge, 30*time.Millisecond)
		n.Run(5 * time.Second)
		n.Both(belmont, boston, func(l *Link) { l.Cut = true })
		n.Run(5 * time.Second)
		return n.Trace()
	}
	if a, b := run(), run(); a != b {
		t.Errorf("two runs of one seed: traces %x and %x", a, b)
	}
}
