package sim

import (
	"fmt"
	"math"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"overlayd/internal/wire"
)

// sample is what one size of network costs.
type sample struct {
	nodes                   int
	contacts, most          int     // of a node: median, maximum
	idle, idleMost          float64 // bytes a second that an idle node sends: median, maximum
	probes, members, others float64 // of the mean, by kind
	active, activeMost      float64 // the same with one active pair for each node
	half, nearly, all       time.Duration
	change                  float64 // bytes a node that one change costs
}

const (
	settleFor = 90 * time.Second // until the exchanges of the start are over
	idleFor   = 2 * time.Minute
	changeFor = 6 * time.Second // until the comparisons after a change are over
	activeFor = 10 * time.Second
)

// take measures a network of so many idle nodes.
func take(seed uint64, nodes int) sample {
	n, hosts := many(seed, nodes)
	n.Run(settleFor)
	s := sample{nodes: nodes}
	var contacts []int
	for _, h := range hosts {
		picked, others := h.Core.Contacts()
		contacts = append(contacts, picked+others)
	}
	slices.Sort(contacts)
	s.contacts, s.most = contacts[len(contacts)/2], contacts[len(contacts)-1]
	rates, kinds := rates(n, hosts, idleFor)
	s.idle, s.idleMost = rates[len(rates)/2], rates[len(rates)-1]
	s.probes = kinds[wire.KindPing] + kinds[wire.KindPong]
	s.members = kinds[wire.KindMembers]
	for kind, rate := range kinds {
		if kind != wire.KindPing && kind != wire.KindPong && kind != wire.KindMembers {
			s.others += rate
		}
	}
	s.changed(n, hosts)
	if scaled() {
		s.paired(n, hosts)
	}
	return s
}

// scaled reports whether the whole table is wanted, which takes minutes.
func scaled() bool { return os.Getenv("OVERLAYD_SIM_SCALE") != "" }

// rates are the bytes a second that hosts send in a while, sorted, and their mean by kind.
func rates(n *Net, hosts []*Host, period time.Duration) (list []float64, kinds map[wire.Kind]float64) {
	kinds = make(map[wire.Kind]float64)
	before := make([]uint64, len(hosts))
	for i, h := range hosts {
		before[i] = h.Control
		for kind, bytes := range h.Kinds {
			kinds[kind] -= float64(bytes)
		}
	}
	n.Run(period)
	for i, h := range hosts {
		list = append(list, float64(h.Control-before[i])/period.Seconds())
		for kind, bytes := range h.Kinds {
			kinds[kind] += float64(bytes)
		}
	}
	for kind := range kinds {
		kinds[kind] /= period.Seconds() * float64(len(hosts))
	}
	slices.Sort(list)
	return list, kinds
}

// changed measures one change: a node moves, and says so.
func (s *sample) changed(n *Net, hosts []*Host) {
	membership := func() (sum uint64) {
		for _, h := range hosts {
			sum += h.Kinds[wire.KindMembers]
		}
		return sum
	}
	quiet := membership()
	n.Run(changeFor)
	quiet = membership() - quiet
	before, begin := membership(), n.Now()
	hosts[0].Move(netip.MustParseAddr("203.0.113.1"))
	var times []time.Duration
	for waiting := slices.Clone(hosts); len(waiting) > 0 && n.Now()-begin < 2*time.Minute; n.Run(5 * time.Millisecond) {
		waiting = slices.DeleteFunc(waiting, func(h *Host) bool {
			m, ok := h.Core.Members().Get(hosts[0].ID)
			known := ok && slices.Contains(m.Record.Endpoints, hosts[0].address)
			if known {
				times = append(times, n.Now()-begin)
			}
			return known
		})
	}
	if left := changeFor - (n.Now() - begin); left > 0 {
		n.Run(left)
	}
	at := func(share float64) time.Duration { return times[max(int(math.Ceil(share*float64(len(hosts))))-1, 0)] }
	s.half, s.nearly, s.all = at(0.5), at(0.99), at(1)
	s.change = (float64(membership()-before) - float64(quiet)) / float64(len(hosts))
}

// paired measures the nodes with data between the neighbours of a ring's halves: one active pair for each.
func (s *sample) paired(n *Net, hosts []*Host) {
	for i := 0; i+1 < len(hosts); i += 2 {
		a, b := hosts[i], hosts[i+1]
		n.Every(100*time.Millisecond, func() bool {
			a.Send(b)
			b.Send(a)
			return true
		})
	}
	n.Run(5 * time.Second)
	list, _ := rates(n, hosts, activeFor)
	s.active, s.activeMost = list[len(list)/2], list[len(list)-1]
}

// growth fits b in c·N^b between the sizes above a full mesh, and how much of the scatter a line over f(N) leaves.
func growth(list []sample, of func(sample) float64) float64 {
	var n, x, y, xx, xy float64
	for _, s := range list {
		if s.nodes < 50 {
			continue
		}
		lx, ly := math.Log(float64(s.nodes)), math.Log(of(s))
		n, x, y, xx, xy = n+1, x+lx, y+ly, xx+lx*lx, xy+lx*ly
	}
	return (n*xy - x*y) / (n*xx - x*x)
}

// table is what docs/scale.md shows.
func table(list []sample) string {
	var b strings.Builder
	b.WriteString("| N | contacts: median, most | idle, bytes/s: median, most | probes | membership | else | " +
		"with an active pair: median, most | a change reaches 50% / 99% / all | bytes a node for it | bytes/s : √N |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|---|\n")
	for _, s := range list {
		fmt.Fprintf(&b, "| %d | %d, %d | %.0f, %.0f | %.0f | %.0f | %.0f | %.0f, %.0f | %d / %d / %d ms | %.0f | %.1f |\n",
			s.nodes, s.contacts, s.most, s.idle, s.idleMost, s.probes, s.members, s.others, s.active, s.activeMost,
			s.half.Milliseconds(), s.nearly.Milliseconds(), s.all.Milliseconds(), s.change, s.idle/math.Sqrt(float64(s.nodes)))
	}
	return b.String()
}

// What a node costs in networks of all sizes: make scale prints the table of docs/scale.md. Where all tests run, only
// small ones are measured.
func TestScale(t *testing.T) {
	sizes := []int{50, 100}
	if scaled() {
		sizes = []int{10, 30, 50, 100, 300, 1000}
	}
	var list []sample
	for _, nodes := range sizes {
		list = append(list, take(1, nodes))
		t.Logf("%+v", list[len(list)-1])
	}
	fmt.Printf("\n%s\n", table(list))
	exponent := growth(list, func(s sample) float64 { return s.idle })
	fmt.Printf("From N = 50 on an idle node's bytes grow as N^%.2f, its contacts as N^%.2f, a change's bytes as N^%.2f.\n",
		exponent, growth(list, func(s sample) float64 { return float64(s.contacts) }),
		growth(list, func(s sample) float64 { return s.change }))
	if exponent > 0.75 {
		t.Errorf("the bytes of an idle node grow as N^%.2f, want about the root", exponent)
	}
	for _, s := range list {
		if s.nearly > 5*time.Second {
			t.Errorf("N = %d: a change reaches 99%% after %v, want 5 s", s.nodes, s.nearly)
		}
	}
}
