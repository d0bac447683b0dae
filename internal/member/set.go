package member

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"overlayd/internal/wire"
)

// MaxMembers bounds the members of a network.
const MaxMembers = 4096

// Why Set.Step refuses an input, besides the errors of the parsers.
var (
	ErrFull     = errors.New("the network has as many members as it can have")
	ErrStranger = errors.New("not a member")
	ErrBusy     = errors.New("the peer asks for too much")
)

// Input is what a Set is told: Load, Publish, Certified, Learn, Met, Lost, Received or Tick.
type Input interface{ setInput() }

// Load gives the Set the records that an earlier Save stored. Those that are not believed are left out; nothing is
// sent.
type Load struct{ Records [][]byte }

// Publish says what this node's own record is to say. The record is signed anew only if that changes it.
type Publish struct{ Statement }

// Certified replaces this node's own certificate by a renewed one.
type Certified struct{ Certificate *Certificate }

// Learn gives the Set a record that did not come in a members message, such as that of a newcomer. If it is taken, Save
// comes out of the same step: carried out before the newcomer is answered, it keeps the two acquainted through a crash.
type Learn struct{ Record []byte }

// Met says that Peer, a member, can be sent to from now on.
type Met struct{ Peer wire.NodeID }

// Lost says that Peer cannot be sent to any more.
type Lost struct{ Peer wire.NodeID }

// Received is the body of a KindMembers frame that a member sent. The Set keeps no part of it.
type Received struct {
	From wire.NodeID
	Body []byte
}

// Tick says that NextDeadline has passed.
type Tick struct{}

func (Load) setInput()      {}
func (Publish) setInput()   {}
func (Certified) setInput() {}
func (Learn) setInput()     {}
func (Met) setInput()       {}
func (Lost) setInput()      {}
func (Received) setInput()  {}
func (Tick) setInput()      {}

// Output is what a Set wants done: Send, Changed, Conflict or Save.
type Output interface{ setOutput() }

// Send asks for a KindMembers frame to a member. Body belongs to the receiver of the output.
type Send struct {
	To   wire.NodeID
	Body []byte
}

// Changed says that a member is new, says something new, or has gone: Get tells.
type Changed struct{ Node wire.NodeID }

// Conflict says that two certificates claim one name or address. Loser is a member without it.
type Conflict struct {
	Winner, Loser wire.NodeID
	Name          string     // disputed; empty if it is the address
	IPv4          netip.Addr // disputed; unset if it is the name
}

// Save asks for the records of all members to be stored for Load.
type Save struct{ Records [][]byte }

func (Send) setOutput()     {}
func (Changed) setOutput()  {}
func (Conflict) setOutput() {}
func (Save) setOutput()     {}

// Member is one member as everybody sees it.
type Member struct {
	ID     wire.NodeID
	Name   string     // empty if an elder member has it
	IPv4   netip.Addr // unset if an elder member has it
	IPv6   netip.Addr
	Record *Record // what it says about itself, and its certificate
}

// Set is the replicated set of all members: what is known of them, and what keeps it equal everywhere. It belongs to
// one goroutine.
type Set struct {
	network *Network
	self    wire.NodeID
	id      Identity
	cert    *Certificate
	rand    *rand.Rand

	items map[wire.NodeID]*item
	order []wire.NodeID // the keys of items, sorted
	claims

	own  publisher
	sync exchange

	dirty  bool
	saveAt time.Time // if dirty
	out    []Output
}

// item is a member's record and its place in the set.
type item struct {
	record *Record
	mark   uint64 // of this version of the record, for summaries
}

// NewSet is an empty set of the network, for the node with the given keys and certificate. Random numbers choose whom
// to talk to; they need not be secret.
func NewSet(n *Network, id Identity, cert *Certificate, random *rand.Rand) *Set {
	return &Set{
		network: n, self: id.ID(), id: id, cert: cert, rand: random,
		items:  make(map[wire.NodeID]*item),
		claims: claims{names: make(map[string][]*Certificate), addrs: make(map[netip.Addr][]*Certificate)},
		sync:   newExchange(),
	}
}

// Step takes one input at the time now. An error says that the input was not believed, or not wholly; the set is in
// order whatever it returns.
func (s *Set) Step(now time.Time, in Input) error {
	var err error
	switch in := in.(type) {
	case Load:
		s.load(now, in.Records)
	case Publish:
		err = s.publish(in.Statement)
	case Certified:
		err = s.certified(in.Certificate)
	case Learn:
		var fresh bool
		if fresh, err = s.learn(now, in.Record, wire.NodeID{}, true); fresh {
			s.saveAt = now
		}
	case Met:
		err = s.met(now, in.Peer)
	case Lost:
		s.sync.forget(in.Peer)
	case Received:
		err = s.received(now, in.From, in.Body)
	case Tick:
	}
	s.run(now)
	return err
}

// run does what is due.
func (s *Set) run(now time.Time) {
	s.runOwn(now)
	s.runExchange(now)
	if s.dirty && !now.Before(s.saveAt) {
		s.dirty = false
		s.out = append(s.out, Save{Records: s.Records()})
	}
}

// NextDeadline is when Step wants a Tick; false if it wants none.
func (s *Set) NextDeadline() (time.Time, bool) {
	var next earliest
	next.add(s.own.deadline())
	s.sync.deadline(&next)
	next.add(s.saveAt, s.dirty)
	return next.at, next.set
}

// Drain appends what is to be done to dst and forgets it.
func (s *Set) Drain(dst []Output) []Output {
	dst = append(dst, s.out...)
	clear(s.out)
	s.out = s.out[:0]
	return dst
}

// Members are all members, this node too, sorted by ID.
func (s *Set) Members() []Member {
	list := make([]Member, 0, len(s.order))
	for _, id := range s.order {
		list = append(list, s.member(s.items[id].record))
	}
	return list
}

// Len is the number of members.
func (s *Set) Len() int { return len(s.order) }

// Get is the member with the given identifier.
func (s *Set) Get(id wire.NodeID) (Member, bool) {
	it, ok := s.items[id]
	if !ok {
		return Member{}, false
	}
	return s.member(it.record), true
}

// ByName is the member that has the name.
func (s *Set) ByName(name string) (Member, bool) {
	if c := first(s.names[name]); c != nil {
		return s.Get(c.Node)
	}
	return Member{}, false
}

// ByIPv4 is the member that has the address.
func (s *Set) ByIPv4(addr netip.Addr) (Member, bool) {
	if c := first(s.addrs[addr]); c != nil {
		return s.Get(c.Node)
	}
	return Member{}, false
}

// Records are the signed records of all members, sorted by node, for Load.
func (s *Set) Records() [][]byte {
	raw := make([][]byte, 0, len(s.order))
	for _, id := range s.order {
		raw = append(raw, s.items[id].record.raw)
	}
	return raw
}

func (s *Set) member(r *Record) Member {
	c := r.Certificate
	m := Member{ID: c.Node, IPv6: c.IPv6, Record: r}
	if first(s.names[c.Name]) == c {
		m.Name = c.Name
	}
	if first(s.addrs[c.IPv4]) == c {
		m.IPv4 = c.IPv4
	}
	return m
}

// load takes stored records; the own one among them tells which sequence was the last.
func (s *Set) load(now time.Time, records [][]byte) {
	for _, raw := range records {
		if _, err := s.learn(now, raw, wire.NodeID{}, false); err != nil {
			continue // it has expired, or the store is from another network: it can be learned again
		}
	}
	s.dirty = false
	s.sync.quiet()
}

// learn takes a record from a peer (zero: from elsewhere) if it is believed and newer than what is known. If push, it
// is passed on at once. Cheap checks come before signatures.
func (s *Set) learn(now time.Time, raw []byte, from wire.NodeID, push bool) (bool, error) {
	id, sequence, payload, err := peek(raw)
	if err != nil {
		return false, fmt.Errorf("record: %w", err)
	}
	old := s.items[id]
	switch {
	case old != nil && !(&Record{Sequence: sequence, payload: payload}).newer(old.record):
		return false, nil
	case old == nil && len(s.items) >= MaxMembers:
		return false, ErrFull
	}
	var known *Certificate
	if old != nil {
		known = old.record.Certificate
	}
	if !from.IsZero() && !s.sync.afford(now, from, verifyCost) {
		return false, ErrBusy
	}
	r, err := s.network.VerifyRecord(slices.Clone(raw), known, now)
	if err != nil {
		return false, err
	}
	if id == s.self {
		s.own.surpass(now, r)
	}
	s.put(now, r)
	s.sync.spread(r, from, push)
	return true, nil
}

// put makes r the record of its node.
func (s *Set) put(now time.Time, r *Record) {
	id := r.Node()
	old := s.items[id]
	s.items[id] = &item{record: r, mark: mark(r)}
	s.out = append(s.out, Changed{Node: id})
	if old == nil {
		at, _ := slices.BinarySearchFunc(s.order, id, wire.NodeID.Compare)
		s.order = slices.Insert(s.order, at, id)
		s.claim(r.Certificate)
	} else if old.record.Certificate != r.Certificate {
		s.unclaim(old.record.Certificate)
		s.claim(r.Certificate)
	}
	s.touch(now)
}

// remove forgets a member whose certificate has expired. It may come back with another one.
func (s *Set) remove(now time.Time, id wire.NodeID) {
	it := s.items[id]
	delete(s.items, id)
	if at, ok := slices.BinarySearchFunc(s.order, id, wire.NodeID.Compare); ok {
		s.order = slices.Delete(s.order, at, at+1)
	}
	s.unclaim(it.record.Certificate)
	s.sync.forget(id)
	s.out = append(s.out, Changed{Node: id})
	s.touch(now)
}

// expire removes every other member whose certificate is not valid any more. If this node's own is not either, it is
// rather the clock that is wrong, and a node that forgot everybody would not find back.
func (s *Set) expire(now time.Time) {
	if !s.cert.ValidAt(now) {
		return
	}
	for _, id := range slices.Clone(s.order) {
		if id != s.self && !s.items[id].record.Certificate.ValidAt(now) {
			s.remove(now, id)
		}
	}
}

// saveDelay gathers changes, so that many at once are stored once.
const saveDelay = time.Second

func (s *Set) touch(now time.Time) {
	if !s.dirty {
		s.dirty, s.saveAt = true, now.Add(saveDelay)
	}
}

// mark is what a version of a record adds to the hash of a span.
func mark(r *Record) uint64 {
	id := r.Node()
	var seq [8]byte
	binary.BigEndian.PutUint64(seq[:], r.Sequence)
	return binary.BigEndian.Uint64(hash("overlayd item v1", []byte{byte(kindRecord)}, id[:], seq[:], r.payload))
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
