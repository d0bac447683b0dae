package member

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"overlayd/internal/wire"
)

// load takes stored items; the own record among them tells which sequence was the last. Whatever was stored is taken, for
// the clock of a host that starts may show anything.
func (s *Set) load(now time.Time, stored [][]byte) {
	s.loading = true
	defer func() { s.loading = false }()
	items := make([]Item, 0, len(stored))
	for _, b := range stored {
		if it, err := ParseStored(b); err == nil {
			items = append(items, it)
		}
	}
	sortItems(items)
	for _, it := range items {
		// One that is not believed was kept aside, has expired, or is from another network: it can be learned again.
		_, _ = s.learn(now, it, wire.NodeID{}, false)
	}
	s.judge(now)
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
		s.saveBy(now)
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
	it, err := s.network.verify(h, in.Raw, known)
	if err != nil {
		return false, err
	}
	if err := s.timely(now, it); err != nil {
		return false, err
	}
	if err := s.admissible(it); err != nil {
		if s.loading {
			s.exile(it) // as it was when this was stored
		}
		return false, err
	}
	if err := s.share(now, it, old); err != nil {
		return false, err
	}
	if it.kind == KindCertificate && !s.needed(it.certificate) {
		return false, nil
	}
	if it.kind == KindRecord && it.id == s.self {
		again := !s.own.surpassed.IsZero() && now.Sub(s.own.surpassed) < surpassedAgain
		s.own.surpass(now, it.record)
		if !s.loading {
			s.emit(Surpassed{Record: it.record, Again: again})
		}
	}
	s.put(it)
	if it.kind == KindRecord && old != nil {
		s.touchRecord(now)
	} else {
		s.touch(now)
	}
	if it.kind != KindRecord || old == nil || s.sync.paced(now, it.id) {
		s.sync.spread(it, from, push)
	}
	if it.kind == KindVerdict {
		s.saveBy(now) // a crash must not forget who is out
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
	}
	return nil
}

// timely says that an item is dated too far ahead, or that its time is over; nil if neither is so.
func (s *Set) timely(now time.Time, it *item) error {
	if s.loading {
		return nil
	}
	early, past := false, s.past(now)
	switch it.kind {
	case KindRecord:
		c := it.record.Certificate
		early = s.early(now, c.Serial, tooEarly) || s.early(now, micros(c.NotBefore), ClockTolerance) ||
			s.early(now, it.sequence, recordTooEarly)
	case KindInvitation:
		early = s.early(now, it.sequence, tooEarly) ||
			s.early(now, micros(it.invitation.Expiry), MaxInvitationTTL+tooEarly)
	case KindVerdict, KindCertificate:
		early = s.early(now, it.sequence, tooEarly)
	}
	if early || s.over(it, past) {
		return fmt.Errorf("item of kind %d: %w", it.kind, ErrExpired)
	}
	return nil
}

// over reports whether nobody needs an item any more.
func (s *Set) over(it *item, past time.Time) bool {
	switch it.kind {
	case KindRecord:
		c := it.record.Certificate
		if other := s.issued(it.id); other != nil && other.Serial > c.Serial {
			c = other
		}
		return past.After(c.NotAfter.Add(Lapse + ClockTolerance))
	case KindCertificate:
		return s.lapsed(it.certificate, past)
	case KindVerdict:
		return past.After(it.verdict.until)
	case KindInvitation:
		return it.invitation.gone(past)
	}
	return false
}

// share says that whoever is charged for an item has no room left for one more. The root always has room for verdicts:
// otherwise admins that fill the set could not be put out.
func (s *Set) share(now time.Time, it, old *item) error {
	by := it.charged()
	if it.kind == KindInvitation && s.crowded(by) {
		s.dropGone(now)
	}
	has, all := s.shares[place{it.kind, by}], len(s.shelves[it.kind].items)
	if old != nil && old.charged() == by {
		return nil
	}
	switch {
	case it.kind == KindVerdict && !by.IsZero() && (has >= maxAdminsVerdicts || all >= maxVerdicts):
		return ErrFull
	case it.kind == KindInvitation && s.crowded(by):
		return ErrManyTokens
	}
	return nil
}

// crowded reports whether there is no room for one more invitation of a signer.
func (s *Set) crowded(by wire.NodeID) bool {
	return s.shares[place{KindInvitation, by}] >= MaxInvitations ||
		(!by.IsZero() && len(s.shelves[KindInvitation].items) >= maxAllInvitations)
}

// dropGone makes room for invitations: those whose time is over by this node's clock alone have to go.
func (s *Set) dropGone(now time.Time) {
	for _, i := range s.Invitations() {
		if i.gone(s.Time(now)) && i.gone(s.wall(now)) {
			s.discard(s.shelves[KindInvitation].items[i.ID.item()])
		}
	}
}

// needed reports whether a certificate says more than the record of its node.
func (s *Set) needed(c *Certificate) bool {
	r := s.Record(c.Node)
	return r == nil || r.Certificate.Serial < c.Serial || !s.believes(r.Certificate)
}
