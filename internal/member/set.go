package member

import (
	"math/rand/v2"
	"time"

	"overlayd/internal/wire"
)

const (
	// MaxMembers bounds the members of a network.
	MaxMembers = 4096

	maxExiles = 1024 // records and certificates of nodes that are out
)

// Set is the replicated set: who the members are, what they say about themselves, who is out, who may come in, and what
// keeps all of it equal everywhere. It belongs to one goroutine.
type Set struct {
	network *Network
	self    wire.NodeID
	id      Identity
	cert    *Certificate
	rand    *rand.Rand

	shelves  map[Kind]*shelf
	inForce  map[wire.NodeID]*Certificate // of every node that has one: the one that counts
	verdicts map[wire.NodeID][]*Verdict   // first parts, by target
	parts    map[ruling][]*Verdict        // by number; nil where one is missing
	unjudged bool                         // there is a verdict since the set was judged last
	exiles   map[place]*item
	shares   map[place]int // how many verdicts and invitations are charged to whom
	claims

	own  publisher
	sync exchange

	loading bool          // what was stored
	offset  time.Duration // of the wall clock from steady time
	dates   dates         // of what others have signed

	dirty  bool
	saveAt time.Time // if dirty
	saved  time.Time // the last Save
	output []Output
}

// place is where an item stands.
type place struct {
	kind Kind
	id   wire.NodeID
}

// ruling is what the parts of a verdict have in common.
type ruling struct{ signer, target wire.NodeID }

// NewSet is an empty set of the network, for the node with the given keys and certificate. Random numbers choose whom
// to talk to; they need not be secret.
func NewSet(n *Network, id Identity, cert *Certificate, random *rand.Rand) *Set {
	s := &Set{
		network: n, self: id.ID(), id: id, cert: cert, rand: random,
		shelves: make(map[Kind]*shelf), inForce: make(map[wire.NodeID]*Certificate),
		verdicts: make(map[wire.NodeID][]*Verdict), exiles: make(map[place]*item), shares: make(map[place]int), parts: make(map[ruling][]*Verdict),
		claims: newClaims(), sync: newExchange(),
	}
	for _, kind := range kinds {
		s.shelves[kind] = newShelf()
	}
	settings := newItem(header{KindSettings, wire.NodeID{}, n.Sequence, n.payload}, n.raw)
	settings.settings = n
	s.shelves[KindSettings].put(settings)
	return s
}

// Step takes one input at the time now. An error says that the input was not believed, or not wholly; the set is in
// order whatever it returns.
func (s *Set) Step(now time.Time, in Input) error {
	var err error
	switch in := in.(type) {
	case Load:
		s.load(now, in.Items)
	case Clock:
		s.offset = in.Offset
		s.own.pending = s.own.has
	case Publish:
		err = s.publish(in.Statement)
	case Learn:
		err = s.learnAll(now, in.Items)
	case Met:
		err = s.met(now, in.Peer, in.Chosen)
	case Lost:
		s.sync.forget(in.Peer)
	case Differs:
		s.sync.differs(now, in)
	case Received:
		err = s.received(now, in.From, in.Body)
	case Tick:
	}
	if s.unjudged {
		s.judge(now) // once, however many verdicts came
	}
	s.run(now)
	return err
}

// run does what is due.
func (s *Set) run(now time.Time) {
	s.runOwn(now)
	s.runExchange(now)
	if s.dirty && !now.Before(s.saveAt) {
		s.dirty, s.saved = false, now
		s.emit(Save{Items: s.Stored()})
	}
}

// NextDeadline is when Step wants a Tick; false if it wants none.
func (s *Set) NextDeadline() (time.Time, bool) {
	var next earliest
	next.add(s.publishAt())
	s.sync.deadline(&next)
	next.add(s.saveAt, s.dirty)
	return next.at, next.set
}

func (s *Set) emit(out Output) { s.output = append(s.output, out) }

// Drain appends what is to be done to dst and forgets it.
func (s *Set) Drain(dst []Output) []Output {
	dst = append(dst, s.output...)
	clear(s.output)
	s.output = s.output[:0]
	return dst
}

const (
	saveDelay = time.Second // gathers changes, so that many at once are stored once
	saveEvery = time.Minute // between two times because of what any member can change
)

// touch has the set stored soon.
func (s *Set) touch(now time.Time) { s.saveBy(now.Add(saveDelay)) }

// touchRecord has it stored some time: a node may sign as many records of itself as it likes, and what is lost in a crash
// is learned again.
func (s *Set) touchRecord(now time.Time) {
	at := now.Add(saveDelay)
	if next := s.saved.Add(saveEvery); !s.saved.IsZero() && next.After(at) {
		at = next
	}
	s.saveBy(at)
}

func (s *Set) saveBy(at time.Time) {
	if !s.dirty || at.Before(s.saveAt) {
		s.dirty, s.saveAt = true, at
	}
}

// earliest collects deadlines.
type earliest struct {
	at  time.Time
	set bool
}

func (e *earliest) add(at time.Time, ok bool) {
	if ok && (!e.set || at.Before(e.at)) {
		e.at, e.set = at, true
	}
}
