package blame

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"overlayd/internal/wire"
)

// ErrInput is the error of Step for evidence that makes no sense.
var ErrInput = errors.New("evidence without a time or of an unknown kind")

// Finding is what was found of the data on a path.
type Finding uint8

// The findings.
const (
	Nothing Finding = iota // too little data, or a full path: nobody is blamed or cleared
	Clean                  // it is delivered as probes are
	Dropped                // it is dropped while probes pass
	Delayed                // it is held back while probes pass
	findings
)

// Evidence is what is known of one path that is in use. It is given over and over, about every second.
type Evidence struct {
	Peer    wire.NodeID
	Path    wire.PathID
	Relays  []wire.NodeID // of the path; none: nobody is to blame. It is not kept
	Finding Finding
	At      time.Time // of the data it rests on: only what is newer than before counts
	Why     string    // in words
}

// Change is a quarantine that begins or ends.
type Change struct {
	Relay, Peer wire.NodeID // the relay, on paths to the peer
	Until       time.Time   // zero: it has ended, probation begins
	Offence     int         // how many there were lately
	Why         string
}

// Account is what the ledger holds of a relay on the paths to one peer.
type Account struct {
	Relay, Peer wire.NodeID
	Blame       float64   // in seconds of certain evidence
	Offences    int       // quarantines that are not forgiven yet
	Until       time.Time // end of the latest quarantine, if any
	Probation   time.Time // end of the probation after it
	Why         string    // the latest evidence against it
}

const (
	halfLife  = 5 * time.Minute
	cleanLife = 20 * time.Second // of clean delivery, in which blame falls to 1/e
	ceiling   = 10.              // of blame

	guilty      = 1.  // seconds of blame that mean quarantine
	guiltyAgain = 0.5 // the same on probation
	mostOf      = 0.6 // share of a path's blame without which nobody is quarantined
	prior       = 1.  // blame that everybody has when it is split
	clearedPart = 0.1 // what is left of the share of a relay that delivers on another path
	clearedFor  = time.Minute

	firstQuarantine   = 2 * time.Minute
	longestQuarantine = time.Hour
	leastProbation    = 10 * time.Minute
	forgiven          = time.Hour // after the end of a probation

	longestStep = 3 * time.Second // what one piece of evidence is worth at most

	maxAccounts = 512
	maxPaths    = 512
	maxRelays   = 512
)

type pair struct{ relay, peer wire.NodeID }

type pathKey struct {
	peer wire.NodeID
	path wire.PathID
}

// delivery is that a relay delivers on a path.
type delivery struct {
	path pathKey
	at   time.Time
}

// Ledger is a pure state machine without a clock; times must not run backwards. Its size is bounded whatever it is given.
type Ledger struct {
	accounts map[pair]*account
	paths    map[pathKey]time.Time       // the latest data that counted
	clean    map[wire.NodeID][2]delivery // the latest paths on which a relay delivers, newest first
	out      []Change
}

// New is an empty ledger.
func New() *Ledger {
	return &Ledger{
		accounts: map[pair]*account{}, paths: map[pathKey]time.Time{}, clean: map[wire.NodeID][2]delivery{},
	}
}

// Step takes evidence. It also ends the quarantines that are over.
func (l *Ledger) Step(now time.Time, e Evidence) error {
	l.Tick(now)
	if e.Finding >= findings || e.Finding != Nothing && e.At.IsZero() {
		return ErrInput
	}
	if len(e.Relays) == 0 || e.Finding == Nothing {
		return nil
	}
	worth := l.worth(pathKey{e.Peer, e.Path}, e.At)
	if worth <= 0 {
		return nil
	}
	if e.Finding == Clean {
		l.delivers(now, &e, worth)
	} else {
		l.accuse(now, &e, worth)
	}
	return nil
}

// Tick is due at NextDeadline.
func (l *Ledger) Tick(now time.Time) {
	for _, k := range l.sorted() {
		a := l.accounts[k]
		if a.held && !now.Before(a.until) {
			a.held = false
			l.out = append(l.out, Change{Relay: k.relay, Peer: k.peer, Offence: a.offences, Why: a.why})
		}
	}
}

// NextDeadline is when a quarantine ends, if there is one.
func (l *Ledger) NextDeadline() (at time.Time, some bool) {
	for _, a := range l.accounts {
		if a.held && (!some || a.until.Before(at)) {
			at, some = a.until, true
		}
	}
	return at, some
}

// Drain appends the changes since the last call to dst.
func (l *Ledger) Drain(dst []Change) []Change {
	dst = append(dst, l.out...)
	l.out = l.out[:0]
	return dst
}

// Quarantined reports whether a relay should not be used on the way to a peer, by the evidence of that peer; until when, and
// why.
func (l *Ledger) Quarantined(now time.Time, relay, peer wire.NodeID) (until time.Time, why string, quarantined bool) {
	if a := l.accounts[pair{relay, peer}]; a != nil && now.Before(a.until) {
		return a.until, a.why, true
	}
	return time.Time{}, "", false
}

// Reported reports whether a relay is in quarantine by the evidence of two other peers or more, since when two have been of
// that opinion, and what the later one says. It asks for proof that the relay carries data to this peer, and is none itself:
// two peers that lie together must not take an honest relay from all others.
func (l *Ledger) Reported(now time.Time, relay, peer wire.NodeID) (since time.Time, why string, reported bool) {
	var first, second time.Time
	n := 0
	var held []pair // all accounts are far more, and every look at a path asks this
	for k, a := range l.accounts {
		if k.relay == relay && k.peer != peer && now.Before(a.until) {
			held = append(held, k)
		}
	}
	slices.SortFunc(held, comparePairs)
	for _, k := range held {
		a := l.accounts[k]
		n++
		switch {
		case first.IsZero() || a.from.Before(first):
			second, first = first, a.from
			if n == 1 {
				why = a.why
			}
		case second.IsZero() || a.from.Before(second):
			second, why = a.from, a.why
		}
	}
	return second, why, n >= 2
}

// Accounts are all accounts, in order.
func (l *Ledger) Accounts(now time.Time) []Account {
	list := make([]Account, 0, len(l.accounts))
	for _, k := range l.sorted() {
		a := l.accounts[k]
		list = append(list, Account{
			Relay: k.relay, Peer: k.peer, Blame: a.blameAt(now), Offences: a.offences,
			Until: a.until, Probation: a.probation, Why: a.why,
		})
	}
	return list
}

func (l *Ledger) sorted() []pair {
	keys := make([]pair, 0, len(l.accounts))
	for k := range l.accounts {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, comparePairs)
	return keys
}

func comparePairs(a, b pair) int {
	return cmp.Or(slices.Compare(a.relay[:], b.relay[:]), slices.Compare(a.peer[:], b.peer[:]))
}

// worth is how many seconds of a path new evidence is about; none if it is not new.
func (l *Ledger) worth(k pathKey, at time.Time) float64 {
	last, known := l.paths[k]
	if known && !at.After(last) {
		return 0
	}
	if !known && len(l.paths) >= maxPaths {
		delete(l.paths, oldest(l.paths, func(t time.Time) time.Time { return t }, comparePaths))
	}
	l.paths[k] = at
	if !known {
		return 1
	}
	return min(at.Sub(last), longestStep).Seconds()
}

func comparePaths(a, b pathKey) int {
	return cmp.Or(slices.Compare(a.peer[:], b.peer[:]), cmp.Compare(a.path, b.path))
}

// oldest is the key whose value has the earliest time; the smallest of several, so that runs are the same.
func oldest[K comparable, V any](m map[K]V, at func(V) time.Time, compare func(a, b K) int) (found K) {
	first := true
	for k, v := range m {
		t, best := at(v), at(m[found])
		if first || t.Before(best) || t.Equal(best) && compare(k, found) < 0 {
			found, first = k, false
		}
	}
	return found
}
