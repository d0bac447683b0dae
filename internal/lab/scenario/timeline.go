package scenario

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"time"
)

// Timed is an action at its time since the start.
type Timed struct {
	At     time.Duration
	Event  string // the name of the event that it is, or is a part of
	Action Action
}

// Timeline is a scenario with every random moment drawn.
type Timeline struct {
	Actions []Timed // in the order of their times
	moments map[string]time.Duration
}

// Timeline draws the random moments from the seed. Equal seeds give equal time lines, and an event's moment does not
// depend on what other events there are.
func (s *Scenario) Timeline(seed uint64) (Timeline, error) {
	return s.timeline(func(e Event) time.Duration {
		if e.At.Spread == 0 {
			return 0
		}
		h := fnv.New64a()
		h.Write([]byte(e.Name))
		r := rand.New(rand.NewPCG(seed, h.Sum64()))
		return time.Duration(r.Int64N(int64(e.At.Spread)))
	})
}

// checkMoments finds moments that have no meaning, whatever is drawn.
func (s *Scenario) checkMoments() error {
	for _, draw := range []func(Event) time.Duration{
		func(Event) time.Duration { return 0 },
		func(e Event) time.Duration { return e.At.Spread },
	} {
		line, err := s.timeline(draw)
		if err != nil {
			return err
		}
		for _, x := range s.Expect {
			if _, _, err := line.Window(x.Window); err != nil {
				return &lineError{x.Line, fmt.Sprintf("the expectation %s: %v", x.Name, err)}
			}
		}
	}
	return nil
}

// maxFlaps bounds how many times one event cuts and restores a link.
const maxFlaps = 10_000

func (s *Scenario) timeline(draw func(Event) time.Duration) (Timeline, error) {
	line := Timeline{moments: map[string]time.Duration{MomentStart: 0, MomentEnd: s.Duration}}
	left := slices.Clone(s.Events)
	for len(left) > 0 {
		// An event can be placed once the one that it refers to has been.
		at := slices.IndexFunc(left, func(e Event) bool { _, ok := line.moments[e.At.Base]; return ok })
		if at < 0 {
			return Timeline{}, &lineError{left[0].Line, fmt.Sprintf(
				"the event %s is at %q, which is no event, or one that waits for this", left[0].Name, left[0].At.Base)}
		}
		e := left[at]
		left = slices.Delete(left, at, at+1)
		when, _ := line.At(e.At)
		when += draw(e)
		if when < 0 || when > s.Duration {
			return Timeline{}, &lineError{e.Line, fmt.Sprintf(
				"the event %s may be at %v, and the scenario lasts from 0s to %v", e.Name, when, s.Duration)}
		}
		line.moments[e.Name] = when
		actions, err := expand(e, when, s.Duration)
		if err != nil {
			return Timeline{}, &lineError{e.Line, err.Error()}
		}
		line.Actions = append(line.Actions, actions...)
	}
	slices.SortStableFunc(line.Actions, func(a, b Timed) int { return int(a.At - b.At) })
	return line, nil
}

// expand makes single actions of an event that happens at a beat.
func expand(e Event, when, end time.Duration) ([]Timed, error) {
	flap, ok := e.Action.(Flap)
	if !ok {
		return []Timed{{when, e.Name, e.Action}}, nil
	}
	if flap.For/flap.Every > maxFlaps {
		return nil, fmt.Errorf("the event %s changes the link more than %d times", e.Name, maxFlaps)
	}
	var actions []Timed
	cut := false
	for at := when; at <= min(when+flap.For, end); at += flap.Every {
		cut = !cut
		var a Action = Restore{flap.Link}
		if cut {
			a = Cut{flap.Link}
		}
		actions = append(actions, Timed{at, e.Name, a})
	}
	if cut {
		actions = append(actions, Timed{min(when+flap.For, end), e.Name, Restore{flap.Link}})
	}
	return actions, nil
}

// errNoMoment says that a moment refers to nothing.
var errNoMoment = errors.New("there is no such moment")

// At is when a moment is, without its random part.
func (l Timeline) At(m Moment) (time.Duration, error) {
	base, ok := l.moments[m.Base]
	if !ok {
		return 0, fmt.Errorf("%w: %q", errNoMoment, m.Base)
	}
	return base + m.After, nil
}

// Window is when a window begins and ends.
func (l Timeline) Window(w Window) (from, to time.Duration, err error) {
	if from, err = l.At(w.From); err != nil {
		return 0, 0, err
	}
	if to, err = l.At(w.To); err != nil {
		return 0, 0, err
	}
	if w.From.Spread != 0 || w.To.Spread != 0 {
		return 0, 0, errors.New("a window has no random ends; refer to an event")
	}
	if from < 0 || from > to || to > l.moments[MomentEnd] {
		return 0, 0, fmt.Errorf("the window from %v to %v is not a part of the scenario", from, to)
	}
	return from, to, nil
}
