package member

import (
	"net/netip"
	"slices"
)

// claims tells who has a name and an address when several certificates claim it, as happens when two sides of a
// partition enrol nodes: the elder keeps it, everywhere. The first of each list has it.
type claims struct {
	names map[string][]*Certificate
	addrs map[netip.Addr][]*Certificate
}

func first(list []*Certificate) *Certificate {
	if len(list) == 0 {
		return nil
	}
	return list[0]
}

// claim enters a certificate, and reports what it loses or takes from another.
func (s *Set) claim(c *Certificate) {
	before, list := first(s.names[c.Name]), insert(s.names[c.Name], c)
	s.names[c.Name] = list
	s.dispute(before, list, c, Conflict{Name: c.Name})

	before, list = first(s.addrs[c.IPv4]), insert(s.addrs[c.IPv4], c)
	s.addrs[c.IPv4] = list
	s.dispute(before, list, c, Conflict{IPv4: c.IPv4})
}

// unclaim takes a certificate out; who was second now has what it had.
func (s *Set) unclaim(c *Certificate) {
	if next := without(s.names, c.Name, c); next != nil {
		s.out = append(s.out, Changed{Node: next.Node})
	}
	if next := without(s.addrs, c.IPv4, c); next != nil {
		s.out = append(s.out, Changed{Node: next.Node})
	}
}

// dispute reports the conflict that c causes in list, whose first was before, if it does.
func (s *Set) dispute(before *Certificate, list []*Certificate, c *Certificate, what Conflict) {
	if before == nil {
		return
	}
	what.Winner, what.Loser = list[0].Node, c.Node
	if list[0] == c {
		what.Loser = before.Node
		s.out = append(s.out, Changed{Node: before.Node})
	}
	s.out = append(s.out, what)
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
