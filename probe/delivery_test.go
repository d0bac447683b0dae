package probe

import (
	"math"
	"testing"
	"time"
)

// flow feeds a delivery with samples as probes every 100 ms would bring them.
type flow struct {
	d      delivery
	at     instant
	tx, rx float64
}

func (f *flow) run(span time.Duration, sent, arrived float64, queued bool) {
	for end := f.at.add(span); f.at < end; {
		f.at = f.at.add(100 * ms)
		f.tx += sent / 10
		f.rx += arrived / 10
		f.d.add(f.at, deliveryMark{
			sent: f.at, made: f.at.add(peerOffset), tx: uint32(uint64(f.tx)), rx: uint32(uint64(f.rx)),
		}, queued)
	}
}

func (f *flow) want(t *testing.T, what string, achievable, delivered float64) {
	t.Helper()
	a, d := f.d.achievable(f.at), f.d.delivered(f.at)
	if math.Abs(a-achievable) > .01*achievable+1 || math.Abs(d-delivered) > .01*delivered+1 {
		t.Errorf("%s: achievable %.0f, delivered %.0f, want %.0f, %.0f", what, a, d, achievable, delivered)
	}
}

func TestAchievableRateIsThatOfAFullPath(t *testing.T) {
	f := &flow{at: 1e9, tx: math.MaxUint32 - 3e6, rx: math.MaxUint32 - 5e6} // counters wrap
	f.run(3*time.Second, 1e6, 1e6, false)
	f.want(t, "limited by the application", 0, 1e6)
	f.run(2*time.Second, 6e6, 5e6, true)
	f.want(t, "waiting in a queue", 5e6, 5e6)
	f.run(2*time.Second, 3e6, 3e6, false)
	f.want(t, "limited by the application, later", 5e6, 3e6)
	f.run(2*time.Second, 7e6, 7e6, false)
	f.want(t, "limited by the application, but faster", 7e6, 7e6)
	f.run(20*time.Second, 1e6, 1e6, false)
	f.want(t, "long after", 0, 1e6)
	f.run(2*time.Second, 6e6, 4e6, false)
	f.want(t, "policed without a queue", 4e6, 4e6)
	f.at = f.at.add(time.Minute)
	f.want(t, "a minute later", 0, 0)
}

// What was sent slowly and arrives at once, or was sent at once and arrives slowly, is not fast.
func TestDeliveryRateIsOfTheLongerTime(t *testing.T) {
	for _, c := range []struct{ sent, made time.Duration }{{time.Second, 300 * ms}, {300 * ms, time.Second}} {
		var d delivery
		d.add(1e9, deliveryMark{sent: 1e9, made: 5e9}, true)
		d.add(2e9, deliveryMark{sent: instant(1e9).add(c.sent), made: instant(5e9).add(c.made), tx: 1e6, rx: 1e6}, true)
		if got := d.achievable(2e9); got != 1e6 {
			t.Errorf("sent in %v, arrived in %v: %.0f", c.sent, c.made, got)
		}
	}
}

func TestQueueIsToldFromNoise(t *testing.T) {
	var c calm
	var mean estimator
	at := instant(1e9)
	add := func(rtt time.Duration) bool {
		at = at.add(100 * ms)
		queued := c.queued(rtt)
		c.add(at, rtt, mean.mean)
		mean.add(rtt, rtt/2)
		return queued
	}
	noise := []time.Duration{38, 42, 40, 39, 43, 37, 41, 40}
	for i := range 200 {
		if add(noise[i%len(noise)]*ms) && i > calmSamples {
			t.Fatalf("sample %d: noise is taken for a queue", i)
		}
	}
	for i := range 3000 { // five minutes
		if !add(60*ms + time.Duration(i%8)*ms) {
			t.Fatalf("sample %d: the queue is not seen", i)
		}
	}
}
