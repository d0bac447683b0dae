package pair

import (
	"testing"
	"time"

	"overlayd/probe"
)

// tcp is a bulk transfer from A to B: slow start, halving at a loss, selective acknowledgements that come back after
// back.
type tcp struct {
	s         *Sim
	back      time.Duration
	until     time.Duration
	cwnd      float64
	threshold float64
	next      int
	low       int // below it, all is acknowledged or lost
	recover   int
	out       map[int]bool
	goodput   int // packets that arrived, once each
	last      time.Duration
}

const segment = 1460

func startTCP(s *Sim, from, until, back time.Duration) *tcp {
	c := &tcp{s: s, back: back, until: until, cwnd: 10, threshold: 1e9, out: map[int]bool{}}
	s.At(from, c.push)
	s.At(from, c.watch)
	return c
}

func (c *tcp) push() {
	for float64(len(c.out)) < c.cwnd && c.s.Now() < c.until {
		n := c.next
		c.next++
		c.out[n] = true
		fresh := true
		c.s.A.Send(segment, func() {
			if fresh {
				fresh = false
				c.goodput++
				c.s.At(c.s.Now()+c.back, func() { c.ack(n) })
			}
		})
	}
}

func (c *tcp) ack(n int) {
	c.last = c.s.Now()
	delete(c.out, n)
	lost := false
	for ; c.low < n-3; c.low++ {
		if c.out[c.low] {
			delete(c.out, c.low)
			lost = lost || c.low >= c.recover
		}
	}
	if lost {
		c.threshold = max(c.cwnd*.7, 2)
		c.cwnd = c.threshold
		c.recover = c.next
	} else if c.cwnd < c.threshold {
		c.cwnd++
	} else {
		c.cwnd += 4 / c.cwnd
	}
	c.push()
}

// watch is the retransmission timeout.
func (c *tcp) watch() {
	if c.s.Now()-c.last > time.Second {
		clear(c.out)
		c.cwnd, c.threshold, c.recover = 10, max(c.cwnd/2, 2), c.next
		c.push()
	}
	if c.s.Now() < c.until {
		c.s.At(c.s.Now()+200*ms, c.watch)
	}
}

// An uplink of 50 Mbit/s with a queue of 200 ms, that both paths leave through, filled by TCP for a minute.
func TestSaturation(t *testing.T) {
	for _, relay := range []time.Duration{41 * ms, 50 * ms, 60 * ms, 100 * ms} {
		for seed := range uint64(4) {
			uplink := &Queue{Rate: 50e6 / 8, Limit: 200 * ms}
			direct, relayed := Symmetric(40*ms), Symmetric(relay, cambridge)
			direct.Out.Queue, relayed.Out.Queue = uplink, uplink
			direct.Out.Jitter, relayed.Out.Jitter = .02, .02
			s := New(seed, direct, relayed)
			c := startTCP(s, 10*time.Second, 70*time.Second, 20*ms)
			s.Run(72 * time.Second)
			for _, e := range []*End{s.A, s.B} {
				if n := e.count(10*time.Second, -1, probe.Dead); n > 0 {
					t.Errorf("relay %v, seed %d: %d false deaths at %s", relay, seed, n, e.name)
				}
				if n := len(e.switchesFrom(10 * time.Second)); n > 0 {
					t.Errorf("relay %v, seed %d: %s switches: %v", relay, seed, e.name, e.Switches)
				}
			}
			rate := float64(c.goodput) * segment * 8 / 60 / 1e6
			if rate < 45 {
				t.Errorf("relay %v, seed %d: %.1f Mbit/s", relay, seed, rate)
			}
			if seed == 0 {
				t.Logf("relay %v: %.1f Mbit/s, %d suspicions, rtt at end %v", relay, rate,
					s.A.count(10*time.Second, -1, probe.Suspect), s.A.Measure(0).RTT)
			}
		}
	}
}

// Somebody else's burst fills the queue at once; our data, if any, waits behind it.
func TestSuddenQueue(t *testing.T) {
	for _, length := range []time.Duration{200 * ms, 500 * ms} {
		for seed := range uint64(50) {
			uplink := &Queue{Rate: 50e6 / 8, Limit: length + 100*ms}
			direct, relayed := Symmetric(40*ms), Symmetric(50*ms, cambridge)
			direct.Out.Queue, relayed.Out.Queue = uplink, uplink
			s := New(seed, direct, relayed)
			at := 10*time.Second + time.Duration(seed)*7*ms
			if seed%2 == 0 {
				newMeter(s, time.Second, 10*ms, 20*time.Second)
			}
			s.At(at, func() { uplink.free = s.Now() + length })
			s.Run(20 * time.Second)
			if n := s.A.count(at, -1, probe.Dead); n > 0 {
				t.Errorf("queue of %v, seed %d: %d false deaths", length, seed, n)
			}
			if n := len(s.A.switchesFrom(at)); n > 0 {
				t.Errorf("queue of %v, seed %d: %v", length, seed, s.A.Switches)
			}
		}
	}
}

// A cut while the uplink is full is found as well, if later.
func TestCutUnderLoad(t *testing.T) {
	var dead, suspect distribution
	for seed := range uint64(20) {
		uplink := &Queue{Rate: 50e6 / 8, Limit: 200 * ms}
		direct, relayed := Symmetric(40*ms), Symmetric(50*ms, cambridge)
		direct.Out.Queue, relayed.Out.Queue = uplink, uplink
		s := New(seed, direct, relayed)
		startTCP(s, 10*time.Second, 25*time.Second, 20*ms)
		cut := 20*time.Second + time.Duration(seed)*7*ms
		s.At(cut, func() { direct.Out.Cut, direct.In.Cut = true, true })
		s.Run(25 * time.Second)
		suspect = append(suspect, s.A.first(cut, 0, probe.Suspect))
		dead = append(dead, s.A.first(cut, 0, probe.Dead))
	}
	t.Logf("suspect after %v, dead after %v", suspect, dead)
	if suspect.at(0) < 0 || suspect.at(1) > 600*ms || dead.at(0) < 0 || dead.at(1) > 1500*ms {
		t.Errorf("suspect after %v, dead after %v", suspect, dead)
	}
}
