package control

import "time"

// RouteKind is what a rule for paths is about.
type RouteKind string

// The kinds.
const (
	RoutePin       RouteKind = "pin"       // of Peer: exactly Relays in this order, or the direct path
	RouteAvoid     RouteKind = "avoid"     // each of Relays
	RoutePrefer    RouteKind = "prefer"    // each of Relays
	RouteNever     RouteKind = "never"     // via any of Relays
	RouteCost      RouteKind = "cost"      // Cost more for each of Relays, or for Uplink
	RouteHops      RouteKind = "hops"      // at most Hops
	RouteAlgorithm RouteKind = "algorithm" // Algorithm prices paths
)

// RouteRequest asks for a rule. What does not belong to its kind is left empty.
type RouteRequest struct {
	Kind      RouteKind `json:"kind"`
	Peer      string    `json:"peer,omitempty"` // name, identifier, or an address on the overlay; empty: every peer
	Relays    Via       `json:"relays,omitempty"`
	Uplink    string    `json:"uplink,omitempty"` // name of a network interface of this node
	Cost      Millis    `json:"cost_ms,omitempty"`
	Hops      int       `json:"hops,omitempty"` // 1: direct only
	Algorithm string    `json:"algorithm,omitempty"`
	Class     string    `json:"class,omitempty"`  // of traffic; empty: all
	Strict    bool      `json:"strict,omitempty"` // even if that cuts the peer off
	For       Duration  `json:"for,omitempty"`    // zero: until it is removed
	Note      string    `json:"note,omitempty"`
	By        string    `json:"-"` // who asks; the server fills it in from what the kernel says
}

// Route is a rule for paths.
type Route struct {
	ID        uint32       `json:"id"`
	Kind      RouteKind    `json:"kind"`
	Peer      string       `json:"peer"` // empty: every peer
	Relays    Via          `json:"relays"`
	Uplink    string       `json:"uplink,omitempty"`
	Cost      *Cost        `json:"cost_ms,omitempty"`
	Hops      int          `json:"hops,omitempty"`
	Algorithm string       `json:"algorithm,omitempty"`
	Class     string       `json:"class,omitempty"`
	Strict    bool         `json:"strict"`
	What      string       `json:"what"` // all that in words
	By        string       `json:"by,omitempty"`
	Created   time.Time    `json:"created"`
	Expires   time.Time    `json:"expires,omitzero"` // absent: never
	Note      string       `json:"note,omitempty"`
	Strangers List[string] `json:"strangers"` // of the nodes named here: those that are no members, now or any more
}

// RouteResult says which rules were made, and whose place they took.
type RouteResult struct {
	Routes   List[Route] `json:"routes"`
	Replaced List[Route] `json:"replaced"`
}

// RouteRemoval asks to take rules away.
type RouteRemoval struct {
	IDs []uint32 `json:"ids,omitempty"`
	All bool     `json:"all,omitempty"`
}
