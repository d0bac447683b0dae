package member

import (
	"cmp"
	"time"

	"overlayd/internal/wire"
)

// Who is what, as a function of the verdicts in the set and of nothing else: not of the order in which they came, and
// not of what was believed before. So all nodes that have the same set agree.
//
//	1. The root's newest verdict on an admin that leaves it no admin *strikes* it: all verdicts and invitations that it
//	   signed are void, and do not enter the set any more.
//	2. Of the verdicts on a node by the root, by admins that are not struck, and by itself, the newest counts.
//	3. Whether an admin is itself put out by another *admin* makes no difference to what it has signed. So two admins
//	   that put each other out, on two sides of a partition, are both out everywhere once the sides meet: who holds a
//	   stolen key stays out, whatever it signs. The root decides who comes back.
//	4. A certificate that an admin signed which is no admin any more is valid only if every verdict that says so lists
//	   its node among those who stay. What an admin that is struck says on leaving does not matter for this.

// on are the verdicts on a node, first parts only; their order means nothing.
func (s *Set) on(id wire.NodeID) []*Verdict { return s.verdicts[id] }

// struck reports whether the root has taken the rights of an admin away, or never gave them.
func (s *Set) struck(signer wire.NodeID) bool {
	for _, v := range s.on(signer) {
		if v.Signer.IsZero() {
			return v.Rank < AsAdmin
		}
	}
	return false
}

// counts reports whether a verdict is one to consider.
func (s *Set) counts(v *Verdict) bool {
	return v.Signer.IsZero() || v.Signer == v.Target || !s.struck(v.Signer)
}

// verdict is the one that counts for a node; nil if there is none.
func (s *Set) verdict(id wire.NodeID) *Verdict {
	var newest *Verdict
	for _, v := range s.on(id) {
		if s.counts(v) && (newest == nil || v.outranks(newest)) {
			newest = v
		}
	}
	return newest
}

// outranks orders the verdicts of several signers on one node.
func (v *Verdict) outranks(other *Verdict) bool {
	return cmp.Or(
		cmp.Compare(v.Sequence, other.Sequence),
		cmp.Compare(other.Rank, v.Rank), // who is out stays out
		other.Signer.Compare(v.Signer),
	) > 0
}

// Revoked reports whether a node is out, and by which verdict.
func (s *Set) Revoked(id wire.NodeID) (*Verdict, bool) {
	v := s.verdict(id)
	return v, v != nil && v.Rank == Out
}

func (s *Set) out(id wire.NodeID) bool {
	_, out := s.Revoked(id)
	return out
}

// admin reports whether the node with the given certificate is an admin now.
func (s *Set) admin(c *Certificate) bool {
	if !c.rootMadeAdmin() {
		return false
	}
	v := s.verdict(c.Node)
	return v == nil || v.Rank == AsAdmin
}

// IsAdmin reports whether a node is an admin now.
func (s *Set) IsAdmin(id wire.NodeID) bool {
	c := s.certificate(id)
	return c != nil && s.admin(c)
}

// Stands reports whether a certificate, whose signature counts, still counts itself: its node is not out, and who has
// signed it could.
func (s *Set) Stands(c *Certificate) bool { return !s.out(c.Node) && s.believes(c) }

// believes reports whether who has signed a certificate could.
func (s *Set) believes(c *Certificate) bool {
	if c.Issuer.IsZero() {
		return true
	}
	var pardon uint64 // the time of the latest verdict that makes the issuer an admin
	for _, v := range s.on(c.Issuer) {
		if v.Signer.IsZero() && v.Rank == AsAdmin {
			pardon = v.Sequence
		}
	}
	struck := s.struck(c.Issuer)
	for _, v := range s.on(c.Issuer) {
		if v.Left() && struck {
			continue
		}
		if v.Rank < AsAdmin && v.Sequence >= pardon && s.counts(v) && !s.stays(v, c.Node) {
			return false
		}
	}
	return true
}

// stays reports whether a verdict on an admin, of which v is the first part, says that a node stays that this admin let
// in. While parts are missing it may.
func (s *Set) stays(v *Verdict, id wire.NodeID) bool {
	list := s.parts[ruling{v.Signer, v.Target}]
	for part := range v.Parts {
		if part >= len(list) || list[part] == nil || list[part].Sequence != v.Sequence || list[part].keepsNode(id) {
			return true
		}
	}
	return false
}

// admissible says why an item may not be in the set as it is; nil if it may.
func (s *Set) admissible(it *item) error {
	switch it.kind {
	case KindRecord:
		if it.id == s.self {
			return nil // to know that one is out does not make one forget oneself
		}
		if s.out(it.id) {
			return ErrRevoked
		}
		if !s.believes(it.record.Certificate) && (s.issued(it.id) == nil) {
			return ErrIssuer
		}
	case KindCertificate:
		if s.out(it.id) && it.id != s.self {
			return ErrRevoked
		}
		if !s.believes(it.certificate) {
			return ErrIssuer
		}
		if r := s.Record(it.id); r != nil && s.admin(r.Certificate) && !it.certificate.Issuer.IsZero() {
			return ErrIssuer // an admin cannot make another one an ordinary node
		}
	case KindVerdict:
		v := it.verdict
		if !s.counts(v) || (v.Left() && !s.believes(v.signedBy)) {
			return ErrIssuer
		}
		first := s.parts[ruling{v.Signer, v.Target}]
		if v.Part > 0 && len(first) > 0 && first[0] != nil && (first[0].Sequence > v.Sequence ||
			(first[0].Sequence == v.Sequence && first[0].Parts <= v.Part)) {
			return ErrMalformed // a part of what was replaced
		}
	case KindInvitation:
		if by := it.invitation.By; !by.IsZero() && (s.struck(by) || s.out(by)) {
			return ErrIssuer
		}
	}
	return nil
}

// judge makes the set what the verdicts in it say. Records and certificates that have to go are kept aside: the node may
// be taken back.
func (s *Set) judge(now time.Time) {
	s.unjudged = false
	for again := true; again; { // a verdict that goes may bring another into force
		again = false
		for _, kind := range kinds {
			for _, id := range append([]wire.NodeID(nil), s.shelves[kind].order...) {
				it := s.shelves[kind].items[id]
				if it == nil || s.admissible(it) == nil {
					continue
				}
				s.discard(it)
				again = again || kind == KindVerdict
				s.exile(it)
			}
		}
	}
	for _, kind := range []Kind{KindRecord, KindCertificate} {
		for _, id := range s.shelves[kind].order {
			if s.settle(id) {
				s.emit(Changed{Node: id})
			}
		}
	}
	for _, place := range sortedPlaces(s.exiles) {
		it := s.exiles[place]
		if s.admissible(it) != nil {
			continue
		}
		delete(s.exiles, place)
		old := s.shelves[it.kind].items[it.id]
		if (old == nil || it.newer(old.header)) && s.timely(now, it) == nil && s.room(it.header, old) == nil &&
			(it.kind == KindRecord || s.needed(it.certificate)) {
			s.put(it)
			s.sync.spread(it, wire.NodeID{}, true)
		}
	}
	s.fallBack(now)
}
