package member

import (
	"bytes"
	"maps"
	"slices"

	"overlayd/internal/wire"
)

// consistent holds a set to what is true of it after every step.
func (w *world) consistent(s *Set) {
	w.Helper()
	shares := make(map[place]int)
	for _, kind := range kinds {
		shelf := s.shelves[kind]
		var sum uint64
		for id, it := range shelf.items {
			sum ^= it.mark
			if it.kind != kind || it.id != id {
				w.Fatalf("an item of kind %d in the place of %d", it.kind, kind)
			}
			if stored, err := ParseStored(it.stored); err != nil || stored.Kind != kind || !bytes.Equal(stored.Raw, it.raw) {
				w.Fatalf("an item of kind %d is stored as %x: %v", kind, it.stored, err)
			}
			if kind == KindVerdict || kind == KindInvitation {
				shares[place{kind, it.charged()}]++
			}
			if err := s.admissible(it); err != nil {
				w.Fatalf("an item of kind %d that may not be in the set: %v", kind, err)
			}
			if kind == KindCertificate && !s.needed(it.certificate) {
				w.Fatalf("a certificate that the record of %s replaces", id)
			}
		}
		if sum != shelf.sums.all {
			w.Fatalf("the sum of kind %d is wrong", kind)
		}
		if !slices.Equal(shelf.order, slices.SortedFunc(maps.Keys(shelf.items), wire.NodeID.Compare)) {
			w.Fatalf("the order of kind %d is wrong", kind)
		}
	}
	if !maps.Equal(shares, s.shares) {
		w.Fatalf("shares %v, want %v", s.shares, shares)
	}
	w.consistentClaims(s)
	w.consistentVerdicts(s)
	if !slices.Equal(s.sync.order, slices.SortedFunc(maps.Keys(s.sync.neighbors), wire.NodeID.Compare)) {
		w.Fatal("the order of the neighbours is wrong")
	}
	if len(s.exiles) > maxExiles || len(s.inForce) > MaxMembers || len(s.sync.sessions) > MaxMembers {
		w.Fatal("out of bounds")
	}
}

func (w *world) consistentVerdicts(s *Set) {
	w.Helper()
	firsts, parts := 0, 0
	for _, it := range s.shelves[KindVerdict].items {
		if list := s.parts[ruling{it.verdict.Signer, it.verdict.Target}]; list[it.verdict.Part] != it.verdict {
			w.Fatal("a part of a verdict is not in its place")
		}
		if it.verdict.Part == 0 {
			firsts++
			if !slices.Contains(s.verdicts[it.verdict.Target], it.verdict) {
				w.Fatal("a verdict is not in its place")
			}
		}
	}
	for target, list := range s.verdicts {
		firsts -= len(list)
		if len(list) == 0 {
			w.Fatal("an empty list of verdicts")
		}
		if _, out := s.Revoked(target); out && target != s.self && (s.Record(target) != nil || s.issued(target) != nil) {
			w.Fatalf("%s is out and a member", target)
		}
	}
	for _, list := range s.parts {
		for _, v := range list {
			if v != nil {
				parts++
			}
		}
	}
	if firsts != 0 || parts != len(s.shelves[KindVerdict].items) {
		w.Fatalf("%d verdicts too many, %d parts", firsts, parts)
	}
}

// consistentClaims checks that every certificate in force claims what it says exactly once, and no other does.
func (w *world) consistentClaims(s *Set) {
	w.Helper()
	tokens := 0
	for id, c := range s.inForce {
		r, issued := s.Record(id), s.issued(id)
		if (r == nil || !c.sameRaw(r.Certificate.raw)) && (issued == nil || !c.sameRaw(issued.raw)) {
			w.Fatalf("the certificate of %s comes from nowhere", id)
		}
		if !s.believes(c) {
			w.Fatalf("the certificate of %s is not believed", id)
		}
		if c.Node != id || once(s.names[c.Name], c) != 1 || once(s.addrs[c.IPv4], c) != 1 || once(s.keys[c.WireGuard], c) != 1 {
			w.Fatalf("%s does not claim what it has once", id)
		}
		if !c.Token.IsZero() {
			if tokens++; once(s.tokens[c.Token], c) != 1 {
				w.Fatalf("%s does not claim its token once", id)
			}
		}
	}
	for _, kind := range []Kind{KindRecord, KindCertificate} {
		for id := range s.shelves[kind].items {
			if s.inForce[id] == nil && id != s.self {
				w.Fatalf("%s has no certificate in force", id)
			}
		}
	}
	if n := len(s.inForce); claimed(w, s.names) != n || claimed(w, s.addrs) != n || claimed(w, s.keys) != n ||
		claimed(w, s.tokens) != tokens {
		w.Fatal("something is claimed by a certificate that is not in force")
	}
}

func once(list []*Certificate, c *Certificate) (n int) {
	for _, other := range list {
		if other == c {
			n++
		}
	}
	return n
}

func claimed[K comparable](w *world, m map[K][]*Certificate) (n int) {
	w.Helper()
	for _, list := range m {
		n += len(list)
		if len(list) == 0 || !slices.IsSortedFunc(list, (*Certificate).elder) {
			w.Fatal("a list of claims is empty or out of order")
		}
	}
	return n
}
