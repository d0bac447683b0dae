// Package scenario is the language in which a trial of the network is written: sites, links between them, what happens
// when, and what is expected. docs/scenarios.md describes it for those who write one.
package scenario

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Scenario is a whole trial.
type Scenario struct {
	Name        string
	Description string
	Seed        uint64
	Duration    time.Duration // from the moment when the network is ready
	Founder     string        // the site whose node makes the network and invites the others
	Sites       []Site        // those of the crowd among them, last
	Crowd       *Crowd        // nil: none
	LANs        []LAN
	Links       []Link // in the order of the file; the last one that names a direction applies
	Traffic     []Traffic
	Events      []Event
	Expect      []Expectation

	defaults equipment
}

// NAT is what stands between a site's host and its uplink.
type NAT string

// The kinds of NAT.
const (
	NoNAT      NAT = ""
	Masquerade NAT = "masquerade" // a router that masquerades, and lets only answers in
)

// Site is a place with one node and one uplink.
type Site struct {
	Name     string
	Address  netip.Addr // of the uplink; not valid: the site has no IPv4
	Address6 netip.Addr // likewise
	Bridges  []Bridge   // of its host
	NAT      NAT
	Uplink   Port
	Downlink Port
	Down     bool // the node is not started with the others, but by an event
	Outsider bool // nor is it a member: an event lets it join

	equipment equipment // as the file says
}

// Port is one direction of a site's connection.
type Port struct {
	Rate  int64 // bits a second; 0 is no limit
	Queue time.Duration
}

// Pair names two sites: one direction, or both.
type Pair struct {
	From, To string
	Both     bool
}

// String writes the pair as a scenario does: "a -> b", or "a -- b" for both directions.
func (p Pair) String() string {
	if p.Both {
		return p.From + " -- " + p.To
	}
	return p.From + " -> " + p.To
}

// Directions are the one or two directions of the pair, each without Both.
func (p Pair) Directions() []Pair {
	if !p.Both {
		return []Pair{p}
	}
	return []Pair{{From: p.From, To: p.To}, {From: p.To, To: p.From}}
}

// Change is what is set on a link; nil fields stay as they are.
type Change struct {
	Delay   *time.Duration // one way
	Jitter  *time.Duration
	Loss    *float64
	Reorder *bool
	Drop    *Drop
	MTU     *int  // bytes of the largest IP packet that passes
	ICMP    *bool // the sender of a larger one is told
}

// String writes the change as a scenario does.
func (c Change) String() string {
	var parts []string
	if c.Delay != nil {
		parts = append(parts, fmt.Sprintf("rtt %v", 2**c.Delay))
	}
	if c.Jitter != nil {
		parts = append(parts, fmt.Sprintf("jitter %v", *c.Jitter))
	}
	if c.Loss != nil {
		parts = append(parts, fmt.Sprintf("loss %g%%", *c.Loss*100))
	}
	if c.Reorder != nil {
		parts = append(parts, fmt.Sprintf("reorder %v", *c.Reorder))
	}
	if c.Drop != nil {
		parts = append(parts, c.Drop.String())
	}
	if c.MTU != nil {
		parts = append(parts, fmt.Sprintf("mtu %d", *c.MTU))
	}
	if c.ICMP != nil {
		parts = append(parts, fmt.Sprintf("icmp %v", *c.ICMP))
	}
	return strings.Join(parts, ", ")
}

// Link is a link between two sites, or, if Any, what every direction is that no other Link names.
type Link struct {
	Any    bool
	Pair   Pair
	Change Change
}

// Traffic is a flow of small packets over the overlay, from the start to the end.
type Traffic struct {
	Name  string
	Flow  Pair
	Every time.Duration
	Size  int // bytes of UDP payload
}

// Event is something that happens once, or at a beat for a while.
type Event struct {
	Name   string
	Line   int // in the file
	At     Moment
	Action Action
}

// Action is what an event does. It is one of the types below.
type Action interface{ action() }

// The actions.
type (
	// Cut makes a link lose everything.
	Cut struct{ Link Pair }
	// Restore ends a Cut.
	Restore struct{ Link Pair }
	// Set changes a link.
	Set struct {
		Link   Pair
		Change Change
	}
	// Flap cuts and restores a link in turn, cutting it first.
	Flap struct {
		Link  Pair
		Every time.Duration // from one change to the next
		For   time.Duration
	}
	// SetPorts changes the rate of a site's connection.
	SetPorts struct {
		Site             string
		Uplink, Downlink *Port
	}
	// Kill ends nodes with SIGKILL.
	Kill struct{ Who Who }
	// Stop ends nodes with SIGTERM.
	Stop struct{ Who Who }
	// Start starts nodes again.
	Start struct{ Who Who }
	// TCP is a transfer.
	TCP struct {
		Flow       Pair // one direction
		For        time.Duration
		Bytes      int64
		Congestion string
		Text       bool // it carries the known text
		Underlay   bool // between the sites' own addresses, without overlayd
	}
	// Show prints the path tables of the sites.
	Show struct{ Sites []string }
)

// Who names nodes: by their sites, as the first relay on the path that carries data at the time, or as the node that
// answers for a LAN's gateway address at the time.
type Who struct {
	Sites     Group
	RelayOf   *Pair  // one direction
	GatewayOf string // a LAN
}

func (Cut) action()      {}
func (Restore) action()  {}
func (Set) action()      {}
func (Flap) action()     {}
func (SetPorts) action() {}
func (Kill) action()     {}
func (Stop) action()     {}
func (Start) action()    {}
func (TCP) action()      {}
func (Show) action()     {}

// The moments that every scenario has.
const (
	MomentStart = "start" // the network is ready and traffic begins
	MomentEnd   = "end"
)

// Moment is a time on the time line: so long after (or before) another moment, plus a random part that is drawn once.
type Moment struct {
	Base   string // MomentStart, MomentEnd or the name of an event
	After  time.Duration
	Spread time.Duration // uniform between 0 and this is added
}

// Window is a part of the time line.
type Window struct {
	From, To Moment
}

// Expectation is something that must hold.
type Expectation struct {
	Name   string
	Line   int
	Window Window
	Check  Check
}

// Check is what an expectation compares. It is one of the types below.
type Check interface{ check() }

// Limit bounds a measured quantity. Over repetitions the share In must keep Bound, and all must keep Always if it is
// not zero.
type Limit struct {
	Bound  float64
	In     float64 // 0 to 1
	Always float64
}

// The checks. Durations in a Limit are in seconds, shares from 0 to 1. A Pair with both directions is judged by the
// worse of the two.
type (
	// Outage bounds the longest outage that a flow has in the window.
	Outage struct {
		Flow  Pair
		Below Limit
	}
	// Loss bounds the share of a flow's packets sent in the window that are lost.
	Loss struct {
		Flow  Pair
		Below Limit
	}
	// Lost bounds the number of a flow's packets sent in the window that are lost.
	Lost struct {
		Flow   Pair
		AtMost Limit
	}
	// FirstPacket bounds the time from the window's start to the first delivery.
	FirstPacket struct {
		Flow   Pair
		Within Limit
	}
	// Path wants a selection. With Within zero the selection must be that throughout the window; otherwise it must
	// become that soon enough, and the measured quantity is the time it takes from the window's start.
	Path struct {
		Of     Pair
		Is     Route
		Within Limit
	}
	// Switches bounds how often the selection changes in the window.
	Switches struct {
		Of     Pair
		AtMost Limit
	}
	// Dead bounds how often any path between the two is declared dead in the window.
	Dead struct {
		Of     Pair
		AtMost Limit
	}
	// Quarantined bounds how often a node takes to distrusting relays of its paths to another.
	Quarantined struct {
		Of     Pair
		AtMost Limit
	}
	// Goodput bounds a transfer's goodput from below, as a share of another transfer's.
	Goodput struct {
		Of, Against string // names of events
		AtLeast     Limit
	}
	// Capture searches all that a site's uplink carries during a transfer for any 16 bytes of the known text.
	Capture struct {
		Site    string
		During  string // the name of an event
		Found   bool   // what is expected
		AtLeast int64  // bytes that must have passed, lest nothing is proved
	}
)

func (Outage) check()      {}
func (Loss) check()        {}
func (Lost) check()        {}
func (FirstPacket) check() {}
func (Path) check()        {}
func (Switches) check()    {}
func (Dead) check()        {}
func (Quarantined) check() {}
func (Goodput) check()     {}
func (Capture) check()     {}

// Route describes a selection.
type Route struct {
	Direct  bool     // the direct path
	Relayed bool     // any relayed path
	Via     []string // exactly these relays
}

// String writes the route as a scenario does.
func (r Route) String() string {
	switch {
	case r.Direct:
		return "direct"
	case r.Relayed:
		return "relayed"
	}
	return "via " + strings.Join(r.Via, ", ")
}

// Reverse is the same route seen from its other end.
func (r Route) Reverse() Route {
	r.Via = slices.Clone(r.Via)
	slices.Reverse(r.Via)
	return r
}

// Matches reports whether the relays of a path (none: direct) are as described.
func (r Route) Matches(via []string) bool {
	switch {
	case r.Direct:
		return len(via) == 0
	case r.Relayed:
		return len(via) > 0
	}
	return slices.Equal(via, r.Via)
}
