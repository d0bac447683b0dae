package pathselect

import (
	"fmt"
	"strings"
	"time"

	"overlayd/internal/wire"
)

// Code is the kind of a Reason.
type Code uint8

// The codes of a Reason.
const (
	NoPath      Code = iota // nothing has answered yet
	First                   // the first path that answered
	Died                    // the path before died
	Removed                 // the path before was taken away
	Faster                  // cheaper by its delay
	Cleaner                 // cheaper by its loss
	AsGood                  // direct, and no dearer than the relayed path before
	NothingElse             // selected although it does not work, as no path does
	Barred                  // the path before is against a wish, or a relay of it is in quarantine
	Lighter                 // cheaper, as its relays are less loaded
	Cheaper                 // cheaper for other reasons, such as a wish
	CutOff                  // none is selected: those that work are strictly barred
	Returned                // the first path that works again after none did
	Stopped                 // the path before answers probes, but does not carry what is sent
)

// Reason says why a path is the selected one. From is the path before it, To the one that was selected.
type Reason struct {
	Code     Code
	From, To Chosen
	Detail   string        // of From: why it died, or is barred
	After    time.Duration // of Returned: how long no path worked

	// Of NothingElse: a path that would work, and the strict rule that excludes it.
	Forbidden Chosen
	Rule      string
}

// Chosen is a path as it was when a choice was made.
type Chosen struct {
	ID   wire.PathID
	Via  []wire.NodeID
	RTT  time.Duration
	Loss float64 // 0 to 1
	Cost float64 // ms
}

// String is the reason with short identifiers in the place of names.
func (r Reason) String() string { return r.Text(wire.NodeID.Short) }

// Text is the reason in a sentence for people; name gives the names of relays.
func (r Reason) Text(name func(wire.NodeID) string) string {
	from, to := Route(r.From.Via, name), Route(r.To.Via, name)
	switch r.Code {
	case First:
		return to + " answered first"
	case Died:
		return from + " dead" + detail(r.Detail)
	case Removed:
		return from + " was removed"
	case Faster:
		return fmt.Sprintf("%s %s instead of %s", to, inMillis(r.To.RTT), inMillis(r.From.RTT))
	case Cleaner:
		return fmt.Sprintf("%s loses %.0f%%, %s %.0f%%", from, 100*r.From.Loss, to, 100*r.To.Loss)
	case AsGood:
		return fmt.Sprintf("%s %s, no worse than %s %s", to, inMillis(r.To.RTT), from, inMillis(r.From.RTT))
	case NothingElse:
		text := "no path works: " + from + " was removed"
		if r.To.ID != 0 {
			text = "no path works: " + from + " dead" + detail(r.Detail)
		}
		if r.Rule != "" {
			text += "; " + Route(r.Forbidden.Via, name) + " works, but: " + r.Rule
		}
		return text
	case Barred:
		return to + " instead of " + from + detail(r.Detail)
	case Lighter:
		return fmt.Sprintf("%s: the relays of %s are more loaded", to, from)
	case Cheaper:
		return fmt.Sprintf("%s costs %.1f ms instead of %.1f ms %s", to, r.To.Cost, r.From.Cost, from)
	case Returned:
		return fmt.Sprintf("%s works again, after %s without a path", to, seconds(r.After))
	case Stopped:
		return to + ", since data does not arrive on " + from + detail(r.Detail)
	case CutOff:
		return "no allowed path works, and the rule is strict" + detail(r.Detail)
	default:
		return "no path has answered yet"
	}
}

// Route is what a path is called: "direct path", or "via" and its relays.
func Route(via []wire.NodeID, name func(wire.NodeID) string) string {
	if len(via) == 0 {
		return "direct path"
	}
	names := make([]string, len(via))
	for i, id := range via {
		names[i] = name(id)
	}
	return "via " + strings.Join(names, ", ")
}

func detail(s string) string {
	if s == "" {
		return ""
	}
	return ": " + s
}

func inMillis(d time.Duration) string { return fmt.Sprintf("%.1f ms", millis(d)) }
