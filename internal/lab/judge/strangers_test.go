package judge

import (
	"net/netip"
	"testing"
	"time"
)

func TestStrangersCountsWhatIsSentBeforeAnAnswer(t *testing.T) {
	s := NewStrangers()
	own, peer, nobody := netip.MustParseAddr("198.51.100.7"), netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("198.51.100.9")
	for i := range 20 {
		s.Sent("belmont", own, peer, at(time.Duration(i)*time.Second), i < 2)
		if i == 4 {
			s.Sent("boston", peer, own, at(0), false)
		}
	}
	for i := range 30 {
		s.Sent("belmont", own, nobody, at(time.Duration(i)*time.Second), false)
	}
	s.Sent("boston", own, nobody, at(0), false)
	most := func(data bool, owners int, from, to time.Duration, sites ...string) (int, string, netip.Addr) {
		return s.Most(sites, data, at(from), at(to), 10*time.Second, func(netip.Addr) int { return owners })
	}
	n, site, addr := most(false, 1, 0, time.Minute, "belmont", "boston")
	if n != 11 || site != "belmont" || addr != nobody {
		t.Errorf("%d packets from %s to %v", n, site, addr)
	}
	if n, _, _ := most(false, 1, 25*time.Second, time.Minute, "belmont"); n != 5 {
		t.Errorf("%d packets in the window", n)
	}
	if n, _, addr := most(false, 1, 0, 4500*time.Millisecond, "belmont"); n != 5 || addr != peer && addr != nobody {
		t.Errorf("%d packets to %v before the answer", n, addr)
	}
	if n, _, _ := most(false, 4, 0, time.Minute, "belmont"); n != 3 {
		t.Errorf("%d packets for each of four that have the address", n)
	}
	if n, _, addr := most(true, 1, 0, time.Minute, "belmont", "boston"); n != 2 || addr != peer {
		t.Errorf("%d packets of data to %v", n, addr)
	}
}

func TestBlamedAreTheRelaysInQuarantineInAWindow(t *testing.T) {
	var q quarantine
	report := func(when time.Duration, relay string) {
		r := sees(0, 1, "up", "cambridge", "worcester")
		c := r.Peers[0].Candidates[:1]
		c[0].Via = []string{"cambridge", "worcester"}
		if relay != "" {
			c[0].Quarantine = relay + " is in quarantine for another 1m0s: data is dropped"
		}
		q.addQuarantines(c, when)
	}
	report(time.Second, "")
	report(2*time.Second, "worcester")
	report(4*time.Second, "")
	for _, c := range []struct {
		from, to time.Duration
		want     int
	}{{0, 1900 * ms, 0}, {0, 3 * time.Second, 1}, {3 * time.Second, 3 * time.Second, 1}, {4 * time.Second, time.Minute, 0}} {
		got := q.guilty(c.from, c.to)
		if _, right := got["worcester"]; len(got) != c.want || c.want == 1 && !right {
			t.Errorf("from %v to %v: %v", c.from, c.to, got)
		}
	}
}
