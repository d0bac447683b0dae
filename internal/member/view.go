package member

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"overlayd/internal/wire"
)

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

// Own is what this node says about itself; nil before it has said anything.
func (s *Set) Own() *Record { return s.Record(s.self) }

// IDs are the nodes of Members, sorted. The caller must not change the list, nor keep it over a Step.
func (s *Set) IDs() []wire.NodeID { return s.shelves[KindRecord].order }

// Len is the number of members, with those who have a certificate and have not come yet.
func (s *Set) Len() int { return len(s.inForce) }

// Get is the member with the given identifier.
func (s *Set) Get(id wire.NodeID) (Member, bool) {
	r, c := s.Record(id), s.inForce[id]
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
	if c := s.exiled(id); c != nil {
		return c.Name
	}
	return ""
}

// exiled is the last certificate of a node that is out, if it is remembered; otherwise nil.
func (s *Set) exiled(id wire.NodeID) *Certificate {
	var last *Certificate
	if it := s.exiles[place{KindRecord, id}]; it != nil {
		last = it.record.Certificate
	}
	if it := s.exiles[place{KindCertificate, id}]; it != nil && (last == nil || it.certificate.Serial > last.Serial) {
		last = it.certificate
	}
	return last
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

// Neighbors are the members that can be sent to now, sorted: who was Met and not Lost. The caller must not change the
// list, nor keep it over a Step.
func (s *Set) Neighbors() []wire.NodeID { return s.sync.order }

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

// Digest is a hash of the whole set: two nodes that have the same one know the same. The sums of the kinds are hashed, so
// that nobody can make up for a verdict that is missing with records of its own.
func (s *Set) Digest() uint64 {
	var sums [8 * len(kinds)]byte
	for i, kind := range kinds {
		binary.BigEndian.PutUint64(sums[8*i:], s.shelves[kind].sums.all)
	}
	return binary.BigEndian.Uint64(hash("overlayd set v1", sums[:]))
}

// Stored are all items in the form that Load takes, sorted by kind and identifier, and those kept aside. They
// must not be changed.
func (s *Set) Stored() [][]byte {
	var list [][]byte
	for _, kind := range kinds {
		for _, id := range s.shelves[kind].order {
			list = append(list, s.shelves[kind].items[id].stored)
		}
	}
	for _, p := range sortedPlaces(s.exiles) {
		list = append(list, s.exiles[p].stored)
	}
	if s.own.spare != nil {
		list = append(list, Item{Kind: KindCertificate, Raw: s.own.spare.raw}.Stored())
	}
	return list
}

// Record is what a node says about itself, or nil.
func (s *Set) Record(id wire.NodeID) *Record {
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
