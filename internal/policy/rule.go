package policy

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"overlayd/internal/wire"
	"overlayd/pathselect"
)

// What a user may run into, wrapped.
var (
	ErrRule  = errors.New("not a rule")
	ErrClash = errors.New("another rule is against it")
	ErrFull  = errors.New("too many rules")
	ErrNone  = errors.New("no such rule")
)

// Kind is what a Rule is about.
type Kind uint8

// The kinds.
const (
	Pin Kind = 1 + iota
	Avoid
	Prefer
	Never
	Cost
	Hops
	Algorithm
)

var kindNames = [...]string{Pin: "pin", Avoid: "avoid", Prefer: "prefer", Never: "never", Cost: "cost", Hops: "hops", Algorithm: "algorithm"}

// String is the kind as the command line has it.
func (k Kind) String() string {
	if k >= Pin && int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// ParseKind finds a kind by its name.
func ParseKind(name string) (Kind, bool) {
	i := slices.Index(kindNames[:], name)
	return Kind(max(i, 0)), i >= int(Pin)
}

// ID is the number of a rule, for people. It is never zero.
type ID uint32

// Rule is one wish.
type Rule struct {
	ID        ID
	Kind      Kind
	Peer      wire.NodeID       // zero: every peer; never so for Pin
	Relays    []wire.NodeID     // Pin: the path; Avoid, Prefer, Never, and Cost without Uplink: exactly one
	Uplink    pathselect.Uplink // Cost without Relays
	Millis    float64           // Cost: how much more, 0 to MaxMillis
	Hops      int               // Hops: 1 is direct only
	Algorithm string            // Algorithm: its name
	OneClass  bool              // Algorithm: only for Class
	Class     wire.TrafficClass // if OneClass
	Strict    bool              // Pin, Never, Hops: even if that cuts the peer off
	By        string            // who made it
	At        time.Time         // when
	Expires   time.Time         // zero: never
	Note      string            // what the user wants to remember of it
}

// Bounds of a rule.
const (
	MaxMillis  = 10_000.0
	MaxHops    = wire.MaxRelays + 1
	maxText    = 200 // bytes of By and of Note
	maxName    = 64  // bytes of Algorithm
	maxUplink  = 15  // bytes: IFNAMSIZ of Linux, less the zero
	resolution = time.Microsecond
)

// check says in one sentence what is wrong with a rule.
func (r *Rule) check() error {
	switch {
	case r.Kind < Pin || r.Kind > Algorithm:
		return fmt.Errorf("%w: %v is none of those that there are", ErrRule, r.Kind)
	case r.Kind == Pin && r.Peer.IsZero():
		return fmt.Errorf("%w: name the peer whose path is to be pinned", ErrRule)
	case r.Strict && !r.bars():
		return fmt.Errorf("%w: %v bars no path, so it cannot be strict", ErrRule, r.Kind)
	case r.OneClass && (r.Kind != Algorithm || r.Class >= wire.TrafficClasses):
		return fmt.Errorf("%w: only the algorithm can differ between traffic classes", ErrRule)
	case !printable(r.By, maxText) || !printable(r.Note, maxText):
		return fmt.Errorf("%w: a note has at most %d bytes of printable text", ErrRule, maxText)
	}
	if err := r.checkRelays(); err != nil {
		return err
	}
	return r.checkValue()
}

// bars reports whether there are paths that the rule forbids.
func (r *Rule) bars() bool { return r.Kind == Pin || r.Kind == Never || r.Kind == Hops }

func (r *Rule) checkRelays() error {
	least, most := 0, 0
	switch r.Kind {
	case Pin:
		most = wire.MaxRelays
	case Avoid, Prefer, Never:
		least, most = 1, 1
	case Cost:
		if r.Uplink == "" {
			least, most = 1, 1
		}
	}
	if len(r.Relays) < least {
		return fmt.Errorf("%w: name a relay", ErrRule)
	}
	if len(r.Relays) > most {
		return fmt.Errorf("%w: %d relays are too many for %v, which takes %d", ErrRule, len(r.Relays), r.Kind, most)
	}
	for i, id := range r.Relays {
		switch {
		case id.IsZero():
			return fmt.Errorf("%w: name a relay", ErrRule)
		case id == r.Peer:
			return fmt.Errorf("%w: the peer itself is no relay on the way to it", ErrRule)
		case slices.Contains(r.Relays[:i], id):
			return fmt.Errorf("%w: a path leads through a relay only once", ErrRule)
		}
	}
	return nil
}

func (r *Rule) checkValue() error {
	if given := r.Uplink != ""; given && (r.Kind != Cost || !isUplink(r.Uplink)) {
		return fmt.Errorf("%w: %q is no name of a network interface", ErrRule, string(r.Uplink))
	}
	if r.Kind != Cost && r.Millis != 0 || math.IsNaN(r.Millis) || r.Millis < 0 || r.Millis > MaxMillis {
		return fmt.Errorf("%w: a cost is 0 to %.0f ms, not %v", ErrRule, MaxMillis, r.Millis)
	}
	if (r.Kind == Hops) != (r.Hops != 0) || r.Hops < 0 || r.Hops > MaxHops {
		return fmt.Errorf("%w: a path has 1 to %d hops, where 1 is direct only, not %d", ErrRule, MaxHops, r.Hops)
	}
	if (r.Kind == Algorithm) != (r.Algorithm != "") || !printable(r.Algorithm, maxName) {
		return fmt.Errorf("%w: %q is no name of an algorithm", ErrRule, r.Algorithm)
	}
	return nil
}

func isUplink(u pathselect.Uplink) bool {
	return printable(string(u), maxUplink) && !strings.ContainsAny(string(u), "/: ")
}

func printable(s string, most int) bool {
	return len(s) <= most && utf8.ValidString(s) &&
		!strings.ContainsFunc(s, func(c rune) bool { return !unicode.IsPrint(c) })
}

// subject is what no two rules say something about.
type subject struct {
	kind   Kind
	peer   wire.NodeID
	relay  wire.NodeID
	uplink pathselect.Uplink
	class  wire.TrafficClass
	one    bool
}

func (r *Rule) subject() subject {
	s := subject{kind: r.Kind, peer: r.Peer, uplink: r.Uplink, class: r.Class, one: r.OneClass}
	switch r.Kind {
	case Avoid, Prefer, Never:
		s.kind = Avoid // three opinions on one relay
		s.relay = r.Relays[0]
	case Cost:
		if len(r.Relays) > 0 {
			s.relay = r.Relays[0]
		}
	}
	return s
}

// said is the number of the rule, who made it, and until when it holds.
func (r *Rule) said(now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, " (rule %d", r.ID)
	if r.By != "" {
		b.WriteString(" by " + r.By)
	}
	if !r.Expires.IsZero() {
		b.WriteString(", until " + clock(now, r.Expires))
	}
	return b.String() + ")"
}

// clock is a time to come as people on this host say it; the day is named if it is not today.
func clock(now, t time.Time) string {
	t = t.In(now.Location())
	if t.YearDay() == now.YearDay() && t.Year() == now.Year() {
		return t.Format("15:04")
	}
	return t.Format("2 Jan 15:04")
}

// Text is the rule in a sentence: what it says, its number, who made it and until when.
func (r *Rule) Text(now time.Time, name func(wire.NodeID) string) string {
	return r.What(name) + r.said(now)
}

// What is what the rule says, in words; name gives the names of nodes.
func (r *Rule) What(name func(wire.NodeID) string) string {
	what := r.wish(name)
	if r.Strict {
		what += " strictly"
	}
	return what
}

func (r *Rule) wish(name func(wire.NodeID) string) string {
	switch r.Kind {
	case Pin:
		if len(r.Relays) == 0 {
			return "pinned to the direct path"
		}
		return "pinned " + pathselect.Route(r.Relays, name)
	case Avoid:
		return name(r.Relays[0]) + " avoided"
	case Prefer:
		return name(r.Relays[0]) + " preferred"
	case Never:
		return "never via " + name(r.Relays[0])
	case Cost:
		if len(r.Relays) > 0 {
			return fmt.Sprintf("%s costs %g ms more", name(r.Relays[0]), r.Millis)
		}
		return fmt.Sprintf("uplink %s costs %g ms more", r.Uplink, r.Millis)
	case Hops:
		if r.Hops == 1 {
			return "direct only"
		}
		return fmt.Sprintf("at most %d hops", r.Hops)
	default:
		if r.OneClass {
			return "priced by " + r.Algorithm + " for " + r.Class.String() + " traffic"
		}
		return "priced by " + r.Algorithm
	}
}
