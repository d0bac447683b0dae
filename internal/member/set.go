package member

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
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
	exiles   map[place]*item
	claims

	own  publisher
	sync exchange

	dirty  bool
	saveAt time.Time // if dirty
	output []Output
}

// place is where an item stands.
type place struct {
	kind Kind
	id   wire.NodeID
}

// NewSet is an empty set of the network, for the node with the given keys and certificate. Random numbers choose whom
// to talk to; they need not be secret.
func NewSet(n *Network, id Identity, cert *Certificate, random *rand.Rand) *Set {
	s := &Set{
		network: n, self: id.ID(), id: id, cert: cert, rand: random,
		shelves: make(map[Kind]*shelf), inForce: make(map[wire.NodeID]*Certificate),
		verdicts: make(map[wire.NodeID][]*Verdict), exiles: make(map[place]*item),
		claims: newClaims(), sync: newExchange(),
	}
	for _, kind := range kinds {
		s.shelves[kind] = newShelf()
	}
	if h, err := n.peek(KindSettings, n.raw); err == nil {
		s.shelves[KindSettings].put(&item{header: h, raw: n.raw, mark: h.mark(), settings: n})
	}
	return s
}

// Step takes one input at the time now. An error says that the input was not believed, or not wholly; the set is in
// order whatever it returns.
func (s *Set) Step(now time.Time, in Input) error {
	var err error
	switch in := in.(type) {
	case Load:
		s.load(now, in.Items)
	case Publish:
		err = s.publish(in.Statement)
	case Learn:
		err = s.learnAll(now, in.Items)
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

// Network is the settings in force.
func (s *Set) Network() *Network { return s.network }

// Certificate is this node's own certificate in force.
func (s *Set) Certificate() *Certificate { return s.cert }

// Members are all members that have come, this node too, sorted by ID.
func (s *Set) Members() []Member {
	order := s.shelves[KindRecord].order
	list := make([]Member, 0, len(order))
	for _, id := range order {
		if m, ok := s.Get(id); ok {
			list = append(list, m)
		}
	}
	return list
}

// IDs are the nodes of Members, sorted. The caller must not change the list, nor keep it over a Step.
func (s *Set) IDs() []wire.NodeID { return s.shelves[KindRecord].order }

// Len is the number of members, with those who have a certificate and have not come yet.
func (s *Set) Len() int { return len(s.inForce) }

// Get is the member with the given identifier.
func (s *Set) Get(id wire.NodeID) (Member, bool) {
	r, c := s.record(id), s.inForce[id]
	if r == nil || c == nil {
		return Member{}, false
	}
	m := Member{ID: id, IPv6: c.IPv6, Certificate: c, Record: r, Admin: s.admin(c), Barred: s.barred(c)}
	if first(s.names[c.Name]) == c {
		m.Name = c.Name
	}
	if first(s.addrs[c.IPv4]) == c {
		m.IPv4 = c.IPv4
	}
	for _, subnet := range r.Subnets {
		if c.allows(subnet) {
			m.Subnets = append(m.Subnets, subnet)
		}
	}
	return m, true
}

// Name is the name of a member; empty if it has none.
func (s *Set) Name(id wire.NodeID) string {
	if c := s.inForce[id]; c != nil && first(s.names[c.Name]) == c {
		return c.Name
	}
	return ""
}

// NameOnce is the name that a node has or had: that of one that is out too, if it is remembered.
func (s *Set) NameOnce(id wire.NodeID) string {
	if name := s.Name(id); name != "" {
		return name
	}
	for _, kind := range []Kind{KindCertificate, KindRecord} {
		switch it := s.exiles[place{kind, id}]; {
		case it == nil:
		case it.certificate != nil:
			return it.certificate.Name
		default:
			return it.record.Certificate.Name
		}
	}
	return ""
}

// ByName is the node that has the name, whether it has come or not.
func (s *Set) ByName(name string) (wire.NodeID, bool) { return nodeOf(first(s.names[name])) }

// ByIPv4 is the node that has the address, whether it has come or not.
func (s *Set) ByIPv4(addr netip.Addr) (wire.NodeID, bool) { return nodeOf(first(s.addrs[addr])) }

// ByKey is the node that has the WireGuard key, whether it has come or not.
func (s *Set) ByKey(key Key) (wire.NodeID, bool) { return nodeOf(first(s.keys[key])) }

func nodeOf(c *Certificate) (wire.NodeID, bool) {
	if c == nil {
		return wire.NodeID{}, false
	}
	return c.Node, true
}

// Invitations are all that are known, sorted by identifier.
func (s *Set) Invitations() []*Invitation {
	var list []*Invitation
	for _, id := range s.shelves[KindInvitation].order {
		list = append(list, s.shelves[KindInvitation].items[id].invitation)
	}
	return list
}

// Invitation is the one with the given identifier, or nil.
func (s *Set) Invitation(id TokenID) *Invitation {
	if it := s.shelves[KindInvitation].items[id.item()]; it != nil {
		return it.invitation
	}
	return nil
}

// Outs are the verdicts in force that put a node out, sorted by target.
func (s *Set) Outs() []*Verdict {
	var list []*Verdict
	for target := range s.verdicts {
		if v, out := s.Revoked(target); out {
			list = append(list, v)
		}
	}
	slices.SortFunc(list, func(a, b *Verdict) int { return a.Target.Compare(b.Target) })
	return list
}

// Digest is a hash of the whole set: two nodes that have the same one know the same.
func (s *Set) Digest() uint64 {
	var h uint64
	for _, kind := range kinds {
		h ^= s.shelves[kind].sum
	}
	return h
}

// Stored are all items in the form that Load takes, sorted by kind and identifier, and those kept aside.
func (s *Set) Stored() [][]byte {
	var list [][]byte
	for _, kind := range kinds {
		for _, id := range s.shelves[kind].order {
			list = append(list, Item{Kind: kind, Raw: s.shelves[kind].items[id].raw}.Stored())
		}
	}
	for _, p := range sortedPlaces(s.exiles) {
		list = append(list, Item{Kind: p.kind, Raw: s.exiles[p].raw}.Stored())
	}
	return list
}

// record is what a node says about itself, or nil.
func (s *Set) record(id wire.NodeID) *Record {
	if it := s.shelves[KindRecord].items[id]; it != nil {
		return it.record
	}
	return nil
}

// issued is the certificate of a node that its record does not carry yet, or nil.
func (s *Set) issued(id wire.NodeID) *Certificate {
	if it := s.shelves[KindCertificate].items[id]; it != nil {
		return it.certificate
	}
	return nil
}

// certificate is the one of a node that is in force, or nil.
func (s *Set) certificate(id wire.NodeID) *Certificate { return s.inForce[id] }

// load takes stored items; the own record among them tells which sequence was the last.
func (s *Set) load(now time.Time, stored [][]byte) {
	items := make([]Item, 0, len(stored))
	for _, b := range stored {
		if it, err := ParseStored(b); err == nil {
			items = append(items, it)
		}
	}
	sortItems(items)
	for _, it := range items {
		if _, err := s.learn(now, it, wire.NodeID{}, false); errors.Is(err, ErrRevoked) || errors.Is(err, ErrIssuer) {
			s.exileStored(it)
		} // else it has expired, or the store is from another network: it can be learned again
	}
	s.dirty = false
	s.sync.quiet()
}

// sortItems brings items into the order in which they are taken.
func sortItems(items []Item) {
	slices.SortStableFunc(items, func(a, b Item) int {
		return slices.Index(kinds[:], a.Kind) - slices.Index(kinds[:], b.Kind)
	})
}

// learnAll takes items that did not come in a members message, all that are believed.
func (s *Set) learnAll(now time.Time, items []Item) error {
	var errs []error
	items = slices.Clone(items)
	sortItems(items)
	fresh := false
	for _, it := range items {
		learned, err := s.learn(now, it, wire.NodeID{}, true)
		fresh = fresh || learned
		errs = append(errs, err)
	}
	if fresh {
		s.saveAt = now
	}
	return errors.Join(errs...)
}

// learn takes an item from a peer (zero: from elsewhere) if it is believed and newer than what is known. If push, it is
// passed on at once. Cheap checks come before signatures.
func (s *Set) learn(now time.Time, in Item, from wire.NodeID, push bool) (bool, error) {
	h, err := s.network.peek(in.Kind, in.Raw)
	if err != nil {
		return false, fmt.Errorf("item: %w", err)
	}
	shelf := s.shelves[h.kind]
	old := shelf.items[h.id]
	if old != nil && !h.newer(old.header) {
		return false, nil
	}
	if err := s.room(h, old); err != nil {
		return false, err
	}
	var known *Certificate
	if old != nil && old.record != nil {
		known = old.record.Certificate
	}
	if !from.IsZero() && !s.sync.afford(now, from, verifyCost) {
		return false, ErrBusy
	}
	it, err := s.network.verify(h, slices.Clone(in.Raw), known)
	if err != nil {
		return false, err
	}
	if err := s.timely(now, it); err != nil {
		return false, err
	}
	if err := s.admissible(it); err != nil {
		return false, err
	}
	if it.kind == KindCertificate && !s.needed(it.certificate) {
		return false, nil
	}
	if it.kind == KindRecord && it.id == s.self {
		s.own.surpass(now, it.record)
	}
	s.put(it)
	s.touch(now)
	s.sync.spread(it, from, push)
	if it.kind == KindVerdict {
		s.judge()
		s.saveAt = now // a crash must not forget who is out
	}
	return true, nil
}

// room says that there is none for one more item; nil if there is, or if it takes the place of an older one.
func (s *Set) room(h header, old *item) error {
	if old != nil {
		return nil
	}
	switch h.kind {
	case KindRecord, KindCertificate:
		if s.inForce[h.id] == nil && len(s.inForce) >= MaxMembers {
			return ErrFull
		}
	case KindVerdict:
		if len(s.shelves[h.kind].items) >= maxVerdicts {
			return ErrFull
		}
	case KindInvitation:
		if len(s.shelves[h.kind].items) >= maxAllInvitations {
			return ErrFull
		}
	}
	return nil
}

// maxAllInvitations bounds those of all signers.
const maxAllInvitations = 4 * MaxInvitations

// timely says that an item is not valid at this time, or signed by somebody who has signed too many; nil if it is.
func (s *Set) timely(now time.Time, it *item) error {
	switch it.kind {
	case KindRecord:
		c := it.record.Certificate
		if other := s.issued(it.id); other != nil && other.Serial > c.Serial {
			c = other
		}
		return c.timely(now)
	case KindCertificate:
		if it.certificate.Serial > micros(now.Add(tooEarly)) {
			return ErrExpired
		}
		return it.certificate.timely(now)
	case KindVerdict:
		v := it.verdict
		if v.Sequence > micros(now.Add(tooEarly)) || it.expired(now) {
			return fmt.Errorf("verdict: %w", ErrExpired)
		}
		if !v.Signer.IsZero() && s.signedVerdicts(v.Signer) >= maxAdminsVerdicts {
			return ErrFull
		}
	case KindInvitation:
		if it.expired(now.Add(ClockTolerance)) {
			return fmt.Errorf("invitation: %w", ErrExpired)
		}
		if s.invitationsBy(it.invitation.By) >= MaxInvitations && s.Invitation(it.invitation.ID) == nil {
			return ErrManyTokens
		}
	}
	return nil
}

func (s *Set) signedVerdicts(by wire.NodeID) (n int) {
	for _, list := range s.verdicts {
		for _, v := range list {
			if v.Signer == by {
				n += v.Parts
			}
		}
	}
	return n
}

func (s *Set) invitationsBy(by wire.NodeID) (n int) {
	for _, it := range s.shelves[KindInvitation].items {
		if it.invitation.By == by {
			n++
		}
	}
	return n
}

// needed reports whether a certificate says more than the record of its node.
func (s *Set) needed(c *Certificate) bool {
	r := s.record(c.Node)
	return r == nil || r.Certificate.Serial < c.Serial
}

// put makes it the item in its place, and follows what depends on it.
func (s *Set) put(it *item) {
	s.shelves[it.kind].put(it)
	switch it.kind {
	case KindRecord:
		if c := s.issued(it.id); c != nil && !s.needed(c) {
			s.shelves[KindCertificate].remove(it.id)
		}
		s.settle(it.id)
		s.emit(Changed{Node: it.id})
	case KindCertificate:
		if it.id == s.self {
			s.recertified(it.certificate)
		}
		s.settle(it.id)
		s.emit(Changed{Node: it.id})
	case KindVerdict:
		if it.verdict.Part == 0 {
			s.rule(it.verdict)
		}
	case KindSettings:
		it.settings.memory = s.network.memory
		s.network = it.settings
		s.emit(Renamed{Network: it.settings})
	case KindInvitation:
	}
}

// rule enters a verdict in the place of an earlier one by the same signer.
func (s *Set) rule(v *Verdict) {
	list := slices.DeleteFunc(s.verdicts[v.Target], func(old *Verdict) bool { return old.Signer == v.Signer })
	s.verdicts[v.Target] = append(list, v)
	s.emit(Ruled{Verdict: v})
	s.emit(Changed{Node: v.Target})
}

// settle finds which certificate of a node is in force, and lets it claim what it says.
func (s *Set) settle(id wire.NodeID) {
	var c *Certificate
	if r := s.record(id); r != nil && s.believes(r.Certificate) {
		c = r.Certificate
	}
	if other := s.issued(id); other != nil && (c == nil || other.Serial > c.Serial) {
		c = other
	}
	before := s.inForce[id]
	if c == before {
		return
	}
	if before != nil {
		s.unclaim(before)
	}
	if c == nil {
		delete(s.inForce, id)
		return
	}
	s.inForce[id] = c
	s.claim(c)
}

// discard takes an item out of the set. It may come back in another version.
func (s *Set) discard(it *item) {
	s.shelves[it.kind].remove(it.id)
	switch it.kind {
	case KindRecord, KindCertificate:
		s.settle(it.id)
		if it.kind == KindRecord {
			s.sync.forget(it.id)
		}
		s.emit(Changed{Node: it.id})
	case KindVerdict:
		v := it.verdict
		list := slices.DeleteFunc(s.verdicts[v.Target], func(other *Verdict) bool { return other == v })
		if len(list) == 0 {
			delete(s.verdicts, v.Target)
		} else {
			s.verdicts[v.Target] = list
		}
		s.emit(Changed{Node: v.Target})
	}
}

// exile keeps a record or certificate of a node that is out.
func (s *Set) exile(it *item) {
	p := place{it.kind, it.id}
	if old := s.exiles[p]; (old == nil || it.newer(old.header)) && len(s.exiles) < maxExiles {
		s.exiles[p] = it
	}
}

// exileStored is exile for what was kept aside before a restart.
func (s *Set) exileStored(in Item) {
	if in.Kind != KindRecord && in.Kind != KindCertificate {
		return
	}
	h, err := s.network.peek(in.Kind, in.Raw)
	if err != nil {
		return
	}
	if it, err := s.network.verify(h, slices.Clone(in.Raw), nil); err == nil {
		s.exile(it)
	}
}

// expire removes every item whose time is over. If this node's own certificate is not valid either, it is rather the
// clock that is wrong, and a node that forgot everybody would not find back.
func (s *Set) expire(now time.Time) {
	if !s.cert.ValidAt(now) {
		return
	}
	for _, kind := range kinds {
		for _, id := range slices.Clone(s.shelves[kind].order) {
			it := s.shelves[kind].items[id]
			late := it.expired(now) || (kind == KindRecord && (s.inForce[id] == nil || !s.inForce[id].ValidAt(now)))
			if late && id != s.self {
				s.discard(it)
				s.touch(now)
			}
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

func sortedPlaces(m map[place]*item) []place {
	list := make([]place, 0, len(m))
	for p := range m {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b place) int {
		if a.kind != b.kind {
			return int(a.kind) - int(b.kind)
		}
		return a.id.Compare(b.id)
	})
	return list
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
