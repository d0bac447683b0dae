package member

import (
	"maps"
	"net/netip"
	"slices"

	"overlayd/internal/wire"
)

// claims tells who has what only one node can have when several certificates claim it, as happens when two sides of a
// partition enrol nodes: the elder keeps it, everywhere. The first of each list has it; of an invitation, the first so
// many as it was for.
type claims struct {
	names  map[string][]*Certificate
	addrs  map[netip.Addr][]*Certificate
	keys   map[Key][]*Certificate
	tokens map[TokenID][]*Certificate
}

func newClaims() claims {
	return claims{
		names: make(map[string][]*Certificate), addrs: make(map[netip.Addr][]*Certificate),
		keys: make(map[Key][]*Certificate), tokens: make(map[TokenID][]*Certificate),
	}
}

func first(list []*Certificate) *Certificate {
	if len(list) == 0 {
		return nil
	}
	return list[0]
}

// claim enters a certificate, and reports what it loses or takes from another.
func (s *Set) claim(c *Certificate) {
	dispute(s, s.names, c.Name, c, Conflict{Name: c.Name})
	dispute(s, s.addrs, c.IPv4, c, Conflict{IPv4: c.IPv4})
	dispute(s, s.keys, c.WireGuard, c, Conflict{Key: true})
	if !c.Token.IsZero() {
		list := insert(s.tokens[c.Token], c)
		s.tokens[c.Token] = list
		if len(list) > c.uses() {
			winner, loser := list[c.uses()-1], list[c.uses()]
			s.emit(Changed{Node: loser.Node})
			s.emit(Conflict{Winner: winner.Node, Loser: loser.Node, Token: c.Token})
		}
	}
}

// uses is how many nodes the invitation was for.
func (c *Certificate) uses() int { return max(c.Uses, 1) }

// unclaim takes a certificate out; who was next now has what it had.
func (s *Set) unclaim(c *Certificate) {
	for _, next := range []*Certificate{
		without(s.names, c.Name, c), without(s.addrs, c.IPv4, c), without(s.keys, c.WireGuard, c),
	} {
		if next != nil {
			s.emit(Changed{Node: next.Node})
		}
	}
	if list := s.tokens[c.Token]; len(list) > c.uses() {
		s.emit(Changed{Node: list[c.uses()].Node})
	}
	without(s.tokens, c.Token, c)
}

// dispute enters a claim and reports the conflict that it causes, if it does.
func dispute[K comparable](s *Set, m map[K][]*Certificate, key K, c *Certificate, what Conflict) {
	before, list := first(m[key]), insert(m[key], c)
	m[key] = list
	if before == nil || before.Node == c.Node {
		return
	}
	what.Winner, what.Loser = list[0].Node, c.Node
	if list[0] == c {
		what.Loser = before.Node
		s.emit(Changed{Node: before.Node})
	}
	s.emit(what)
}

// holds reports whether c has what the list is about.
func holds(list []*Certificate, c *Certificate, places int) bool {
	at := slices.Index(list, c)
	return at >= 0 && at < places
}

// barred reports whether a member is not to be dealt with: another node has its key, or it came by an invitation that
// was used up elsewhere.
func (s *Set) barred(c *Certificate) bool {
	return !holds(s.keys[c.WireGuard], c, 1) || (!c.Token.IsZero() && !holds(s.tokens[c.Token], c, c.uses()))
}

// Used is how many nodes have come by an invitation, whatever became of them: one that was revoked or has left has used it
// all the same.
func (s *Set) Used(id TokenID) int {
	nodes := make(map[wire.NodeID]bool)
	for _, c := range s.tokens[id] {
		nodes[c.Node] = true
	}
	for target, list := range s.verdicts {
		if slices.ContainsFunc(list, func(v *Verdict) bool { return v.Token == id }) {
			nodes[target] = true
		}
	}
	for _, it := range s.exiles {
		if c := it.certificate; c != nil && c.Token == id || it.record != nil && it.record.Certificate.Token == id {
			nodes[it.id] = true
		}
	}
	return len(nodes)
}

// Conflicts are what two members claim, as it stands: of each, who has it and who has not.
func (s *Set) Conflicts() []Conflict {
	var list []Conflict
	for _, id := range s.holders() {
		c := s.certificate(id)
		if w := first(s.names[c.Name]); w != c {
			list = append(list, Conflict{Winner: w.Node, Loser: id, Name: c.Name})
		}
		if w := first(s.addrs[c.IPv4]); w != c {
			list = append(list, Conflict{Winner: w.Node, Loser: id, IPv4: c.IPv4})
		}
		if w := first(s.keys[c.WireGuard]); w != c {
			list = append(list, Conflict{Winner: w.Node, Loser: id, Key: true})
		}
		if tokens := s.tokens[c.Token]; !c.Token.IsZero() && !holds(tokens, c, c.uses()) {
			list = append(list, Conflict{Winner: tokens[c.uses()-1].Node, Loser: id, Token: c.Token})
		}
	}
	return list
}

// holders are the nodes that have a certificate in force, sorted, whether they have come or not.
func (s *Set) holders() []wire.NodeID {
	return slices.SortedFunc(maps.Keys(s.inForce), wire.NodeID.Compare)
}

func insert(list []*Certificate, c *Certificate) []*Certificate {
	at, _ := slices.BinarySearchFunc(list, c, (*Certificate).elder)
	return slices.Insert(list, at, c)
}

// without removes c from m[key] and returns who has the key now, if that is another one than before.
func without[K comparable](m map[K][]*Certificate, key K, c *Certificate) *Certificate {
	list := m[key]
	at := slices.Index(list, c)
	if at < 0 {
		return nil
	}
	list = slices.Delete(list, at, at+1)
	if len(list) == 0 {
		delete(m, key)
		return nil
	}
	m[key] = list
	if at > 0 {
		return nil
	}
	return list[0]
}
