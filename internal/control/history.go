package control

import "time"

// HistoryQuery asks for what the journal holds.
type HistoryQuery struct {
	Peer  string        // name, identifier, or an address on the overlay; empty: every peer, and what concerns none
	Since time.Duration // before now; zero: as far back as it goes
	Most  int           // the newest of them; zero: DefaultEvents
}

// Bounds of HistoryQuery.Most.
const (
	DefaultEvents = 200
	MaxEvents     = 10_000
)

// History is what happened to the paths of a node, the oldest first.
type History struct {
	Node   string      `json:"node"`
	Time   time.Time   `json:"time"`
	Events List[Event] `json:"events"`
	More   bool        `json:"more"` // there are older ones
}

// EventKind is what an Event is.
type EventKind string

// The kinds.
const (
	EventStart      EventKind = "start"      // of the daemon
	EventStop       EventKind = "stop"       // of the daemon, in order
	EventSwitch     EventKind = "switch"     // packets to Peer go To, no longer From
	EventPeer       EventKind = "peer"       // Peer can be reached, or not any more: the code is up or down
	EventPath       EventKind = "path"       // a path in use died, or came back
	EventQuarantine EventKind = "quarantine" // something is kept out of use for a while
	EventRule       EventKind = "rule"       // what users wish has changed
	EventDropped    EventKind = "dropped"    // so many events are missing here
)

// Event is one thing that happened. Names are those of that time.
type Event struct {
	Time   time.Time `json:"time"`
	Kind   EventKind `json:"kind"`
	Peer   string    `json:"peer,omitempty"`
	PeerID string    `json:"peer_id,omitempty"`
	Class  string    `json:"class,omitempty"` // of traffic; absent: the default
	From   *PastPath `json:"from,omitempty"`
	To     *PastPath `json:"to,omitempty"`
	Code   string    `json:"code,omitempty"`   // of the reason, for programs
	Reason string    `json:"reason,omitempty"` // in words
	Count  uint64    `json:"count,omitempty"`  // EventDropped: how many
}

// PastPath is a path as it was then.
type PastPath struct {
	Via      Via       `json:"via"`
	Endpoint string    `json:"endpoint,omitempty"`
	State    State     `json:"state,omitempty"`
	RTT      *Millis   `json:"rtt_ms"`
	Loss     *Fraction `json:"loss"` // towards the peer
}
