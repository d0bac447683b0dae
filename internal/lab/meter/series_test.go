package meter

import (
	"math/rand/v2"
	"testing"
	"time"
)

const ms = time.Millisecond

// steady is a flow of n packets, one every 10 ms, that arrive 20 ms after they are sent.
func steady(n int) Series {
	s := Series{Every: 10 * ms}
	for i := range n {
		s.Sent = append(s.Sent, time.Duration(i)*10*ms)
		s.Arrived = append(s.Arrived, s.Sent[i]+20*ms)
	}
	return s
}

func TestSteadyFlowHasNoOutage(t *testing.T) {
	if o := steady(100).Outage(0, time.Second); o.Length != 10*ms || o.Lost != 0 || o.Open {
		// Nothing arrives before the first packet can: the delay counts at the very start of a flow.
		t.Errorf("got %+v", o)
	}
	if o := steady(100).Outage(200*ms, time.Second); o.Length != 0 || o.Open {
		t.Errorf("got %+v", o)
	}
}

func TestLostRunIsAnOutageOfItsLength(t *testing.T) {
	s := steady(100)
	for i := 40; i < 47; i++ {
		s.Arrived[i] = Never
	}
	want := Outage{Length: 70 * ms, Lost: 7, From: 410 * ms, To: 490 * ms}
	if o := s.Outage(400*ms, time.Second); o != want {
		t.Errorf("got %+v, want %+v", o, want)
	}
	if o := s.Outage(600*ms, time.Second); o.Length != 0 {
		t.Errorf("a window after the outage has one: %+v", o)
	}
}

func TestHeldUpRunIsAnOutageWithoutLoss(t *testing.T) {
	s := steady(100)
	for i := 40; i < 47; i++ {
		s.Arrived[i] = 490 * ms
	}
	if o := s.Outage(400*ms, time.Second); o.Length != 70*ms || o.Lost != 0 {
		t.Errorf("got %+v", o)
	}
}

func TestSlowerPathAddsItsDelayOnce(t *testing.T) {
	s := steady(100)
	for i := 50; i < 100; i++ {
		s.Arrived[i] += 15 * ms
	}
	if o := s.Outage(300*ms, time.Second); o.Length != 15*ms {
		t.Errorf("got %+v", o)
	}
}

func TestOutageThatDoesNotEndIsOpen(t *testing.T) {
	s := steady(100)
	for i := 40; i < 100; i++ {
		s.Arrived[i] = Never
	}
	o := s.Outage(300*ms, time.Second)
	if !o.Open || o.Length != time.Second-410*ms-10*ms || o.Lost != 60 {
		t.Errorf("got %+v", o)
	}
}

func TestFlowThatNeverArrivesIsOneOpenOutage(t *testing.T) {
	s := steady(100)
	for i := range s.Arrived {
		s.Arrived[i] = Never
	}
	if o := s.Outage(0, time.Second); !o.Open || o.Length != 990*ms || o.Lost != 100 {
		t.Errorf("got %+v", o)
	}
	if _, ok := s.First(0); ok {
		t.Error("there is a first packet")
	}
}

func TestReorderedArrivalsAreNotAnOutage(t *testing.T) {
	s := steady(100)
	s.Arrived[50], s.Arrived[51] = s.Arrived[51], s.Arrived[50]
	if o := s.Outage(200*ms, time.Second); o.Length != 0 {
		t.Errorf("got %+v", o)
	}
}

func TestLossCountsWhatWasSentInTheWindow(t *testing.T) {
	s := steady(100)
	s.Arrived[10], s.Arrived[20], s.Arrived[30] = Never, Never, Never
	if sent, lost := s.Loss(100*ms, 300*ms); sent != 20 || lost != 2 {
		t.Errorf("sent %d, lost %d", sent, lost)
	}
}

func TestFirstAndDelays(t *testing.T) {
	s := steady(100)
	if first, ok := s.First(333 * ms); !ok || first != 7*ms {
		t.Errorf("first %v, %v", first, ok)
	}
	delays := s.Delays(0, time.Second)
	if len(delays) != 100 || Quantile(delays, 0) != 20*ms || Quantile(delays, 1) != 20*ms {
		t.Errorf("delays %v", delays)
	}
}

func TestLateSenderIsNoticed(t *testing.T) {
	s := steady(100)
	s.Sent[50] += 3 * ms
	if late := s.Late(); late != 3*ms {
		t.Errorf("got %v", late)
	}
}

func TestQuantileIsTheNearestRank(t *testing.T) {
	values := []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20}
	for q, want := range map[float64]int{0: 1, 0.5: 10, 0.95: 19, 1: 20} {
		if got := Quantile(values, q); got != want {
			t.Errorf("Quantile(%v) = %d, want %d", q, got, want)
		}
	}
}

func TestOutageIsNeverShorterThanAnyGapInside(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 0))
		s := steady(200)
		for i := range s.Arrived {
			if s.Arrived[i] += time.Duration(r.IntN(15)) * ms; r.IntN(3) == 0 {
				s.Arrived[i] = Never
			}
		}
		run, longest := 0, 0
		for i := 40; i < 160; i++ { // well inside the window
			if s.Arrived[i] == Never {
				run++
				longest = max(longest, run)
				continue
			}
			run = 0
		}
		// Jitter of up to 14 ms may shorten a gap by as much.
		if o := s.Outage(300*ms, 1700*ms); o.Length+14*ms < time.Duration(longest)*10*ms {
			t.Fatalf("seed %d: outage %v but %d packets lost in a row", seed, o.Length, longest)
		}
	}
}
