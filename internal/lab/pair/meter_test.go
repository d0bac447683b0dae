package pair

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"overlayd/internal/wire"
	"overlayd/probe"
)

const ms = time.Millisecond

var cambridge, francisco = wire.NodeID{1, 0xca}, wire.NodeID{2, 0x5f}

// meter sends a packet from A to B at a fixed interval and notes which arrive.
type meter struct {
	every   time.Duration
	from    time.Duration
	size    int
	arrived []bool
}

func newMeter(s *Sim, from, every, until time.Duration) *meter {
	m := &meter{every: every, from: from, size: 200}
	var send func()
	send = func() {
		n := len(m.arrived)
		m.arrived = append(m.arrived, false)
		s.A.Send(m.size, func() { m.arrived[n] = true })
		if s.Now()+every < until {
			s.At(s.Now()+every, send)
		}
	}
	s.At(from, send)
	return m
}

// lost is how many packets sent from one time to another did not arrive.
func (m *meter) lost(from, to time.Duration) (lost, sent int) {
	for i, ok := range m.arrived {
		if at := m.from + time.Duration(i)*m.every; at >= from && at < to {
			sent++
			if !ok {
				lost++
			}
		}
	}
	return lost, sent
}

// outage is the longest run of lost packets from one time to another, as a time.
func (m *meter) outage(from, to time.Duration) time.Duration {
	longest, run := 0, 0
	for i, ok := range m.arrived {
		if at := m.from + time.Duration(i)*m.every; at < from || at >= to {
			continue
		}
		if run++; ok {
			run = 0
		}
		longest = max(longest, run)
	}
	return time.Duration(longest) * m.every
}

// first is the time from start to the first change of a path of e into a state; negative if there is none.
func (e *End) first(start time.Duration, path int, to probe.State) time.Duration {
	for _, c := range e.Changes {
		if c.At >= start && c.Path == path && c.To == to {
			return c.At - start
		}
	}
	return -1
}

func (e *End) count(start time.Duration, path int, to probe.State) int {
	n := 0
	for _, c := range e.Changes {
		if c.At >= start && (path < 0 || c.Path == path) && c.To == to {
			n++
		}
	}
	return n
}

func (e *End) switchesFrom(start time.Duration) (list []Switch) {
	for _, s := range e.Switches {
		if s.At >= start {
			list = append(list, s)
		}
	}
	return list
}

type distribution []time.Duration

func (d distribution) at(q float64) time.Duration {
	s := slices.Sorted(slices.Values(d))
	return s[min(int(q*float64(len(s))), len(s)-1)]
}

func (d distribution) String() string {
	return fmt.Sprintf("p50 %v  p95 %v  max %v  (%d)",
		d.at(.5).Round(ms), d.at(.95).Round(ms), d.at(1).Round(ms), len(d))
}

func (s *Sim) checkNeverDeadWhileUp(t *testing.T) {
	t.Helper()
	for _, e := range []*End{s.A, s.B} {
		sel := e.Flow().Selected
		if sel < 0 || e.State(sel) != probe.Dead {
			continue
		}
		for i := range s.Paths {
			if e.State(i) == probe.Up {
				t.Fatalf("%s selects dead path %d while %d is up, at %v", e.name, sel, i, s.Now())
			}
		}
	}
}
