package scenario

import (
	"fmt"
	"time"
)

// The actions that break a host rather than a link.
type (
	// Move gives a site's uplink other addresses.
	Move struct{ Site string }
	// Clone starts a node with the state of another one, as after a restored backup or a copied machine.
	Clone struct {
		Of string
		On string // the site where it runs, which has no node of its own
	}
	// Disk makes the disks of nodes fail, or ends that.
	Disk struct {
		Who Group
		Is  DiskState
	}
	// Clock sets the clocks of nodes by so much: it restarts them, or lets them run on.
	Clock struct {
		Who     Group
		By      time.Duration
		Running bool
	}
	// Hostile makes a member hostile until the end.
	Hostile struct {
		Node  string
		Does  Mischief
		About Group // of Slanders: the relays that it slanders; who slanders the same ones vouches for it
	}
)

func (Move) action()    {}
func (Clone) action()   {}
func (Disk) action()    {}
func (Clock) action()   {}
func (Hostile) action() {}

// DiskState is how a node's disk is.
type DiskState string

// How disks may be.
const (
	DiskWell     DiskState = "well"
	DiskFull     DiskState = "full"
	DiskReadOnly DiskState = "read-only"
)

// Mischief is what a hostile member does.
type Mischief string

// What hostile members may do.
const (
	DropsData  Mischief = "drops-data"  // it relays probes, and no data
	DelaysData Mischief = "delays-data" // it holds up the data that it relays, and no probes
	Deflects   Mischief = "deflects"    // it publishes addresses of others as its own
	Replays    Mischief = "replays"     // it sends what it hears again, to anybody
	Forges     Mischief = "forges"      // it sends what it hears again with bytes changed, ten times

	OpensCircuits   Mischief = "opens-circuits"   // many, in its own name and in that of others, along routes that cannot be
	Slanders        Mischief = "slanders"         // it tells that data is lost by some relays, and that it is near to all
	FloodsAddresses Mischief = "floods-addresses" // it tells of ever new addresses where it is not, some of them of others
)

// The checks of what chaos must not do.
type (
	// Arrived bounds the number of a flow's packets sent in the window that arrive all the same.
	Arrived struct {
		Flow   Pair
		AtMost Limit
	}
	// Unanswered bounds how many packets any site sends to one address that has not sent it any yet, in any ten seconds,
	// for each site that has the address; or how much of WireGuard's data.
	Unanswered struct {
		Of     Group
		Data   bool
		AtMost Limit
	}
	// Blamed bounds how many of some relays are in quarantine at some nodes, on the way to one another, in the window.
	Blamed struct {
		Relays Group
		Among  Group
		AtMost Limit
	}
)

func (Arrived) check()    {}
func (Unanswered) check() {}
func (Blamed) check()     {}

// UnansweredSpan is the time in which Unanswered counts.
const UnansweredSpan = 10 * time.Second

// faultEvents are the actions on hosts by their keys.
func faultEvents() map[string]form {
	var (
		move    Move
		clone   Clone
		disk    Disk
		clock   Clock
		hostile Hostile
	)
	return map[string]form{
		"move": {fields{"move": into(&move.Site, parseName)}, nil, func() any { return move }},
		"clone": {fields{
			"clone": into(&clone.Of, parseName), "on": into(&clone.On, parseName),
		}, []string{"on"}, func() any { return clone }},
		"disk": {fields{
			"disk": intoGroup(&disk.Who), "is": into(&disk.Is, parseWord(DiskWell, DiskFull, DiskReadOnly)),
		}, []string{"is"}, func() any { return disk }},
		"clock": {fields{
			"clock": intoGroup(&clock.Who), "by": into(&clock.By, parseShift), "running": into(&clock.Running, parseBool),
		}, []string{"by"}, func() any { return clock }},
		"hostile": {fields{
			"hostile": into(&hostile.Node, parseName), "about": intoGroup(&hostile.About),
			"does": into(&hostile.Does, parseWord(
				DropsData, DelaysData, Deflects, Replays, Forges, OpensCircuits, Slanders, FloodsAddresses,
			)),
		}, []string{"does"}, func() any { return hostile }},
	}
}

// faultChecks are the checks by their keys.
func faultChecks() map[string]form {
	var (
		arrived    Arrived
		unanswered Unanswered
	)
	blamed := Blamed{Among: Group{All}}
	return map[string]form{
		"arrived": {
			limited(&arrived.AtMost, "at_most", parseCount, fields{"arrived": into(&arrived.Flow, parsePair)}),
			[]string{"at_most"},
			func() any { return arrived },
		},
		"unanswered": {
			limited(&unanswered.AtMost, "at_most", parseCount, fields{
				"unanswered": intoGroup(&unanswered.Of), "data": into(&unanswered.Data, parseBool),
			}),
			[]string{"at_most"},
			func() any { return unanswered },
		},
		"blamed": {
			limited(&blamed.AtMost, "at_most", parseCount, fields{
				"blamed": intoGroup(&blamed.Relays), "among": intoGroup(&blamed.Among),
			}),
			[]string{"at_most"},
			func() any { return blamed },
		},
	}
}

// parseWord reads one of some words.
func parseWord[T ~string](known ...T) func(string) (T, error) {
	return func(s string) (T, error) {
		for _, w := range known {
			if string(w) == s {
				return w, nil
			}
		}
		return "", fmt.Errorf("%q is none of %v", s, known)
	}
}

// maxShift bounds by how much a clock is set.
const maxShift = 400 * 24 * time.Hour

// parseShift reads how much a clock is set forward, or, below zero, back.
func parseShift(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d == 0 || d < -maxShift || d > maxShift {
		return 0, fmt.Errorf("%q is not a shift of a clock such as 48h or -720h, of %v at most", s, maxShift)
	}
	return d, nil
}

// checkFault finds names that mean nothing. It reports whether the event is one of a host that breaks.
func (v *validator) checkFault(e Event) bool {
	switch a := e.Action.(type) {
	case Move:
		v.site(e.Line, a.Site)
		for _, site := range v.s.Sites {
			if site.Name == a.Site && site.NAT != NoNAT {
				v.fail(e.Line, "%s is behind a router, and cannot move", a.Site)
			}
		}
	case Clone:
		v.two(e.Line, a.On, a.Of)
		for _, site := range v.s.Sites {
			if site.Name == a.On && !site.Outsider {
				v.fail(e.Line, "a clone runs on a site that has no node of its own: give %s member: false", a.On)
			}
		}
	case Disk:
		v.group(e.Line, a.Who)
	case Clock:
		v.group(e.Line, a.Who)
	case Hostile:
		v.site(e.Line, a.Node)
		for _, name := range v.s.Nodes(a.About) {
			v.site(e.Line, name)
		}
		if (a.Does == Slanders) != (len(a.About) > 0) {
			v.fail(e.Line, "%s and about go together, as in does: slanders, about: [b, c]", Slanders)
		}
	default:
		return false
	}
	return true
}

// checkFaultCheck finds names that mean nothing. It reports whether the check is one of those above.
func (v *validator) checkFaultCheck(x Expectation) bool {
	switch c := x.Check.(type) {
	case Arrived:
		v.flow(x.Line, c.Flow)
	case Unanswered:
		v.group(x.Line, c.Of)
	case Blamed:
		v.group(x.Line, c.Relays)
		v.group(x.Line, c.Among)
	default:
		return false
	}
	return true
}
