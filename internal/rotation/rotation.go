// Package rotation decides which of a peer's endpoints are tried next. A peer may have more endpoints than there is room
// for paths, most of them useless from here: so each gets its turn, those that its publisher puts first begin, and one
// that was tried without an answer waits, longer each time, while the others have theirs.
//
//	          Next                 Failed
//	waiting ───────▶ being tried ─────────▶ waiting, for 10 s, 20 s, … 5 min
//	   ▲                │    │
//	   └── PutBack ─────┘    └─ Answered ─▶ being tried, as if for the first time
package rotation

import (
	"net/netip"
	"slices"
	"time"
)

const (
	firstWait = 10 * time.Second
	longest   = 5 * time.Minute

	// An endpoint that nobody publishes, where the peer was once or is said to be, is given up after so many turns.
	maxTurns = 6

	// MaxPublished and MaxLearned bound what is kept of one peer.
	MaxPublished = 32
	MaxLearned   = 16
)

// Endpoints are those of one peer. The zero value knows of none.
type Endpoints struct {
	list []entry // the published ones first, in their order
}

type entry struct {
	at        netip.AddrPort
	published bool
	trying    bool
	turns     int       // without an answer
	due       time.Time // of the next one
}

// Publish replaces the published endpoints, the preferred ones first. One that is not published any more keeps its
// state, but has only a few turns left.
func (e *Endpoints) Publish(now time.Time, list []netip.AddrPort) {
	var next []entry
	for _, at := range list {
		if len(next) >= MaxPublished || slices.ContainsFunc(next, func(n entry) bool { return n.at == at }) {
			continue
		}
		n := entry{at: at, published: true, due: now}
		if known := e.find(at); known != nil {
			n.trying, n.turns, n.due = known.trying, known.turns, known.due
		}
		next = append(next, n)
	}
	for _, old := range e.list {
		if !slices.ContainsFunc(next, func(n entry) bool { return n.at == old.at }) {
			old.published = false
			next = append(next, old)
		}
	}
	e.list = next
	e.bound()
}

// Learn adds an endpoint that is not published: the peer was seen there, or is said to be.
func (e *Endpoints) Learn(now time.Time, at netip.AddrPort) {
	if e.find(at) == nil {
		e.list = append(e.list, entry{at: at, due: now})
		e.bound()
	}
}

// bound forgets learned endpoints: those that have had all their turns, then the ones that have waited for longest.
func (e *Endpoints) bound() {
	e.list = slices.DeleteFunc(e.list, func(n entry) bool { return !n.published && !n.trying && n.turns >= maxTurns })
	learned := 0
	for _, n := range e.list {
		if !n.published {
			learned++
		}
	}
	e.list = slices.DeleteFunc(e.list, func(n entry) bool {
		if n.published || n.trying || learned <= MaxLearned {
			return false
		}
		learned--
		return true
	})
}

// Next is the endpoint whose turn it is, which is being tried from then on: of those that are due the one with the fewest
// turns, then the first. With fresh, only one that has had no turn yet is wanted.
func (e *Endpoints) Next(now time.Time, fresh bool) (netip.AddrPort, bool) {
	best := e.next(now, fresh)
	if best == nil {
		return netip.AddrPort{}, false
	}
	best.trying = true
	return best.at, true
}

// Waits reports whether Next has one.
func (e *Endpoints) Waits(now time.Time, fresh bool) bool { return e.next(now, fresh) != nil }

func (e *Endpoints) next(now time.Time, fresh bool) (best *entry) {
	for i := range e.list {
		n := &e.list[i]
		if n.trying || n.due.After(now) || fresh && n.turns > 0 {
			continue
		}
		if best == nil || n.turns < best.turns {
			best = n
		}
	}
	return best
}

// Due is when Next has one, if ever.
func (e *Endpoints) Due(fresh bool) (due time.Time, ok bool) {
	for i := range e.list {
		n := &e.list[i]
		if !n.trying && !(fresh && n.turns > 0) && (!ok || n.due.Before(due)) {
			due, ok = n.due, true
		}
	}
	return due, ok
}

// Trying notes that an endpoint is being tried, though it was not its turn.
func (e *Endpoints) Trying(at netip.AddrPort) {
	if n := e.find(at); n != nil {
		n.trying = true
	}
}

// Failed ends a turn that had no answer.
func (e *Endpoints) Failed(now time.Time, at netip.AddrPort) {
	n := e.find(at)
	if n == nil {
		return
	}
	n.trying, n.due = false, now.Add(min(longest, firstWait<<min(n.turns, 10)))
	n.turns++
	e.bound()
}

// PutBack ends a turn that was too short to tell.
func (e *Endpoints) PutBack(now time.Time, at netip.AddrPort) {
	if n := e.find(at); n != nil {
		n.trying, n.due = false, now
	}
}

// Answered notes that the peer was reached there.
func (e *Endpoints) Answered(at netip.AddrPort) {
	if n := e.find(at); n != nil {
		n.turns = 0
	}
}

// Again gives every published endpoint its turn now, as if it had had none: the peer has been lost.
func (e *Endpoints) Again(now time.Time) {
	for i := range e.list {
		if n := &e.list[i]; n.published && !n.trying {
			n.turns, n.due = 0, now
		}
	}
}

// Published reports whether the peer publishes an endpoint.
func (e *Endpoints) Published(at netip.AddrPort) bool {
	n := e.find(at)
	return n != nil && n.published
}

func (e *Endpoints) find(at netip.AddrPort) *entry {
	for i := range e.list {
		if e.list[i].at == at {
			return &e.list[i]
		}
	}
	return nil
}
