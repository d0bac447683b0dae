package nat

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"overlayd/internal/wire"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func id(n byte) wire.NodeID { return wire.NodeID{n} }

func endpoints(list ...string) []netip.AddrPort {
	var out []netip.AddrPort
	for _, s := range list {
		out = append(out, netip.MustParseAddrPort(s))
	}
	return out
}

func gather(t testing.TB, g *Gatherer, after time.Duration, in GathererInput) []Output {
	t.Helper()
	if err := g.Step(start.Add(after), in); err != nil {
		t.Fatal(err)
	}
	return g.Drain(nil)
}

func observed(by byte, addr string) Observed {
	return Observed{By: id(by), Addr: netip.MustParseAddrPort(addr)}
}

// settle lets the gatherer publish and returns the last list and when it came.
func settle(t testing.TB, g *Gatherer) (list []netip.AddrPort, after time.Duration) {
	t.Helper()
	for range 10 {
		deadline, ok := g.NextDeadline()
		if !ok || g.publish.IsZero() {
			return list, after
		}
		for _, out := range gather(t, g, deadline.Sub(start), Tick{}) {
			list, after = out.(Changed).Endpoints, deadline.Sub(start)
		}
	}
	t.Fatal("does not settle")
	return nil, 0
}

func TestListIsInOrderOfPreference(t *testing.T) {
	g := NewGatherer(DefaultGathererConfig())
	gather(t, g, 0, SetLocal{endpoints(
		"127.0.0.1:51871", "10.0.0.5:51871", "[fe80::1]:51871", "[2001:db8::5]:51871", "10.0.0.5:51871", "224.0.0.1:51871",
	)})
	gather(t, g, 0, Configured{endpoints("203.0.113.9:7000")})
	gather(t, g, 0, observed(1, "198.51.100.2:4000"))
	gather(t, g, 0, observed(2, "198.51.100.1:4000"))
	gather(t, g, 0, observed(3, "198.51.100.2:4000"))
	gather(t, g, 0, observed(3, "[2001:db8::5]:51871")) // one of our own
	got, _ := settle(t, g)
	want := endpoints("203.0.113.9:7000", "10.0.0.5:51871", "[2001:db8::5]:51871", "198.51.100.2:4000")
	if diff := cmp.Diff(fmt.Sprint(want), fmt.Sprint(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestFirstListIsQuickAndLaterOnesAreNotMany(t *testing.T) {
	g := NewGatherer(DefaultGathererConfig())
	gather(t, g, 0, SetLocal{endpoints("10.0.0.5:51871")})
	if _, after := settle(t, g); after > 200*time.Millisecond {
		t.Errorf("the first list after %v", after)
	}
	gather(t, g, 300*time.Millisecond, observed(1, "198.51.100.2:4000"))
	gather(t, g, 900*time.Millisecond, observed(1, "198.51.100.2:4001"))
	if list, after := settle(t, g); after != 1100*time.Millisecond || len(list) != 3 {
		t.Errorf("the next list, of %d, after %v; want 1.1 s", len(list), after)
	}
	gather(t, g, 5*time.Second, SetLocal{nil})
	gather(t, g, 5*time.Second, SetLocal{endpoints("10.0.0.5:51871")})
	if list, after := settle(t, g); list != nil {
		t.Errorf("what changed and changed back was published after %v: %v", after, list)
	}
}

func TestReflexiveAddressLapsesUnlessConfirmed(t *testing.T) {
	g := NewGatherer(DefaultGathererConfig())
	gather(t, g, 0, observed(1, "198.51.100.2:4000"))
	gather(t, g, 0, observed(2, "198.51.100.3:4000"))
	settle(t, g)
	for after := time.Minute; after <= 4*time.Minute; after += time.Minute {
		gather(t, g, after, observed(1, "198.51.100.2:4000"))
	}
	deadline, ok := g.NextDeadline()
	if !ok || !deadline.Equal(start.Add(5*time.Minute)) {
		t.Fatalf("next deadline after %v, want 5 min", deadline.Sub(start))
	}
	gather(t, g, 5*time.Minute, Tick{})
	if list, _ := settle(t, g); fmt.Sprint(list) != "[198.51.100.2:4000]" {
		t.Errorf("after five minutes: %v", list)
	}
}

func TestLiarPushesOutNothing(t *testing.T) {
	g := NewGatherer(DefaultGathererConfig())
	var hosts []netip.AddrPort
	for i := range 30 { // many interfaces leave room too
		hosts = append(hosts, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i), 1}), 51871))
	}
	gather(t, g, 0, SetLocal{hosts})
	gather(t, g, 0, observed(1, "198.51.100.2:4000"))
	for i := range 1000 {
		lie := netip.AddrPortFrom(netip.AddrFrom4([4]byte{8, byte(i), byte(i / 256), 1}), 1)
		gather(t, g, time.Second, Observed{By: id(9), Addr: lie})
	}
	list, _ := settle(t, g)
	if len(list) > wire.MaxEndpoints || !slices.Contains(list, netip.MustParseAddrPort("198.51.100.2:4000")) {
		t.Errorf("%d endpoints: %v", len(list), list)
	}
	lies := 0
	for _, ap := range list {
		if ap.Addr().As4()[0] == 8 {
			lies++
		}
	}
	if lies > votesPerVoter {
		t.Errorf("%d lies of one member are in the list", lies)
	}
}

// liar is a member that sees this node somewhere else each time.
func liar(i int) Observed {
	addr := netip.AddrFrom4([4]byte{203, 0, byte(i / 256), byte(i)})
	return Observed{By: id(99), Addr: netip.AddrPortFrom(addr, uint16(1024+i))}
}

func TestWhatTwoMembersSeeIsNotChangedByOne(t *testing.T) {
	g := NewGatherer(DefaultGathererConfig())
	for i := range 6000 { // a minute
		after := time.Duration(i) * 10 * time.Millisecond
		var out []Output
		for by := range byte(2) {
			out = append(out, gather(t, g, after, observed(by, "198.51.100.9:51871"))...)
		}
		out = append(out, gather(t, g, after, liar(i))...)
		out = append(out, gather(t, g, after, Tick{})...)
		for _, o := range out {
			if list := o.(Changed).Endpoints; fmt.Sprint(list) != "[198.51.100.9:51871]" {
				t.Fatalf("after %v: published %v", after, list)
			}
		}
	}
}

func TestAMemberWhoseWordChangesAllTheTimeIsNotHeeded(t *testing.T) {
	g := NewGatherer(DefaultGathererConfig())
	lists := 0
	for i := range 60_000 { // ten minutes
		after := time.Duration(i) * 10 * time.Millisecond
		out := gather(t, g, after, observed(1, "198.51.100.9:51871"))
		out = append(out, gather(t, g, after, liar(i))...)
		out = append(out, gather(t, g, after, Tick{})...)
		for _, o := range out {
			lists++
			if !slices.Contains(o.(Changed).Endpoints, netip.MustParseAddrPort("198.51.100.9:51871")) {
				t.Fatalf("after %v: what another member sees is missing in %v", after, o)
			}
		}
	}
	if most := 2 * (wordsAtOnce + 10); lists > most { // each word heeded comes and goes
		t.Errorf("%d new lists in ten minutes, at most %d are allowed", lists, most)
	}
}

func TestListsAreBoundedWhateverChanges(t *testing.T) {
	g := NewGatherer(DefaultGathererConfig())
	lists := 0
	for i := range 600 {
		addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i / 256), byte(i)}), 51871)
		lists += len(gather(t, g, time.Duration(i)*time.Second, SetLocal{[]netip.AddrPort{addr}}))
		lists += len(gather(t, g, time.Duration(i)*time.Second+900*time.Millisecond, Tick{}))
	}
	if most := listsAtOnce + 1 + int(10*time.Minute/listEvery); lists > most || lists < most/2 {
		t.Errorf("%d lists in ten minutes, at most %d are allowed", lists, most)
	}
	if list, after := settle(t, g); len(list) != 1 || list[0].Addr() != netip.AddrFrom4([4]byte{10, 0, 599 / 256, 599 % 256}) || after > 11*time.Minute {
		t.Errorf("the last list %v comes after %v", list, after)
	}
}

func TestNonsenseIsNotObserved(t *testing.T) {
	g := NewGatherer(DefaultGathererConfig())
	for _, s := range []string{"127.0.0.1:1", "0.0.0.0:5", "198.51.100.2:0", "224.0.0.1:5", "[::1]:4", "255.255.255.255:9"} {
		gather(t, g, 0, observed(1, s))
	}
	gather(t, g, 0, Observed{By: id(1)})
	if list, _ := settle(t, g); list != nil {
		t.Errorf("published %v", list)
	}
	if err := g.Step(start, nil); !errors.Is(err, ErrInput) {
		t.Errorf("no input: %v", err)
	}
}

func TestEqualAddressesDoNotTakeTurns(t *testing.T) {
	cfg := DefaultGathererConfig()
	g := NewGatherer(cfg)
	rng := rand.New(rand.NewPCG(1, 1))
	seen := func(by byte) Observed { // a NAT that maps by destination: every member sees another port
		return Observed{By: id(by), Addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, 1}), 1000+uint16(by))}
	}
	for i := range byte(40) {
		gather(t, g, 0, seen(i))
	}
	settle(t, g)
	for i := range 1000 {
		after := time.Duration(i) * 100 * time.Millisecond
		if out := gather(t, g, after, seen(byte(rng.IntN(40)))); len(out) != 0 {
			t.Fatalf("a new list though nothing changed: %v", out)
		}
	}
}

// TestGathererStaysSound feeds random words of many members.
func TestGathererStaysSound(t *testing.T) {
	for seed := range uint64(10) {
		if a, b := runGatherer(t, seed), runGatherer(t, seed); a != b {
			t.Fatalf("seed %d: two runs differ:\n%s\n%s", seed, a, b)
		}
	}
}

func runGatherer(t testing.TB, seed uint64) (trace string) {
	rng := rand.New(rand.NewPCG(seed, 2))
	cfg := DefaultGathererConfig()
	cfg.Voters = 16
	g := NewGatherer(cfg)
	now, last := start, time.Time{}
	random := func() netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(rng.IntN(30))}), uint16(rng.IntN(3)))
	}
	for range 500 {
		next := now.Add(time.Duration(rng.IntN(2000)) * time.Millisecond)
		var in GathererInput = Tick{}
		if deadline, ok := g.NextDeadline(); ok && deadline.Before(next) {
			if deadline.Before(now) {
				t.Fatalf("seed %d: a deadline lies in the past", seed)
			}
			next = deadline
		} else {
			switch rng.IntN(20) {
			case 0:
				in = SetLocal{[]netip.AddrPort{random(), random()}}
			case 1:
				in = Configured{[]netip.AddrPort{random()}}
			default:
				in = Observed{By: id(byte(rng.IntN(40))), Addr: random()}
			}
		}
		now = next
		if err := g.Step(now, in); err != nil {
			t.Fatal(err)
		}
		for _, out := range g.Drain(nil) {
			list := out.(Changed).Endpoints
			if len(list) > wire.MaxEndpoints || len(firstUsable(list, 99)) != len(list) {
				t.Fatalf("seed %d: published %v", seed, list)
			}
			if !last.IsZero() && now.Sub(last) < cfg.Gap {
				t.Fatalf("seed %d: two lists within %v", seed, now.Sub(last))
			}
			last = now
			trace += fmt.Sprintln(now.Sub(start), list)
		}
		if len(g.voters) > cfg.Voters {
			t.Fatalf("seed %d: %d voters", seed, len(g.voters))
		}
	}
	return trace
}
