package rotation

import (
	"net/netip"
	"slices"
	"testing"
	"time"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func endpoints(n, from int) (list []netip.AddrPort) {
	for i := range n {
		list = append(list, netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(from + i)}), 51871))
	}
	return list
}

// turns lets every endpoint fail, in rounds of a second with room for so many, and says when each was tried.
func turns(e *Endpoints, room int, d time.Duration, fresh bool) map[netip.AddrPort][]time.Duration {
	tried := make(map[netip.AddrPort][]time.Duration)
	for now := start; now.Before(start.Add(d)); now = now.Add(time.Second) {
		var round []netip.AddrPort
		for len(round) < room {
			at, ok := e.Next(now, fresh)
			if !ok {
				break
			}
			round = append(round, at)
			tried[at] = append(tried[at], now.Sub(start))
		}
		for _, at := range round {
			e.Failed(now.Add(time.Second), at)
		}
	}
	return tried
}

func TestEveryEndpointHasItsTurnAndTheFirstBegin(t *testing.T) {
	var e Endpoints
	list := endpoints(20, 1)
	e.Publish(start, list)
	tried := turns(&e, 8, time.Minute, false)
	for i, at := range list {
		if got := tried[at]; len(got) == 0 || got[0] != time.Duration(i/8)*time.Second {
			t.Errorf("endpoint %d was tried after %v", i, got)
		}
	}
}

func TestWithoutAnAnswerTheTurnsGrowRare(t *testing.T) {
	var e Endpoints
	list := endpoints(1, 1)
	e.Publish(start, list)
	got := turns(&e, 8, 20*time.Minute, false)[list[0]]
	want := []time.Duration{0, 11 * time.Second, 32 * time.Second, 73 * time.Second, 154 * time.Second, 315 * time.Second}
	if !slices.Equal(got[:min(len(got), len(want))], want) || len(got) > 9 {
		t.Errorf("tried after %v", got)
	}
	e.Again(start.Add(20 * time.Minute))
	if _, ok := e.Next(start.Add(20*time.Minute), true); !ok {
		t.Error("it is not tried at once when the peer is lost")
	}
}

func TestWhileAnotherAnswersOnlyFreshOnesAreTried(t *testing.T) {
	var e Endpoints
	list := endpoints(3, 1)
	e.Publish(start, list)
	for at, got := range turns(&e, 8, time.Hour, true) {
		if len(got) != 1 {
			t.Errorf("%v was tried after %v", at, got)
		}
	}
	if _, ok := e.Due(true); ok {
		t.Error("something is due")
	}
	e.Publish(start.Add(time.Hour), endpoints(4, 1))
	if at, ok := e.Next(start.Add(time.Hour), true); !ok || at != endpoints(1, 4)[0] {
		t.Errorf("a new endpoint is not tried: %v", at)
	}
}

func TestWhatIsNotPublishedIsForgotten(t *testing.T) {
	var e Endpoints
	list := endpoints(2, 1)
	e.Publish(start, list[:1])
	e.Learn(start, list[1])
	e.Publish(start, nil)
	for at, got := range turns(&e, 8, 24*time.Hour, false) {
		if len(got) != maxTurns || got[maxTurns-1] > 6*time.Minute {
			t.Errorf("%v was tried after %v", at, got)
		}
	}
	if len(e.list) > 0 {
		t.Errorf("still kept: %v", e.list)
	}
}

func TestATurnThatWasTooShortIsRepeated(t *testing.T) {
	var e Endpoints
	e.Publish(start, endpoints(1, 1))
	at, _ := e.Next(start, true)
	if e.Waits(start, false) {
		t.Error("tried twice at a time")
	}
	e.PutBack(start, at)
	if !e.Waits(start, true) {
		t.Error("it does not wait for another turn")
	}
}

func TestWhatIsKeptIsBounded(t *testing.T) {
	var e Endpoints
	for i := range 250 {
		e.Learn(start, endpoints(1, i)[0])
	}
	e.Publish(start, endpoints(250, 1))
	if len(e.list) > MaxPublished+MaxLearned {
		t.Errorf("%d are kept", len(e.list))
	}
}
