package policy

import (
	"fmt"
	"slices"
	"time"

	"overlayd/internal/wire"
)

// MaxRules bounds a Set.
const MaxRules = 256

// Set is the rules of one node. It is a value of one owner.
type Set struct {
	rules []Rule // by ID
	last  ID     // that was given
}

// New is a Set of rules that Parse gave, or of none.
func New(rules []Rule) *Set {
	s := &Set{rules: slices.Clone(rules)}
	if n := len(rules); n > 0 {
		s.last = rules[n-1].ID
	}
	return s
}

// Rules are all rules, by ID. They must not be changed.
func (s *Set) Rules() []Rule { return s.rules }

// Add takes rules in, all or none, and returns them with their numbers, and those whose place they took. The fields ID and
// At are set here.
func (s *Set) Add(now time.Time, rules ...Rule) (added, replaced []Rule, err error) {
	next := Set{rules: slices.Clone(s.rules), last: s.last}
	for _, r := range rules {
		r.At, r.Expires = trim(now), trim(r.Expires)
		if err := r.check(); err != nil {
			return nil, nil, err
		}
		if !r.Expires.IsZero() && !r.Expires.After(now) {
			return nil, nil, fmt.Errorf("%w: it would have expired already", ErrRule)
		}
		r.Relays = slices.Clone(r.Relays)
		next.last++
		r.ID = next.last
		next.rules = slices.DeleteFunc(next.rules, func(old Rule) bool {
			if old.subject() != r.subject() {
				return false
			}
			replaced = append(replaced, old)
			return true
		})
		next.rules = append(next.rules, r)
		added = append(added, r)
	}
	if len(next.rules) > MaxRules {
		return nil, nil, fmt.Errorf("%w: there are %d, and at most %d fit: `overlayctl route remove ID` makes room", ErrFull,
			len(s.rules), MaxRules)
	}
	for i := range added {
		if err := next.clash(&added[i]); err != nil {
			return nil, nil, err
		}
	}
	*s = next
	return added, replaced, nil
}

// trim makes a time what the file can hold, and one of the wall clock: a rule also expires while the host sleeps.
func trim(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC().Truncate(resolution)
}

// clash says which rule makes a pin senseless, if r is one of the two.
func (s *Set) clash(r *Rule) error {
	for i := range s.rules {
		pin := &s.rules[i]
		if pin.Kind != Pin {
			continue
		}
		against := s.against(pin)
		switch {
		case against == nil:
		case pin.ID == r.ID:
			return clashed("the pinned path is one that rule %d bars", against.ID)
		case against.ID == r.ID:
			return clashed("rule %d pins a path that this bars", pin.ID)
		}
	}
	return nil
}

func clashed(format string, id ID) error {
	return fmt.Errorf("%w: "+format+": remove that one first with `overlayctl route remove %d`", ErrClash, id, id)
}

// against is the rule that bars what another one pins, or nil.
func (s *Set) against(pin *Rule) *Rule {
	for _, relay := range pin.Relays {
		if r := s.opinion(pin.Peer, relay); r != nil && r.Kind == Never {
			return r
		}
	}
	if r := s.closest(subject{kind: Hops, peer: pin.Peer}); r != nil && len(pin.Relays)+1 > r.Hops {
		return r
	}
	return nil
}

// opinion is whether a relay is avoided, preferred or barred on the way to a peer; nil if nobody said.
func (s *Set) opinion(peer, relay wire.NodeID) *Rule {
	return s.closest(subject{kind: Avoid, peer: peer, relay: relay})
}

// closest is the rule on a subject that was made for its peer, or else the one for every peer; or nil.
func (s *Set) closest(of subject) *Rule {
	var all *Rule
	for i := range s.rules {
		r := &s.rules[i]
		about := r.subject()
		if about == of {
			return r
		}
		if about.peer.IsZero() {
			if about.peer = of.peer; about == of {
				all = r
			}
		}
	}
	return all
}

// Remove takes rules out, all or none, and returns them.
func (s *Set) Remove(ids ...ID) ([]Rule, error) {
	var removed []Rule
	for i, id := range ids {
		if slices.Contains(ids[:i], id) {
			continue
		}
		i, found := s.find(id)
		if !found {
			return nil, fmt.Errorf("%w as %d: `overlayctl route list` shows those that there are", ErrNone, id)
		}
		removed = append(removed, s.rules[i])
	}
	s.rules = slices.DeleteFunc(slices.Clone(s.rules), func(r Rule) bool { return slices.Contains(ids, r.ID) })
	return removed, nil
}

func (s *Set) find(id ID) (int, bool) {
	return slices.BinarySearchFunc(s.rules, id, func(r Rule, id ID) int { return int(r.ID) - int(id) })
}

// Clear takes all rules out, and returns them.
func (s *Set) Clear() []Rule {
	removed := s.rules
	s.rules = nil
	return removed
}

// Expire takes out the rules whose time is over, and returns them.
func (s *Set) Expire(now time.Time) (expired []Rule) {
	over := func(r Rule) bool { return !r.Expires.IsZero() && !now.Before(r.Expires) }
	if !slices.ContainsFunc(s.rules, over) {
		return nil
	}
	s.rules = slices.DeleteFunc(slices.Clone(s.rules), func(r Rule) bool {
		if !over(r) {
			return false
		}
		expired = append(expired, r)
		return true
	})
	return expired
}

// NextDeadline is when Expire has something to do.
func (s *Set) NextDeadline() (next time.Time, ok bool) {
	for i := range s.rules {
		if t := s.rules[i].Expires; !t.IsZero() && (!ok || t.Before(next)) {
			next, ok = t, true
		}
	}
	return next, ok
}
