package member

import (
	"testing"
	"time"
)

// saves are the times, after start, at which a set wants to be stored while something happens every half second.
func saves(t *testing.T, s *Set, d time.Duration, happens func(now time.Time) Input) (list []time.Duration) {
	t.Helper()
	for after := time.Duration(0); after < d; after += 500 * time.Millisecond {
		now := start.Add(after)
		for _, in := range []Input{happens(now), Tick{}} {
			if err := s.Step(now, in); err != nil {
				t.Fatal(err)
			}
		}
		for _, out := range s.Drain(nil) {
			if _, ok := out.(Save); ok {
				list = append(list, after)
			}
		}
	}
	return list
}

func TestAMemberThatSignsAllTheTimeIsStoredOnceAMinute(t *testing.T) {
	w := newWorld(t, 1)
	s := w.watcher()
	id, first := w.record("mallory", 5, Statement{})
	if err := s.Step(start, learnRecord(first.Raw())); err != nil {
		t.Fatal(err)
	}
	s.Drain(nil)
	cert, sequence := first.Certificate, uint64(5)
	got := saves(t, s, 5*time.Minute, func(now time.Time) Input {
		sequence++
		r := w.sign(id, cert, sequence, Statement{})
		_ = s.Step(now, Met{Peer: id.ID()})
		return Received{From: id.ID(), Body: message{Type: typeItems, Items: []Item{{Kind: KindRecord, Raw: r.Raw()}}}.encode()}
	})
	if len(got) > 5 || len(got) < 4 {
		t.Errorf("stored %d times in five minutes: %v", len(got), got)
	}
}

func TestWhatAnAdminSignsIsStoredAtOnce(t *testing.T) {
	w := newWorld(t, 1)
	s := w.watcher()
	boss := w.actor("boss", nil, asAdmin)
	out := w.actor("out", boss, nil)
	if err := s.Step(start, Learn{items(boss, out)}); err != nil {
		t.Fatal(err)
	}
	s.Drain(nil)
	got := saves(t, s, 10*time.Second, func(now time.Time) Input {
		switch now.Sub(start) {
		case 3 * time.Second: // a newcomer, told by another member
			n := w.actor("new", boss, nil)
			_ = s.Step(now, Met{Peer: boss.id.ID()})
			return Received{From: boss.id.ID(), Body: message{Type: typeItems, Items: items(n)}.encode()}
		case 6 * time.Second:
			return Received{From: boss.id.ID(), Body: message{Type: typeItems, Items: w.verdict(boss, out, Out, 6*time.Second)}.encode()}
		}
		return Tick{}
	})
	if len(got) != 2 || got[0] > 4*time.Second || got[1] != 6*time.Second {
		t.Errorf("stored at %v, want within a second of 3 s, and at 6 s", got)
	}
}

func TestANodeSignsItsRecordAFewTimesAMinuteAtMost(t *testing.T) {
	w := newWorld(t, 1)
	s := w.watcher()
	signed, last := 0, uint64(0)
	saved := saves(t, s, 10*time.Minute, func(now time.Time) Input {
		if own := s.Own(); own != nil && own.Sequence != last {
			signed, last = signed+1, own.Sequence
		}
		address := endpoints("198.51.100.9:51871")
		if now.Sub(start)/time.Second%2 == 0 {
			address = nil
		}
		return Publish{Statement{Endpoints: address}}
	})
	if most := versionsAtOnce + int(10*time.Minute/versionEvery) + 1; signed > most || signed < versionsAtOnce {
		t.Errorf("signed %d times in ten minutes, at most %d are allowed", signed, most)
	}
	if len(saved) > 11 {
		t.Errorf("stored %d times in ten minutes: %v", len(saved), saved)
	}
}
