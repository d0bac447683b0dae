package wan

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

const ms = time.Millisecond

// drain pops everything that a network ever delivers, walking from deadline to deadline.
func drain(t testing.TB, n *Network[[]byte]) []Result[[]byte] {
	t.Helper()
	var all []Result[[]byte]
	last := Instant(0)
	for {
		due, ok := n.NextDeadline()
		if !ok {
			return all
		}
		if due < last {
			t.Fatalf("the next deadline ran backwards: %v after %v", due, last)
		}
		last = due
		for {
			r, ok := n.Pop(due)
			if !ok {
				break
			}
			all = append(all, r)
		}
	}
}

func packetOf(size int, seq byte) []byte {
	b := make([]byte, size)
	b[0] = seq
	return b
}

func TestLinkDelaysEachDirectionByItself(t *testing.T) {
	n := NewNetwork[[]byte](2, 1)
	n.SetLink(0, 0, 1, Link{Delay: 20 * ms})
	n.SetLink(0, 1, 0, Link{Delay: 5 * ms})
	n.Send(100*ms, 0, 1, Header{Size: 100}, packetOf(100, 0))
	n.Send(100*ms, 1, 0, Header{Size: 100}, packetOf(100, 0))
	got := drain(t, n)
	if len(got) != 2 || got[0].To != 0 || got[0].Due != 105*ms || got[1].To != 1 || got[1].Due != 120*ms {
		t.Errorf("got %+v", got)
	}
}

func TestPacketIsNotDeliveredEarly(t *testing.T) {
	n := NewNetwork[[]byte](2, 1)
	n.SetLink(0, 0, 1, Link{Delay: 20 * ms})
	n.Send(0, 0, 1, Header{Size: 100}, packetOf(100, 0))
	if r, ok := n.Pop(20*ms - 1); ok {
		t.Errorf("delivered early: %+v", r)
	}
	if _, ok := n.Pop(20 * ms); !ok {
		t.Error("not delivered when due")
	}
}

func TestUnlistedPairIsUnreachable(t *testing.T) {
	n := NewNetwork[[]byte](3, 1)
	n.SetLink(0, 0, 1, Link{})
	n.Send(0, 0, 2, Header{Size: 100}, packetOf(100, 0))
	if got := drain(t, n); len(got) != 1 || got[0].Fate != Unreachable {
		t.Errorf("got %+v", got)
	}
}

func TestCutSparesWhatIsUnderWay(t *testing.T) {
	n := NewNetwork[[]byte](2, 1)
	n.SetLink(0, 0, 1, Link{Delay: 20 * ms})
	n.Send(0, 0, 1, Header{Size: 100}, packetOf(100, 0))
	n.SetLink(1*ms, 0, 1, Link{Delay: 20 * ms, Cut: true})
	n.Send(1*ms, 0, 1, Header{Size: 100}, packetOf(100, 1))
	n.SetLink(2*ms, 0, 1, Link{Delay: 20 * ms})
	n.Send(2*ms, 0, 1, Header{Size: 100}, packetOf(100, 2))
	fates := map[byte]Fate{}
	for _, r := range drain(t, n) {
		fates[r.Data[0]] = r.Fate
	}
	if fates[0] != Delivered || fates[1] != Cut || fates[2] != Delivered {
		t.Errorf("got %v", fates)
	}
}

func TestCutMeetsPacketsAsTheyLeaveTheUplink(t *testing.T) {
	n := NewNetwork[[]byte](2, 1)
	n.SetPorts(0, 0, Port{Rate: 8000, Queue: time.Hour}, Port{}) // 100 bytes take 100 ms
	n.SetLink(0, 0, 1, Link{})
	n.Send(0, 0, 1, Header{Size: 100}, packetOf(100, 0))
	n.Send(0, 0, 1, Header{Size: 100}, packetOf(100, 1))
	if r, ok := n.Pop(100 * ms); !ok || r.Fate != Delivered {
		t.Fatalf("the first packet: %+v, %v", r, ok)
	}
	n.SetLink(100*ms, 0, 1, Link{Cut: true})
	if r, ok := n.Pop(200 * ms); !ok || r.Fate != Cut {
		t.Errorf("the second packet, still in the queue at the cut: %+v, %v", r, ok)
	}
}

func TestRateSpacesPacketsAndQueueDropsTheTail(t *testing.T) {
	n := NewNetwork[[]byte](2, 1)
	n.SetPorts(0, 0, Port{Rate: 8_000_000, Queue: 10 * ms}, Port{}) // 1000 bytes take 1 ms
	n.SetLink(0, 0, 1, Link{Delay: 5 * ms})
	for i := range 20 {
		n.Send(0, 0, 1, Header{Size: 1000}, packetOf(1000, byte(i)))
	}
	var delivered, dropped []byte
	for _, r := range drain(t, n) {
		if r.Fate == QueueFull {
			dropped = append(dropped, r.Data[0])
			continue
		}
		delivered = append(delivered, r.Data[0])
		if want := time.Duration(r.Data[0]+1)*ms + 5*ms; r.Due != want {
			t.Errorf("packet %d arrives at %v, want %v", r.Data[0], r.Due, want)
		}
	}
	if len(delivered) != 11 || len(dropped) != 9 || delivered[10] != 10 { // one being sent and 10 ms of queue
		t.Errorf("delivered %v, dropped %v", delivered, dropped)
	}
}

func TestDownlinkIsSharedByAllSenders(t *testing.T) {
	n := NewNetwork[[]byte](3, 1)
	n.SetPorts(0, 2, Port{}, Port{Rate: 8_000_000, Queue: time.Second})
	n.SetLink(0, 0, 2, Link{Delay: 30 * ms})
	n.SetLink(0, 1, 2, Link{Delay: 10 * ms})
	n.Send(0, 0, 2, Header{Size: 1000}, packetOf(1000, 0))
	n.Send(20*ms, 1, 2, Header{Size: 1000}, packetOf(1000, 1)) // reaches the downlink together with the first
	got := drain(t, n)
	if len(got) != 2 || got[0].Due != 31*ms || got[1].Due != 32*ms {
		t.Errorf("got %+v", got)
	}
}

func TestRateLiftedLetsNothingOvertake(t *testing.T) {
	n := NewNetwork[[]byte](2, 1)
	n.SetPorts(0, 0, Port{Rate: 8000, Queue: time.Hour}, Port{})
	n.SetLink(0, 0, 1, Link{})
	n.Send(0, 0, 1, Header{Size: 100}, packetOf(100, 0))
	n.SetPorts(1*ms, 0, Port{}, Port{})
	n.Send(1*ms, 0, 1, Header{Size: 100}, packetOf(100, 1))
	if got := drain(t, n); got[0].Data[0] != 0 || got[1].Data[0] != 1 {
		t.Errorf("got %+v", got)
	}
}

func TestLossIsAsOftenAsAsked(t *testing.T) {
	n := NewNetwork[[]byte](2, 7)
	n.SetLink(0, 0, 1, Link{Loss: 0.3})
	const sent = 20_000
	lost := 0
	for i := range sent {
		n.Send(Instant(i), 0, 1, Header{Size: 1}, packetOf(1, 0))
		for {
			r, ok := n.Pop(Instant(i))
			if !ok {
				break
			}
			if r.Fate == Lost {
				lost++
			}
		}
	}
	if share := float64(lost) / sent; share < 0.285 || share > 0.315 { // 4.6 standard deviations
		t.Errorf("lost %.3f, want 0.3", share)
	}
}

func TestJitterReordersOnlyWhenAsked(t *testing.T) {
	inOrder := func(reorder bool) bool {
		n := NewNetwork[[]byte](2, 3)
		n.SetLink(0, 0, 1, Link{Delay: 20 * ms, Jitter: 10 * ms, Reorder: reorder})
		for i := range 100 {
			n.Send(Instant(i)*ms, 0, 1, Header{Size: 1}, packetOf(1, byte(i)))
		}
		return slices.IsSortedFunc(drain(t, n), func(a, b Result[[]byte]) int { return int(a.Data[0]) - int(b.Data[0]) })
	}
	if !inOrder(false) {
		t.Error("jitter reordered packets")
	}
	if inOrder(true) {
		t.Error("jitter with reordering kept all packets in order")
	}
}

func TestNetworkIsBounded(t *testing.T) {
	n := NewNetwork[[]byte](2, 1)
	n.SetLink(0, 0, 1, Link{Delay: time.Hour})
	for range maxUnderWay + 10 {
		n.Send(0, 0, 1, Header{Size: 1}, packetOf(1, 0))
	}
	overflow := 0
	for {
		r, ok := n.Pop(0)
		if !ok {
			break
		}
		if r.Fate == Overflow {
			overflow++
		}
	}
	if overflow != 10 {
		t.Errorf("%d packets overflowed, want 10", overflow)
	}
}

// simulate runs a random network and returns a trace of it, checking what must hold for any.
func simulate(t testing.TB, seed uint64) []string {
	r := rand.New(rand.NewPCG(seed, 0))
	const sites = 4
	n := NewNetwork[[]byte](sites, seed)
	var trace []string
	var now Instant
	sent, ended := 0, 0
	last := map[[2]Site]int{}
	pop := func() {
		for {
			res, ok := n.Pop(now)
			if !ok {
				return
			}
			ended++
			trace = append(trace, fmt.Sprint(res.From, res.To, res.Due, res.Fate, len(res.Data)))
			if res.Due > now {
				t.Fatalf("seed %d: popped at %v what is due at %v", seed, now, res.Due)
			}
			number := int(res.Data[0])<<8 | int(res.Data[1])
			way := [2]Site{res.From, res.To}
			if res.Fate == Delivered && number < last[way] {
				t.Fatalf("seed %d: packet %d from %d to %d came after %d", seed, number, res.From, res.To, last[way])
			}
			if res.Fate == Delivered {
				last[way] = number
			}
		}
	}
	for range 3000 {
		now += time.Duration(r.Int64N(int64(ms)))
		from, to := Site(r.IntN(sites)), Site(r.IntN(sites))
		switch r.IntN(20) {
		case 0:
			n.SetLink(now, from, to, Link{
				Delay: time.Duration(r.Int64N(int64(50 * ms))), Jitter: time.Duration(r.Int64N(int64(5 * ms))),
				Loss: r.Float64() / 2, Cut: r.IntN(4) == 0,
			})
		case 1:
			up := Port{Rate: r.Int64N(2) * 8_000_000, Queue: 5 * ms}
			n.SetPorts(now, from, up, Port{Rate: r.Int64N(2) * 8_000_000, Queue: 5 * ms})
		default:
			sent++
			b := make([]byte, 2+r.IntN(1400))
			b[0], b[1] = byte(sent>>8), byte(sent)
			n.Send(now, from, to, Header{Size: len(b)}, b)
		}
		pop()
	}
	now += time.Minute
	pop()
	if sent != ended || n.UnderWay() != 0 {
		t.Fatalf("seed %d: sent %d packets, %d ended, %d under way", seed, sent, ended, n.UnderWay())
	}
	return trace
}

func TestRandomNetworkKeepsOrderAndLosesTrackOfNothing(t *testing.T) {
	for seed := range uint64(20) {
		if !slices.Equal(simulate(t, seed), simulate(t, seed)) {
			t.Fatalf("seed %d: two runs differ", seed)
		}
	}
}

func BenchmarkNetwork(b *testing.B) {
	n := NewNetwork[[]byte](2, 1)
	n.SetPorts(0, 0, Port{Rate: 1e9, Queue: time.Second}, Port{})
	n.SetLink(0, 0, 1, Link{Delay: 20 * ms})
	data := make([]byte, 1500)
	now := Instant(0)
	b.ReportAllocs()
	for b.Loop() {
		now += 20 * time.Microsecond
		n.Send(now, 0, 1, Header{Size: len(data)}, data)
		for {
			if _, ok := n.Pop(now); !ok {
				break
			}
		}
	}
}
