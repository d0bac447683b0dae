package pair

import (
	"fmt"
	"testing"
	"time"
)

// stream sends a packet of size bytes each interval from one end and counts those that do not arrive.
type stream struct{ sent, lost int }

func (s *Sim) stream(from *End, every time.Duration, size int, begin, until time.Duration) *stream {
	st := &stream{}
	var send func()
	send = func() {
		st.sent++
		arrived := false
		from.Send(size, func() { arrived = true })
		s.At(s.Now()+2*time.Second, func() {
			if !arrived {
				st.lost++
			}
		})
		if s.Now()+every <= until {
			s.At(s.Now()+every, send)
		}
	}
	s.At(begin, send)
	return st
}

// A path that answers probes and drops all data is left before more than 3 packets or a second of them are lost, at any
// rate, and is not returned to in ten minutes, nor is another path taken that has the same fault.
func TestAPathThatDropsAllDataIsLeft(t *testing.T) {
	for _, rate := range []int{1, 5, 20, 50, 200} {
		for _, second := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d packets a second, second direct path %v", rate, second), func(t *testing.T) {
				every := time.Second / time.Duration(rate)
				direct, other, relayed := Symmetric(20*time.Millisecond), Symmetric(20*time.Millisecond), Symmetric(40*time.Millisecond, cambridge)
				paths := []*Path{direct, relayed}
				if second {
					paths = append(paths, other)
				}
				s := New(1, paths...)
				const fault, end = 30 * time.Second, 30*time.Second + 10*time.Minute
				st := s.stream(s.A, every, 100, time.Second, end)
				s.At(fault, func() {
					for _, p := range []*Path{direct, other} {
						p.Out.DataLoss, p.In.DataLoss = 1, 1
					}
				})
				s.Run(fault + 10*time.Second)
				if most := max(3, rate); st.lost > most {
					t.Errorf("%d packets lost until the path was left, at most %d allowed", st.lost, most)
				}
				s.Run(end + 3*time.Second)
				if most := max(6, 2*rate); st.lost > most {
					t.Errorf("%d packets lost in ten minutes, at most %d allowed: %v", st.lost, most, s.A.Switches)
				}
				if on := s.A.Flow().Selected; on != 1 {
					t.Errorf("in the end data goes on path %d", on)
				}
				t.Logf("%d of %d lost", st.lost, st.sent)
			})
		}
	}
}

// When the fault is over, copies of data show it, and the path is returned to without a loss.
func TestAPathThatPassesDataAgainIsReturnedTo(t *testing.T) {
	direct, relayed := Symmetric(20*time.Millisecond), Symmetric(40*time.Millisecond, cambridge)
	s := New(1, direct, relayed)
	st := s.stream(s.A, 200*time.Millisecond, 100, time.Second, 3*time.Minute)
	s.At(30*time.Second, func() { direct.Out.DataLoss = 1 })
	s.At(60*time.Second, func() { direct.Out.DataLoss = 0 })
	s.Run(60 * time.Second)
	before := st.lost
	s.Run(3*time.Minute + 3*time.Second)
	if on := s.A.Flow().Selected; on != 0 {
		t.Errorf("data still goes on path %d: %v", on, s.A.Switches)
	}
	if st.lost != before {
		t.Errorf("%d packets were lost by the return", st.lost-before)
	}
}

// Where no path passes data but probes, the one in use stays, and a path that recovers is found.
func TestAllPathsDropData(t *testing.T) {
	direct, relayed := Symmetric(20*time.Millisecond), Symmetric(40*time.Millisecond, cambridge)
	s := New(1, direct, relayed)
	st := s.stream(s.A, 100*time.Millisecond, 100, time.Second, 2*time.Minute)
	s.At(20*time.Second, func() { direct.Out.DataLoss, relayed.Out.DataLoss = 1, 1 })
	s.At(60*time.Second, func() { relayed.Out.DataLoss = 0 })
	s.Run(100 * time.Second)
	lost := st.lost
	s.Run(2*time.Minute + 3*time.Second)
	if st.lost != lost {
		t.Errorf("%d packets lost in the last 20 s, long after the relayed path recovered: %v", st.lost-lost, s.A.Switches)
	}
}

// A conversation that waits for answers, and repeats what was lost after longer and longer times, goes on: it never sends
// enough for a rate of loss to be certain.
func TestAConversationLeavesAPathThatDropsData(t *testing.T) {
	for _, pause := range []time.Duration{0, 300 * time.Millisecond, time.Second} {
		for _, both := range []bool{true, false} {
			direct, relayed := Symmetric(20*time.Millisecond), Symmetric(40*time.Millisecond, cambridge)
			s := New(1, direct, relayed)
			const fault = 30 * time.Second
			answered := s.converse(time.Second, pause, 5*time.Minute)
			s.At(fault, func() {
				direct.Out.DataLoss = 1
				if both {
					direct.In.DataLoss = 1
				}
			})
			s.Run(fault)
			before := len(*answered)
			s.Run(fault + time.Minute)
			gap, last := time.Duration(0), fault
			for _, at := range (*answered)[before:] {
				gap, last = max(gap, at-last), at
			}
			if gap = max(gap, s.Now()-last); gap > pause+2*time.Second {
				t.Errorf("pause %v, both ways %v: %v without an answer", pause, both, gap)
			}
		}
	}
}

// converse asks from A, repeats a question that is not answered after 200, 400, 800 ms …, and pauses after each answer. It
// returns when answers came.
func (s *Sim) converse(begin, pause, until time.Duration) *[]time.Duration {
	var answered []time.Duration
	done := map[int]bool{}
	var ask func(seq int, wait time.Duration)
	ask = func(seq int, wait time.Duration) {
		if done[seq] || s.Now() > until {
			return
		}
		s.A.Send(100, func() {
			s.B.Send(100, func() {
				if !done[seq] {
					done[seq] = true
					answered = append(answered, s.Now())
					s.At(s.Now()+pause, func() { ask(seq+1, 200*time.Millisecond) })
				}
			})
		})
		s.At(s.Now()+wait, func() { ask(seq, 2*wait) })
	}
	s.At(begin, func() { ask(0, 200*time.Millisecond) })
	return &answered
}
