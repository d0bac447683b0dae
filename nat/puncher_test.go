package nat

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"overlayd/internal/wire"
)

func punchStep(t testing.TB, p *Puncher, after time.Duration, in PuncherInput) []Output {
	t.Helper()
	if err := p.Step(start.Add(after), in); err != nil {
		t.Fatal(err)
	}
	return p.Drain(nil)
}

// timeline runs the puncher for a time and returns what it wanted when.
func timeline(t testing.TB, p *Puncher, from, until time.Duration) (lines []string) {
	t.Helper()
	for {
		deadline, ok := p.NextDeadline()
		if !ok || deadline.Sub(start) >= until {
			return lines
		}
		if deadline.Sub(start) < from {
			t.Fatalf("a deadline at %v, before %v", deadline.Sub(start), from)
		}
		lines = append(lines, show(deadline.Sub(start), punchStep(t, p, deadline.Sub(start), Tick{}))...)
	}
}

func show(after time.Duration, outs []Output) (lines []string) {
	for _, out := range outs {
		switch out := out.(type) {
		case Tell:
			lines = append(lines, fmt.Sprint(after, " tell"))
		case Probe:
			lines = append(lines, fmt.Sprint(after, " probe ", out.Endpoint))
		}
	}
	return lines
}

func count(lines []string, what string) (n int) {
	for _, l := range lines {
		var after, verb string
		if _, err := fmt.Sscan(l, &after, &verb); err == nil && verb == what {
			n++
		}
	}
	return n
}

func TestScheduleOfAWantedPeer(t *testing.T) {
	p := NewPuncher(DefaultPuncherConfig())
	lines := show(0, punchStep(t, p, 0, Want{Peer: id(2), Remote: endpoints("198.51.100.2:7")}))
	lines = append(lines, timeline(t, p, 0, 2*time.Second)...)
	want := "[0s tell 0s probe 198.51.100.2:7 50ms probe 198.51.100.2:7 100ms probe 198.51.100.2:7" +
		" 200ms probe 198.51.100.2:7 400ms probe 198.51.100.2:7 800ms probe 198.51.100.2:7]"
	if got := fmt.Sprint(lines); got != want {
		t.Errorf("first round:\n got %s\nwant %s", got, want)
	}
	var rounds []time.Duration
	for range 5 {
		deadline, _ := p.NextDeadline()
		rounds = append(rounds, deadline.Sub(start))
		timeline(t, p, 0, deadline.Sub(start)+time.Second)
	}
	if got := fmt.Sprint(rounds); got != "[2s 7s 22s 1m22s 2m22s]" {
		t.Errorf("rounds begin at %s", got)
	}
}

func TestToldPeerIsProbedAndAnsweredOnce(t *testing.T) {
	p := NewPuncher(DefaultPuncherConfig())
	lines := show(0, punchStep(t, p, 0, Told{Peer: id(2), Endpoints: endpoints("198.51.100.2:7")}))
	again := Told{Peer: id(2), Endpoints: endpoints("198.51.100.2:7", "198.51.100.2:8")}
	lines = append(lines, show(10*time.Millisecond, punchStep(t, p, 10*time.Millisecond, again))...)
	lines = append(lines, timeline(t, p, 0, time.Hour)...)
	if tells, probes := count(lines, "tell"), count(lines, "probe"); tells != 1 || probes != 1+1+2*5 {
		t.Errorf("%d tells and %d probes: %v", tells, probes, lines)
	}
}

func TestAnswerFromFarAwayStartsOneMoreBurst(t *testing.T) {
	p := NewPuncher(DefaultPuncherConfig())
	punchStep(t, p, 0, Want{Peer: id(2)})
	timeline(t, p, 0, time.Second)
	lines := show(0, punchStep(t, p, time.Second, Told{Peer: id(2), Endpoints: endpoints("198.51.100.2:7")}))
	lines = append(lines, timeline(t, p, time.Second, 2*time.Second)...)
	if tells, probes := count(lines, "tell"), count(lines, "probe"); tells != 0 || probes != 6 {
		t.Errorf("%d tells and %d probes: %v", tells, probes, lines)
	}
}

func TestWishThatFollowsAnAnswerDoesNotTellAgain(t *testing.T) {
	p := NewPuncher(DefaultPuncherConfig())
	punchStep(t, p, 0, Told{Peer: id(2), Endpoints: endpoints("198.51.100.2:7")})
	lines := show(0, punchStep(t, p, 10*time.Millisecond, Want{Peer: id(2), Remote: endpoints("198.51.100.2:7")}))
	lines = append(lines, timeline(t, p, 0, 1900*time.Millisecond)...)
	if n := count(lines, "tell"); n != 0 {
		t.Errorf("tells %d times more", n)
	}
}

func TestDirectPathStopsEverythingAtOnce(t *testing.T) {
	p := NewPuncher(DefaultPuncherConfig())
	punchStep(t, p, 0, Want{Peer: id(2), Remote: endpoints("198.51.100.2:7")})
	if out := punchStep(t, p, 20*time.Millisecond, Direct{Peer: id(2), Up: true}); len(out) != 0 {
		t.Errorf("got %v", out)
	}
	if _, ok := p.NextDeadline(); ok {
		t.Error("something is still due")
	}
	if out := punchStep(t, p, time.Second, Want{Peer: id(2), Remote: endpoints("198.51.100.3:7")}); len(out) != 0 {
		t.Errorf("a wish that is fulfilled causes %v", out)
	}
	if lines := show(0, punchStep(t, p, 2*time.Second, Direct{Peer: id(2), Up: false})); count(lines, "tell") != 1 {
		t.Errorf("the loss of the path causes %v", lines)
	}
}

func TestForgottenPeerIsLeftAlone(t *testing.T) {
	p := NewPuncher(DefaultPuncherConfig())
	punchStep(t, p, 0, Want{Peer: id(2), Remote: endpoints("198.51.100.2:7")})
	punchStep(t, p, 0, Forget{Peer: id(2)})
	if _, ok := p.NextDeadline(); ok {
		t.Error("something is still due")
	}
}

func TestNewCandidateIsProbedAtOnce(t *testing.T) {
	p := NewPuncher(DefaultPuncherConfig())
	punchStep(t, p, 0, Want{Peer: id(2), Remote: endpoints("198.51.100.2:7")})
	for i, in := range []PuncherInput{
		Want{Peer: id(2), Remote: endpoints("198.51.100.2:7", "198.51.100.2:8")},
		Seen{Peer: id(2), Addr: endpoints("198.51.100.2:9")[0]},
		Told{Peer: id(2), Endpoints: endpoints("198.51.100.2:10")},
	} {
		out := punchStep(t, p, 10*time.Millisecond, in)
		want := netip.AddrPortFrom(netip.MustParseAddr("198.51.100.2"), uint16(8+i))
		if len(out) != 1 || out[0] != (Probe{Peer: id(2), Endpoint: want}) {
			t.Errorf("%#v: got %v", in, out)
		}
	}
}

func TestEverythingIsBounded(t *testing.T) {
	cfg := DefaultPuncherConfig()
	cfg.Peers, cfg.Candidates = 8, 5
	p := NewPuncher(cfg)
	rng := rand.New(rand.NewPCG(1, 4))
	random := func() (list []netip.AddrPort) {
		for range rng.IntN(40) {
			addr := netip.AddrFrom4([4]byte{127 + byte(rng.IntN(3)), 1, 1, byte(rng.IntN(99))})
			list = append(list, netip.AddrPortFrom(addr, 9))
		}
		return append(list, netip.AddrPort{})
	}
	punchStep(t, p, 0, Want{Peer: id(200), Remote: endpoints("198.51.100.2:7")})
	now := time.Duration(0)
	for range 3000 {
		peer := id(byte(rng.IntN(20)))
		in := []PuncherInput{
			Tick{}, Told{peer, random()}, Seen{peer, random()[0]}, Direct{peer, rng.IntN(2) == 0}, Forget{peer},
		}[rng.IntN(5)]
		probes := map[wire.NodeID]int{}
		for _, out := range punchStep(t, p, now, in) {
			if out, ok := out.(Probe); ok {
				if probes[out.Peer]++; probes[out.Peer] > 2*cfg.Candidates || !usable(out.Endpoint) {
					t.Fatalf("%#v: %v", in, out)
				}
			}
		}
		if len(p.peers) > cfg.Peers {
			t.Fatalf("%d peers", len(p.peers))
		}
		now += time.Duration(rng.IntN(300)) * time.Millisecond
	}
	if p.peers[id(200)] == nil {
		t.Error("a wanted peer was forgotten for unwanted ones")
	}
	if err := p.Step(start, nil); !errors.Is(err, ErrInput) {
		t.Errorf("no input: %v", err)
	}
}

// A member that tells of new endpoints all the time, none of them its own, in as many frames as it may send.
func TestWhatAMemberTellsCausesFewProbes(t *testing.T) {
	p := NewPuncher(DefaultPuncherConfig())
	port := uint16(1024)
	minutes := make([]int, 3)
	for ms := 0; ms < 180_000; ms += 5 {
		after := time.Duration(ms) * time.Millisecond
		var list []netip.AddrPort
		for range wire.MaxEndpoints {
			port = max(1024, port+1)
			list = append(list, netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, 80}), port))
		}
		ins := []PuncherInput{Tick{}, Told{Peer: id(1), Endpoints: list}}
		if ms%10_000 == 0 {
			ins = append(ins, Forget{Peer: id(1)}, Want{Peer: id(1)}) // it is in use, again and again
		}
		for _, in := range ins {
			minutes[ms/60_000] += count(show(after, punchStep(t, p, after, in)), "probe")
		}
	}
	t.Logf("probes in each minute: %v", minutes)
	for i, n := range minutes {
		if most := peerProbesAtOnce + 60*peerProbes; n > most {
			t.Errorf("minute %d: %d probes to addresses of its choice, at most %d are allowed", i, n, most)
		}
	}
}

func TestAPeerIsHeededLessAndLessOften(t *testing.T) {
	p := NewPuncher(DefaultPuncherConfig())
	var heeded []time.Duration
	for s := range 300 {
		after := time.Duration(s) * time.Second
		lines := show(after, punchStep(t, p, after, Told{Peer: id(1), Endpoints: endpoints("198.51.100.2:7")}))
		if count(lines, "tell") > 0 {
			heeded = append(heeded, after)
		}
		timeline(t, p, after, after+time.Second)
	}
	if got := fmt.Sprint(heeded); got != "[0s 2s 7s 21s 1m15s 2m9s 3m3s 3m57s 4m51s]" {
		t.Errorf("heeded at %s", got)
	}
}

func TestAllMembersTogetherCauseABoundedNumberOfProbes(t *testing.T) {
	p := NewPuncher(DefaultPuncherConfig())
	probes := 0
	for ms := range 3000 {
		after := time.Duration(ms) * time.Millisecond
		peer := wire.NodeID{byte(ms), byte(ms >> 8)}
		for _, in := range []PuncherInput{Tick{}, Told{Peer: peer, Endpoints: endpoints("203.0.113.80:1", "203.0.113.80:2")}} {
			probes += count(show(after, punchStep(t, p, after, in)), "probe")
		}
	}
	if most := totalProbesAtOnce + 3*totalProbes; probes > most || probes < most/2 {
		t.Errorf("%d probes in three seconds, at most %d are allowed", probes, most)
	}
}
