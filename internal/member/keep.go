package member

import (
	"maps"
	"slices"
	"time"

	"overlayd/internal/wire"
)

// put makes it the item in its place, and follows what depends on it.
func (s *Set) put(it *item) {
	if old := s.shelves[it.kind].items[it.id]; old != nil {
		s.charge(old, -1)
	}
	s.charge(it, 1)
	if by := it.signedBy(); by != s.self && it.kind != KindSettings {
		s.dates.note(by, it.sequence)
	}
	s.shelves[it.kind].put(it)
	switch it.kind {
	case KindRecord:
		if c := s.issued(it.id); c != nil && (!s.needed(c) || s.admissible(s.shelves[KindCertificate].items[it.id]) != nil) {
			if s.loading && it.id == s.self && c.Issuer != it.record.Certificate.Issuer {
				s.own.spare = c
			}
			s.shelves[KindCertificate].remove(it.id)
		}
		if it.id == s.self {
			s.recertified(it.record.Certificate) // of which a crash may have kept no more than this
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
		s.unjudged = true
		s.part(it.verdict, it.verdict)
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

// charge counts what is signed by whom.
func (s *Set) charge(it *item, n int) {
	if it.kind != KindVerdict && it.kind != KindInvitation {
		return
	}
	p := place{it.kind, it.charged()}
	if s.shares[p] += n; s.shares[p] == 0 {
		delete(s.shares, p)
	}
}

// part enters one part of a verdict in the place of v, or none.
func (s *Set) part(v, is *Verdict) {
	r := ruling{v.Signer, v.Target}
	list := s.parts[r]
	for len(list) <= v.Part {
		list = append(list, nil)
	}
	list[v.Part] = is
	for len(list) > 0 && list[len(list)-1] == nil {
		list = list[:len(list)-1]
	}
	if s.parts[r] = list; len(list) == 0 {
		delete(s.parts, r)
	}
}

// rule enters a verdict in the place of an earlier one by the same signer.
func (s *Set) rule(v *Verdict) {
	list := slices.DeleteFunc(s.verdicts[v.Target], func(old *Verdict) bool { return old.Signer == v.Signer })
	s.verdicts[v.Target] = append(list, v)
	if v.Rank == Out && s.sync.neighbors[v.Target] != nil { // the last that it hears from us
		s.sendItems(v.Target, []Item{{Kind: KindVerdict, Raw: v.raw}}, true)
	}
	s.emit(Ruled{Verdict: v})
	s.emit(Changed{Node: v.Target})
}

// settle finds which certificate of a node is in force, and lets it claim what it says. It reports whether another one is
// than before.
func (s *Set) settle(id wire.NodeID) bool {
	var c *Certificate
	if r := s.Record(id); r != nil && s.believes(r.Certificate) {
		c = r.Certificate
	}
	if other := s.issued(id); other != nil && (c == nil || other.Serial > c.Serial) {
		c = other
	}
	before := s.inForce[id]
	if c == before || (c != nil && before.sameRaw(c.raw)) { // a record brings along what was issued
		return false
	}
	if before != nil {
		s.unclaim(before)
	}
	if c == nil {
		delete(s.inForce, id)
		return true
	}
	s.inForce[id] = c
	s.claim(c)
	return true
}

// discard takes an item out of the set. It may come back in another version.
func (s *Set) discard(it *item) {
	s.charge(it, -1)
	s.shelves[it.kind].remove(it.id)
	switch it.kind {
	case KindRecord, KindCertificate:
		s.settle(it.id)
		if it.kind == KindRecord {
			s.sync.forget(it.id)
			delete(s.sync.paces, it.id)
			delete(s.sync.credits, it.id)
		}
		s.emit(Changed{Node: it.id})
	case KindVerdict:
		v := it.verdict
		s.part(v, nil)
		list := slices.DeleteFunc(s.verdicts[v.Target], func(other *Verdict) bool { return other == v })
		if len(list) == 0 {
			delete(s.verdicts, v.Target)
		} else {
			s.verdicts[v.Target] = list
		}
		s.emit(Changed{Node: v.Target})
	}
}

// exile keeps an item aside if it is a record or certificate: the node that it is of is out, and may be taken back.
func (s *Set) exile(it *item) {
	if it.kind != KindRecord && it.kind != KindCertificate {
		return
	}
	p := place{it.kind, it.id}
	switch old := s.exiles[p]; {
	case old == nil && len(s.exiles) < maxExiles, old != nil && it.newer(old.header):
		s.exiles[p] = it
	}
}

// expire removes every item whose time is over (clock.go), and what others date ahead of a clock that their own confirm.
func (s *Set) expire(now time.Time) {
	ruled, past := false, s.past(now)
	for _, kind := range kinds {
		for _, id := range slices.Clone(s.shelves[kind].order) {
			it := s.shelves[kind].items[id]
			if id == s.self || !(s.over(it, past) || s.ahead(now, it)) {
				continue
			}
			s.discard(it)
			s.touch(now)
			ruled = ruled || kind == KindVerdict
		}
	}
	for p, it := range s.exiles {
		if s.over(it, past) {
			delete(s.exiles, p)
		}
	}
	if ruled {
		s.judge(now)
	}
}

// ahead reports whether an item is a record that was taken while this clock was ahead, so that others refuse it. The node
// will sign another one.
func (s *Set) ahead(now time.Time, it *item) bool {
	return it.kind == KindRecord && s.confirmed(now) && s.early(now, it.sequence, 2*recordTooEarly)
}

func sortedPlaces[V any](m map[place]V) []place {
	return slices.SortedFunc(maps.Keys(m), func(a, b place) int {
		if a.kind != b.kind {
			return slices.Index(kinds[:], a.kind) - slices.Index(kinds[:], b.kind)
		}
		return a.id.Compare(b.id)
	})
}
