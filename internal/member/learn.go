package member

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"overlayd/internal/wire"
)

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
