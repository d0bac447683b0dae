package member

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// crowd is a set of many members, a few of them admins that let the others in.
func crowd(b *testing.B, members, admins int) (*world, *Set, []*actor, []*actor) {
	b.Helper()
	w := newWorld(b, 1)
	s := w.watcher()
	var bosses, others []*actor
	for i := range admins {
		bosses = append(bosses, w.actor(fmt.Sprintf("a%d", i), nil, asAdmin))
	}
	for i := range members - admins {
		others = append(others, w.actor(fmt.Sprintf("n%d", i), bosses[i%admins], nil))
	}
	if err := s.Step(start, Learn{items(append(bosses, others...)...)}); err != nil {
		b.Fatal(err)
	}
	s.Drain(nil)
	return w, s, bosses, others
}

func BenchmarkLearnKnownRecord(b *testing.B) {
	_, s, _, others := crowd(b, 1000, 2)
	in := Learn{items(others[7])}
	for b.Loop() {
		if err := s.Step(start, in); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLearnNewRecord(b *testing.B) {
	_, s, _, others := crowd(b, 1000, 2)
	x, sequence := others[7], micros(start)
	for b.Loop() {
		b.StopTimer()
		sequence++
		r, err := SignRecord(x.id, x.cert, sequence, Statement{})
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if err := s.Step(start, learnRecord(r.Raw())); err != nil {
			b.Fatal(err)
		}
		s.Drain(nil)
	}
}

// BenchmarkJudge is one verdict more where there are a hundred, and 4,096 members.
func BenchmarkJudge(b *testing.B) {
	w, s, bosses, others := crowd(b, MaxMembers-1, 4)
	for i := range 99 {
		if err := s.Step(start, Learn{w.verdict(bosses[0], others[i], Out, 0)}); err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	for b.Loop() {
		s.judge(start)
	}
}

// BenchmarkAdminWithLongListIsPutOut is all that follows from a verdict with the longest list of those who stay.
func BenchmarkAdminWithLongListIsPutOut(b *testing.B) {
	w, s, bosses, others := crowd(b, MaxMembers-1, 1)
	parts := w.verdict(nil, bosses[0], Out, time.Second, others...)
	stored := s.Stored()
	for b.Loop() {
		b.StopTimer()
		fresh := NewSet(w.net, s.id, s.cert, rand.New(seeded(1)))
		if w.net.memory == nil {
			w.net.Remember()
		}
		if err := fresh.Step(start, Load{stored}); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		for _, part := range parts {
			if err := fresh.Step(start, Learn{[]Item{part}}); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(len(parts)), "parts")
		if len(fresh.Members()) != len(others) {
			b.Fatalf("%d members", len(fresh.Members()))
		}
	}
}

func BenchmarkDigest(b *testing.B) {
	_, s, _, _ := crowd(b, 1000, 2)
	for b.Loop() {
		s.Digest()
	}
}

func BenchmarkMembers(b *testing.B) {
	_, s, _, _ := crowd(b, 1000, 2)
	for b.Loop() {
		s.Members()
	}
}

// BenchmarkExchange brings a thousand records to a set that has none.
func BenchmarkExchange(b *testing.B) {
	w, full, bosses, _ := crowd(b, 1000, 2)
	a := bosses[0]
	full = w.restarted(start, full, a)
	bytes, frames := 0, 0
	for b.Loop() {
		x := w.actor(fmt.Sprintf("late%d", w.count), nil, nil)
		late := NewSet(w.net, x.id, x.cert, rand.New(seeded(1)))
		_ = late.Step(start, Learn{items(a, x)})
		_ = full.Step(start, Learn{items(x)})
		pair := &pair{a: full, b: late, now: start}
		pair.run(b)
		bytes, frames = bytes+pair.bytes, frames+pair.frames
	}
	b.ReportMetric(float64(bytes)/float64(b.N), "B/exchange")
	b.ReportMetric(float64(frames)/float64(b.N), "frames/exchange")
}

// restarted is what a set knows, at another node.
func (w *world) restarted(now time.Time, s *Set, a *actor) *Set {
	w.Helper()
	fresh := NewSet(w.net, a.id, a.cert, rand.New(seeded(1)))
	if err := fresh.Step(now, Load{s.Stored()}); err != nil {
		w.Fatal(err)
	}
	return fresh
}
