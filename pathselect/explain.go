package pathselect

import (
	"fmt"
	"slices"
	"time"

	"overlayd/internal/wire"
)

// Role is the part that a path plays in the selection.
type Role uint8

// The roles.
const (
	Spare         Role = iota // a candidate
	StandsBy                  // ready to take over
	CarriesCopies             // while the selected path is in doubt
	CarriesData               // selected
)

// String is the role in lower case.
func (r Role) String() string {
	switch r {
	case StandsBy:
		return "standby"
	case CarriesCopies:
		return "duplicate"
	case CarriesData:
		return "selected"
	default:
		return "spare"
	}
}

// Explained is a path with its cost, term by term, and why it is, or is not, the selected one.
type Explained struct {
	Path Path
	Cost Cost
	Role Role
	Why  string
}

// Explain explains every path, in the order of their identifiers, as of the latest Step.
func (s *Selector) Explain() []Explained {
	selected := s.find(s.told.Selected)
	out := make([]Explained, 0, len(s.list))
	for _, c := range s.list {
		e := Explained{Path: c.Path, Cost: c.priced, Why: s.why(c, selected)}
		switch {
		case c == selected:
			e.Role = CarriesData
		case slices.Contains(s.told.Copies[:wire.Critical], c.ID):
			e.Role = CarriesCopies
		case slices.Contains(s.told.Standbys, c.ID):
			e.Role = StandsBy
		}
		out = append(out, e)
	}
	return out
}

// why says why a path is not the selected one, and what it would take.
func (s *Selector) why(c, selected *candidate) string {
	switch {
	case c == selected && !c.works():
		return "selected, since no path works; " + c.State.String() + detail(c.Why)
	case c == selected:
		return "selected"
	case c.State == Unknown:
		return "never answered"
	case c.State == Dead || c.State == Suspect:
		return c.State.String() + detail(c.Why)
	case c.hard, c.bar != "" && (selected == nil || selected.tier < c.tier):
		return c.bar
	case selected == nil:
		return "not considered yet"
	}
	if c.claim.since.IsZero() {
		return s.dearer(c, selected)
	}
	if left := c.damp.left(s.now, &s.cfg); left > 0 {
		trouble := "it died"
		if c.damp.lossy {
			trouble = "it lost packets"
		}
		return fmt.Sprintf("better, but %s lately: must be steady for another %s", trouble, seconds(left))
	}
	if c.Samples < s.cfg.MinSamples {
		return fmt.Sprintf("better, but measured only %d times, %d needed", c.Samples, s.cfg.MinSamples)
	}
	return fmt.Sprintf("better for %s, on trial", seconds(s.now.Sub(c.claim.since)))
}

// dearer says by how much a path that works is too dear.
func (s *Selector) dearer(c, selected *candidate) string {
	switch diff := c.cost - selected.cost; {
	case diff > 0:
		return fmt.Sprintf("costs %.1f ms more; must cost %.1f ms less to be chosen", diff,
			diff+s.gainNeeded(c, selected, selected.cost))
	case c.latest > selected.latest:
		return fmt.Sprintf("costs %.1f ms less, but not lately", -diff)
	default:
		return fmt.Sprintf("costs %.1f ms less; %.1f ms needed to move, or %.1f ms on the average of %.0f s",
			-diff, s.gainNeeded(c, selected, selected.cost),
			max(s.cfg.SlowRatio*selected.cost, millis(s.cfg.SlowMargin)), s.cfg.SlowAfter.Seconds())
	}
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
