package sim

import (
	"slices"
	"testing"
	"time"

	"overlayd/internal/wire"
)

// criticalPacket is how often and how large.
const (
	criticalEvery = 10 * time.Millisecond
	criticalSize  = 200
)

// TestCriticalTrafficLosesNothing cuts the path in use: critical packets go over two paths all the time, others lose those
// that are sent before the cut is noticed.
func TestCriticalTrafficLosesNothing(t *testing.T) {
	for _, rtt := range []time.Duration{10, 40, 150, 300} {
		rtt *= time.Millisecond
		var outages []time.Duration
		for seed := range uint64(10) {
			n, belmont, cambridge, boston := triangle(seed)
			n.Both(belmont, boston, func(l *Link) { l.Delay, l.Jitter = rtt/2, rtt/40 })
			for _, end := range []*Host{belmont, boston} {
				n.Both(end, cambridge, func(l *Link) { l.Delay, l.Jitter = rtt/3, rtt/40 })
			}
			usual := stream(n, belmont, boston, criticalEvery)
			critical := &flow{from: belmont, to: boston, sent: map[uint64]time.Duration{}, arrived: usual.arrived}
			n.Every(criticalEvery, func() bool {
				critical.sent[belmont.SendSized(boston, wire.Critical, criticalSize)] = n.Now()
				return true
			})
			n.Run(15 * time.Second)
			if via := belmont.via(t, boston); len(via) != 0 {
				t.Fatalf("seed %d: by way of %v at first", seed, via)
			}
			cut := n.Now()
			n.Both(belmont, boston, func(l *Link) { l.Cut = true })
			n.Run(10 * time.Second)
			if lost := critical.lost(cut-5*time.Second, n.Now()-2*time.Second); lost > 0 {
				t.Errorf("%v, seed %d: %.3f%% of the critical packets are lost", rtt, seed, 100*lost)
			}
			if lost := usual.lost(cut, cut+time.Second); lost == 0 {
				t.Errorf("%v, seed %d: nothing is lost of the others, so the test shows nothing", rtt, seed)
			}
			outages = append(outages, usual.outage(cut-time.Second, cut+3*time.Second)-criticalEvery)
		}
		slices.Sort(outages)
		t.Logf("%v: outage of the others %v", rtt, outages)
		if most := outages[len(outages)-1]; most > rtt+160*time.Millisecond {
			t.Errorf("%v: an outage of %v", rtt, most)
		}
	}
}
