package node

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"overlayd/internal/wire"
)

// forgotten counts the sessions that the core ends, and what it tells people.
func (f *fixture) forgotten() (sessions int, notices []string) {
	for _, out := range f.drain() {
		switch out := out.(type) {
		case ForgetSession:
			sessions++
		case Notice:
			notices = append(notices, out.Text)
		}
	}
	return sessions, notices
}

// A peer that says all the time that this node is behind makes it go on in a newer epoch now and then, in their pair alone,
// and tells people once.
func TestAPeerCausesFewTakeovers(t *testing.T) {
	f := newFixture(t)
	sessions, told, taken := 0, 0, 0
	var epoch uint64
	for range 10_000 { // in ten seconds
		f.control(wire.KindHello, wire.Hello{Heard: 1 << 40}.Append(nil))
		for _, out := range f.drain() {
			switch out := out.(type) {
			case Send:
				if frame, err := f.box.Open(out.Frame); err == nil && frame.SenderEpoch > epoch {
					if epoch != 0 {
						taken++
					}
					epoch = frame.SenderEpoch
				}
			case ForgetSession:
				sessions++
			case Notice:
				told++
			}
		}
		f.run(time.Millisecond)
	}
	if most := int(10*time.Second/takeoverEvery) + 1; taken < 1 || taken > most || sessions > most {
		t.Errorf("%d takeovers and %d ended sessions in ten seconds, want at most %d", taken, sessions, most)
	}
	if told != 1 {
		t.Errorf("people were told %d times", told)
	}
}

// A peer that asks for it all the time has its session ended once a second.
func TestAPeerEndsFewSessions(t *testing.T) {
	f := newFixture(t)
	f.drain()
	sessions := 0
	for range 10_000 { // in ten seconds
		f.control(wire.KindSession, []byte{sessionForget})
		n, _ := f.forgotten()
		sessions += n
		f.run(time.Millisecond)
	}
	if sessions < 9 || sessions > 11 {
		t.Errorf("%d sessions were ended in ten seconds, want one a second", sessions)
	}
	f.control(wire.KindSession, []byte{sessionForgot})
	f.control(wire.KindSession, nil)
	f.control(wire.KindSession, []byte{9})
	if n, _ := f.forgotten(); n != 0 {
		t.Errorf("%d sessions were ended without being asked to", n)
	}
}

// What a peer says of copies of this node is shown, bounded, and told once.
func TestWhatAPeerSaysOfCopiesIsShown(t *testing.T) {
	f := newFixture(t)
	f.drain()
	var at []netip.AddrPort
	for i := range wire.MaxEndpoints {
		at = append(at, netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, byte(i + 1)}), 51871))
	}
	told := 0
	for range 100 {
		f.control(wire.KindDuplicate, (&wire.Endpoints{List: at}).Append(nil))
		_, notices := f.forgotten()
		told += len(notices)
		f.run(10 * time.Millisecond)
	}
	w := strings.Join(f.core.Warnings(f.now), "")
	if told != 1 || !strings.Contains(w, "203.0.113.1:51871 and 203.0.113.2:51871, says boston") || strings.Contains(w, "203.0.113.3") {
		t.Errorf("told %d times; status says %q", told, w)
	}
	f.run(duplicateFor + time.Second)
	if w := f.core.Warnings(f.now); len(w) != 0 {
		t.Errorf("long after the last word status says %q", w)
	}
}

// When the clock goes back, the peer forgets the session first, then this node: so the next handshake counts.
func TestWhenTheClockGoesBackBothForgetTheSession(t *testing.T) {
	f := newFixture(t)
	f.step(Wake{Peer: f.other.ID()})
	f.drain()
	f.step(WallClock{Offset: -2 * time.Hour})
	f.control(wire.KindPing, (&wire.Ping{Path: 1, Seq: 2}).Append(nil))
	asked := 0
	for _, out := range f.drain() {
		switch out := out.(type) {
		case Send:
			if out.Kind == wire.KindSession {
				asked++
			}
		case ForgetSession:
			t.Error("the session is ended before the peer has forgotten it")
		}
	}
	if asked != 1 {
		t.Fatalf("the peer was asked %d times", asked)
	}
	f.control(wire.KindSession, []byte{sessionForgot})
	var order []string
	for _, out := range f.drain() {
		switch out.(type) {
		case ForgetSession:
			order = append(order, "forget")
		case RenewSession:
			order = append(order, "renew")
		}
	}
	if got := strings.Join(order, ", "); got != "forget, renew" {
		t.Errorf("then: %q", got)
	}
	f.run(2 * resetEvery)
	f.drain()
	f.control(wire.KindPing, (&wire.Ping{Path: 1, Seq: 3}).Append(nil))
	for _, out := range f.drain() {
		if s, ok := out.(Send); ok && s.Kind == wire.KindSession {
			t.Error("the peer is asked again")
		}
	}
}

// After a sleep, the peers have ended the sessions, and WireGuard here does not know.
func TestAfterASleepSessionsAreRenewed(t *testing.T) {
	f := newFixture(t)
	f.step(Wake{Peer: f.other.ID()})
	f.drain()
	f.step(WallClock{Offset: time.Hour})
	renewed := 0
	for _, out := range f.drain() {
		if _, ok := out.(RenewSession); ok {
			renewed++
		}
	}
	if renewed != 1 {
		t.Errorf("%d sessions are renewed", renewed)
	}
	if at := f.core.wallClock(f.now); !at.Equal(f.now.Add(time.Hour)) {
		t.Errorf("people read %v", at)
	}
}
