package journal

import (
	"encoding/json"
	"errors"
	"time"

	"overlayd/internal/wire"
)

// Kind is what an Event is.
type Kind string

// The kinds.
const (
	Started    Kind = "start"      // the daemon
	Stopped    Kind = "stop"       // the daemon, in order
	Switched   Kind = "switch"     // packets to a peer take another path
	Peer       Kind = "peer"       // a peer can be reached, or not any more
	Changed    Kind = "path"       // a path in use has another state
	Quarantine Kind = "quarantine" // a path, relay or uplink is kept out of use for a while
	Rule       Kind = "rule"       // what users wish has changed
	Dropped    Kind = "dropped"    // events that the disk was too slow for, or refused
)

// Event is one line. It holds names as they were, since nodes may be gone when it is read.
type Event struct {
	Time   time.Time `json:"time"`
	Kind   Kind      `json:"kind"`
	Peer   string    `json:"peer,omitempty"`    // name
	PeerID string    `json:"peer_id,omitempty"` // as wire.NodeID.String has it
	Class  string    `json:"class,omitempty"`   // of traffic; empty: the default
	From   *Path     `json:"from,omitempty"`
	To     *Path     `json:"to,omitempty"`
	Code   string    `json:"code,omitempty"`   // of the reason, for programs
	Reason string    `json:"reason,omitempty"` // in words
	Count  uint64    `json:"count,omitempty"`  // of events that were dropped
}

// Path is a path as it was when the event happened.
type Path struct {
	Via      []string `json:"via"` // names of relays; none: direct
	Endpoint string   `json:"endpoint,omitempty"`
	State    string   `json:"state,omitempty"`
	RTT      float64  `json:"rtt_ms,omitempty"` // 0: not measured
	Loss     *float64 `json:"loss,omitempty"`   // 0 to 1; nil: not measured
}

// Query asks for events.
type Query struct {
	PeerID wire.NodeID // only those of this peer; zero: see Name
	Name   string      // only those of a peer that was called so; with PeerID: either; empty and no PeerID: all
	Since  time.Time   // zero: as far back as they go
	Most   int         // the newest of them; 0 or too many: MaxEvents
}

// MaxEvents bounds the answer to a Query.
const MaxEvents = 10_000

func (q *Query) wants(e *Event) bool {
	if !q.Since.IsZero() && e.Time.Before(q.Since) {
		return false
	}
	if q.PeerID.IsZero() && q.Name == "" {
		return true
	}
	return !q.PeerID.IsZero() && e.PeerID == q.PeerID.String() || q.Name != "" && e.Peer == q.Name
}

// maxLine bounds a line, in bytes. What is longer was not written here.
const maxLine = 16 << 10

// errLine is what parse returns for a line that is no event, such as the half of one that a crash left.
var errLine = errors.New("not an event")

func parse(line []byte) (Event, error) {
	var e Event
	if len(line) > maxLine || json.Unmarshal(line, &e) != nil || e.Kind == "" || e.Time.IsZero() {
		return Event{}, errLine
	}
	return e, nil
}

// appendLine appends an event as a line; one that is too long is cut in its words.
func (e Event) appendLine(b []byte) ([]byte, error) {
	line, err := json.Marshal(e)
	if err == nil && len(line) > maxLine {
		e.Reason, e.From, e.To = "", nil, nil
		line, err = json.Marshal(e)
	}
	if err != nil {
		return b, err
	}
	return append(append(b, line...), '\n'), nil
}
