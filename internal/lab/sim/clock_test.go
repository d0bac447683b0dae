package sim

import (
	"fmt"
	"testing"
	"time"

	"overlayd/internal/node"
)

const (
	day  = 24 * time.Hour
	year = 365 * day
)

// clockFault is something that happens to the clock of a host.
type clockFault struct {
	name string
	do   func(h *Host)
	undo func(h *Host) // puts it right; nil: nothing is wrong
	gone time.Duration // that the host is away
}

func restartAt(by time.Duration) clockFault {
	return clockFault{
		name: fmt.Sprintf("starts with a clock that is %v off", by),
		do:   func(h *Host) { h.Kill(); h.SetClock(by); h.Start() },
		undo: func(h *Host) { h.Kill(); h.SetClock(-by); h.Start() },
	}
}

func stepBy(by time.Duration) clockFault {
	return clockFault{
		name: fmt.Sprintf("has its clock set by %v as it runs", by),
		do:   func(h *Host) { h.SetClock(by); h.EndSessions() },
		undo: func(h *Host) { h.SetClock(-by); h.EndSessions() },
	}
}

// clockFaults are what clocks do.
func clockFaults(n *Net) []clockFault {
	to1970 := time.Unix(5, 0).Sub(n.start)
	return []clockFault{
		restartAt(100 * day), restartAt(-100 * day), restartAt(to1970), restartAt(11 * year),
		stepBy(100 * day), stepBy(-100 * day), stepBy(2 * time.Hour), stepBy(-2 * time.Hour), stepBy(to1970),
		{
			name: "boots with a clock that is two hours ahead, which is put right after a minute",
			do: func(h *Host) {
				h.Kill()
				h.SetClock(2 * time.Hour)
				h.Start()
				h.net.After(10*time.Second, func() { h.SetClock(-2 * time.Hour); h.EndSessions() })
			},
			gone: 10 * time.Second,
		},
		{name: "sleeps for an hour", do: func(h *Host) { h.Sleep(time.Hour) }, gone: time.Hour},
		{
			name: "has an epoch from the future, and then loses the file",
			do: func(h *Host) {
				h.Kill()
				h.SetClock(100 * year)
				h.Start()
				h.net.After(5*time.Second, func() { h.Kill(); h.SetClock(-100 * year); h.LoseEpoch(); h.Start() })
			},
			gone: 5 * time.Second,
		},
	}
}

// Whatever the clock of a host does, nobody forgets anybody, all pairs talk again within seconds, who is revoked is heard
// by nobody, also not by the host whose clock is wrong, and once the clock is right all is as it was.
func TestClockFaults(t *testing.T) {
	for i, kind := range clockFaults(New(0)) {
		for _, admin := range []bool{i%2 == 0, i%2 != 0} {
			if testing.Short() && admin != (i%2 == 0) {
				continue
			}
			t.Run(fmt.Sprintf("admin %v, a host that %s", admin, kind.name), func(t *testing.T) { clockFaultHeals(t, i, admin) })
		}
	}
}

func clockFaultHeals(t *testing.T, i int, admin bool) {
	n, hosts, heard := village(t, uint64(i), 6)
	fault := clockFaults(n)[i]
	victim := hosts[2]
	if admin {
		victim = hosts[1]
	}
	revoked := hosts[5]
	n.Run(5 * time.Second)
	hosts[0].Do(func(c *node.Core, now time.Time) error { return c.Revoke(now, revoked.ID, false) })
	n.Run(5 * time.Second)
	late := hosts[4]
	report := func(when string, members int) {
		t.Helper()
		for _, h := range hosts[:5] {
			if h == late && members < 5 {
				continue
			}
			if got := len(h.Core.Members().IDs()); got != members {
				t.Errorf("%s %s knows %d members, want %d", when, h.Name, got, members)
			}
			for _, other := range hosts[:members] {
				if silent := n.Now() - heard[[2]*Host{other, h}]; other != h && silent > time.Second {
					t.Errorf("%s nothing from %s to %s for %v", when, other.Name, h.Name, silent)
				}
			}
			for _, out := range hosts[members:] {
				if since := n.Now() - heard[[2]*Host{out, h}]; since < 3*time.Second && heard[[2]*Host{out, h}] > 0 {
					t.Errorf("%s %s hears %s, which is revoked", when, h.Name, out.Name)
				}
			}
		}
	}
	report("before", 5)
	fault.do(victim)
	n.Run(fault.gone + 5*time.Second)
	report("after it", 5)
	n.Run(time.Minute)
	hosts[0].Do(func(c *node.Core, now time.Time) error { return c.Revoke(now, late.ID, false) })
	n.Run(6 * time.Second)
	report("after a revocation", 4)
	if fault.undo != nil {
		fault.undo(victim)
		n.Run(10 * time.Second)
		report("when the clock is right", 4)
		n.Run(2 * time.Minute)
		report("two minutes later", 4)
	}
}

// WireGuard takes no handshake that is dated before the last one. A host whose clock went back, and to which nobody else
// has anything to say, begins its sessions all the same: at once, not when its clock has caught up.
func TestASessionBeginsAfterTheClockWentBack(t *testing.T) {
	for name, back := range map[string]func(h *Host){
		"as it runs":        func(h *Host) { h.SetClock(-2 * time.Hour); h.EndSessions() },
		"at a restart":      func(h *Host) { h.Kill(); h.SetClock(-2 * time.Hour); h.Start() },
		"as nobody is near": func(h *Host) { h.SetClock(-2 * time.Hour); h.EndSessions(); h.Sleep(5 * time.Minute) },
	} {
		n := New(1)
		f := n.Found()
		a, b := f.Host("belmont", Options{Root: true}), f.Host("boston", Options{})
		f.Introduce(a, b)
		a.Start()
		b.Start()
		last := time.Duration(0)
		b.Delivered = func(*Host, uint64, time.Time) { last = n.Now() }
		n.Every(50*time.Millisecond, func() bool { a.Send(b); return true })
		n.Run(5 * time.Second)
		back(a)
		n.Run(2 * time.Second)
		if name == "as nobody is near" {
			n.Run(5 * time.Minute)
			if a.EndSessions(); a.Core == nil {
				t.Fatal("it still sleeps")
			}
			n.Run(2 * time.Second)
		}
		if silent := n.Now() - last; silent > 200*time.Millisecond {
			t.Errorf("%s: nothing has arrived for %v", name, silent)
		}
	}
}
