package lan

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

var (
	us    = MAC{2, 0, 0, 0, 0, 1}
	other = MAC{2, 0, 0, 0, 0, 2}
	host  = MAC{2, 0, 0, 0, 0, 10}

	gateway4 = netip.MustParseAddr("192.168.7.1")
	gateway6 = netip.MustParseAddr("2001:db8:7::1")
	begin    = time.Unix(1_000_000, 0)
)

// bench drives a Responder on a clock of its own, and notes in words what it says.
type bench struct {
	t   *testing.T
	r   *Responder
	now time.Time
}

func newBench(t *testing.T, gateway netip.Addr) *bench {
	networks := []netip.Prefix{netip.MustParsePrefix("192.168.7.0/24"), netip.MustParsePrefix("2001:db8:7::/64")}
	return &bench{t: t, r: NewResponder(DefaultConfig(), gateway, us, networks), now: begin}
}

// held is one that has nothing left of its start.
func held(t *testing.T, gateway netip.Addr) *bench {
	b := newBench(t, gateway)
	b.step(Hold{})
	b.run(5 * time.Second)
	return b
}

func (b *bench) step(in Input) string {
	b.t.Helper()
	if err := b.r.Step(b.now, in); err != nil {
		b.t.Errorf("%T: %v", in, err)
	}
	var said []string
	for _, out := range b.r.Drain(nil) {
		switch out := out.(type) {
		case Send:
			said = append(said, b.describe(out.Frame))
		case Contested:
			said = append(said, fmt.Sprint("contested by ", out.By))
		case Occupied:
			said = append(said, fmt.Sprint("occupied by ", out.By))
		}
	}
	return strings.Join(said, ", ")
}

func (b *bench) describe(frame []byte) string {
	m, err := Parse(frame)
	switch {
	case err != nil:
		b.t.Errorf("a frame of ours is malformed: %x", frame)
		return ""
	case !m.Claims.IsValid() && m.Source.IsUnspecified():
		return "question"
	case m.Station != us || m.Claims != b.r.addr:
		return "nonsense"
	case MAC(frame[:6]) == broadcast || MAC(frame[:6]) == allNodesMAC:
		return "announcement"
	default:
		return fmt.Sprint("answer to ", MAC(frame[:6]))
	}
}

// run lets time pass from deadline to deadline, and tells when what was said.
func (b *bench) run(d time.Duration) string {
	b.t.Helper()
	var said []string
	begin, end := b.now, b.now.Add(d)
	if what := b.step(Tick{}); what != "" {
		said = append(said, "0s "+what)
	}
	for {
		at, ok := b.r.NextDeadline()
		if !ok || at.After(end) {
			b.now = end
			return strings.Join(said, ", ")
		}
		if at.After(b.now) {
			b.now = at
		}
		if what := b.step(Tick{}); what != "" {
			said = append(said, fmt.Sprint(b.now.Sub(begin), " ", what))
		}
	}
}

func (b *bench) expect(got, want string) {
	b.t.Helper()
	if got != want {
		b.t.Errorf("it says %q, want %q", got, want)
	}
}

// request is a frame in which a host asks for the gateway.
func (b *bench) request(from MAC, source netip.Addr) Received {
	if source.Is4() {
		return Received{appendARP(nil, broadcast, arpRequest, arp{senderMAC: from, sender: source, target: b.r.addr})}
	}
	body := [ndLen + optionUnit]byte{0: solicitation, ndLen: optionSource, ndLen + 1: 1}
	copy(body[8:], b.r.addr.AsSlice())
	copy(body[ndLen+2:], from[:])
	group := solicitedNode(b.r.addr)
	return Received{appendICMPv6(appendEthernet(nil, multicastMAC(group), from, typeIPv6), source, group, body[:])}
}

func eachFamily(t *testing.T, test func(t *testing.T, gateway, neighbor netip.Addr)) {
	t.Run("IPv4", func(t *testing.T) { test(t, gateway4, netip.MustParseAddr("192.168.7.10")) })
	t.Run("IPv6", func(t *testing.T) { test(t, gateway6, netip.MustParseAddr("2001:db8:7::10")) })
}

func TestWhoHoldsAnnouncesAndRepeats(t *testing.T) {
	eachFamily(t, func(t *testing.T, gateway, _ netip.Addr) {
		b := newBench(t, gateway)
		b.expect(b.step(Hold{}), "announcement")
		b.expect(b.step(Hold{}), "")
		b.expect(b.run(time.Minute+2*time.Second),
			"300ms announcement, 1.5s announcement, 31.5s announcement, 1m1.5s announcement")
		b.step(Release{})
		b.expect(b.run(time.Hour), "")
		b.expect(b.step(Hold{}), "announcement")
		b.now = b.now.Add(time.Hour) // the process was stopped
		b.expect(b.step(Tick{}), "announcement")
		b.expect(b.run(time.Second), "")
	})
}

func TestOnlyWhoHoldsAnswers(t *testing.T) {
	eachFamily(t, func(t *testing.T, gateway, neighbor netip.Addr) {
		b := newBench(t, gateway)
		b.run(10 * time.Second)
		b.expect(b.step(b.request(host, neighbor)), "")
		b.step(Hold{})
		b.expect(b.step(b.request(host, neighbor)), "answer to 02:00:00:00:00:0a")
		b.step(Release{})
		b.expect(b.step(b.request(host, neighbor)), "")
	})
}

func TestStrangersGetNoAnswer(t *testing.T) {
	for source, answered := range map[string]bool{
		"192.168.7.10": true, "192.168.8.10": false, "169.254.1.1": false, "2001:db8:7::10": true, "fe80::10": true,
		"2001:db8:8::10": false,
	} {
		from := netip.MustParseAddr(source)
		b := held(t, map[bool]netip.Addr{true: gateway4, false: gateway6}[from.Is4()])
		if got := b.step(b.request(host, from)); (got != "") != answered {
			t.Errorf("to %s it says %q", source, got)
		}
	}
}

// Who asks without an address wants it for himself, or is a node of the site that has just started.
func TestWhoWantsTheAddressHearsThatItIsTaken(t *testing.T) {
	b := held(t, gateway4)
	b.expect(b.step(Received{AppendQuestion(nil, host, gateway4)}), "answer to 02:00:00:00:00:0a")
	b = held(t, gateway6)
	b.expect(b.step(Received{AppendQuestion(nil, host, gateway6)}), "announcement")
}

func TestAnswersAreLimited(t *testing.T) {
	eachFamily(t, func(t *testing.T, gateway, neighbor netip.Addr) {
		b := held(t, gateway)
		limit := DefaultConfig().Answers
		count := func(requests int) (answers int) {
			for range requests {
				if b.step(b.request(host, neighbor)) != "" {
					answers++
				}
			}
			return answers
		}
		if n := count(2 * limit); n != limit {
			t.Errorf("%d answers at once, want %d", n, limit)
		}
		b.now = b.now.Add(time.Second)
		if n := count(1); n != 1 {
			t.Error("a second later there is none")
		}
	})
}

func TestAContradictionIsAnsweredOnceASecond(t *testing.T) {
	eachFamily(t, func(t *testing.T, gateway, _ netip.Addr) {
		b := held(t, gateway)
		rival := Received{AppendAnnouncement(nil, other, gateway)}
		b.expect(b.step(rival), "contested by 02:00:00:00:00:02, announcement")
		for range 10 {
			b.now = b.now.Add(10 * time.Millisecond)
			b.expect(b.step(rival), "")
		}
		b.expect(b.run(3*time.Second), "900ms announcement")
		b.expect(b.step(rival), "announcement")
		if n, by := b.r.Conflicts(); n != 12 || by != other {
			t.Errorf("%d conflicts, with %v", n, by)
		}
		b.run(10 * time.Minute)
		b.expect(b.step(rival), "contested by 02:00:00:00:00:02, announcement")
		b.expect(b.step(Received{AppendAnnouncement(nil, us, gateway)}), "") // from a switch that has not learned yet
		b.step(rival)
		b.step(Release{})
		b.expect(b.run(time.Hour), "")
	})
}

func TestAtTheStartItAsksWhetherTheAddressIsTaken(t *testing.T) {
	eachFamily(t, func(t *testing.T, gateway, _ netip.Addr) {
		b := newBench(t, gateway)
		rival := Received{AppendAnnouncement(nil, other, gateway)}
		b.expect(b.run(1500*time.Millisecond), "0s question, 1s question")
		b.expect(b.step(rival), "occupied by 02:00:00:00:00:02")
		b.expect(b.step(rival), "")

		b = newBench(t, gateway)
		b.run(time.Minute)
		b.expect(b.step(rival), "") // another node has taken over, that is all
		if n, by := b.r.Conflicts(); n != 0 || by != other {
			t.Errorf("%d conflicts, with %v", n, by)
		}
	})
}
