package member

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"overlayd/internal/wire"
)

// Kind is what an item of the replicated set is. Items and spans of kinds that a node does not know it ignores.
type Kind uint8

// The kinds. kindAll is no kind of item: a span of it is the whole set.
const (
	kindAll         Kind = 0
	KindRecord      Kind = 1 // what a node says about itself, by node
	KindVerdict     Kind = 2 // who is out, and who is an admin, by signer, target and part
	KindSettings    Kind = 3 // the network's settings, by zero
	KindCertificate Kind = 4 // a certificate that its node's record does not carry yet, by node
	KindInvitation  Kind = 5 // by its identifier
)

// kinds are in the order in which items are taken: who may be believed comes before what is to be believed.
var kinds = [...]Kind{KindSettings, KindVerdict, KindCertificate, KindInvitation, KindRecord}

// MaxItemLen bounds an encoded item in bytes, so that one fits a control frame.
const MaxItemLen = 1100

// Item is something signed, as it is sent and stored.
type Item struct {
	_    struct{} `cbor:",toarray"`
	Kind Kind
	Raw  []byte
}

// Stored is the item as one string of bytes, for the disk; ParseStored reads it.
func (i Item) Stored() []byte { return append([]byte{byte(i.Kind)}, i.Raw...) }

// ParseStored reads what Stored wrote. A record as earlier versions stored it begins with the array of its envelope.
func ParseStored(b []byte) (Item, error) {
	const envelopeArray = 0x82
	switch {
	case len(b) < 2 || len(b) > 1+MaxItemLen:
		return Item{}, fmt.Errorf("stored item: %w", ErrMalformed)
	case b[0] == envelopeArray:
		return Item{Kind: KindRecord, Raw: b}, nil
	default:
		return Item{Kind: Kind(b[0]), Raw: b[1:]}, nil
	}
}

// header is what tells one version of an item from another.
type header struct {
	kind     Kind
	id       wire.NodeID
	sequence uint64
	payload  []byte
}

// newer reports whether h replaces other: the higher sequence does; of two with one sequence the greater payload, so
// that all nodes agree.
func (h header) newer(other header) bool {
	if h.sequence != other.sequence {
		return h.sequence > other.sequence
	}
	return bytes.Compare(h.payload, other.payload) > 0
}

// mark is what the item adds to the hash of a span.
func (h header) mark() uint64 {
	var seq [8]byte
	binary.BigEndian.PutUint64(seq[:], h.sequence)
	return binary.BigEndian.Uint64(hash("overlayd item v1", []byte{byte(h.kind)}, h.id[:], seq[:], h.payload))
}

// peek tells which item raw claims to be, without believing it: a cheap check before signatures.
func (n *Network) peek(kind Kind, raw []byte) (header, error) {
	if n.memory == nil {
		return peek(kind, raw)
	}
	if h, ok := n.memory.heads[string(raw)]; ok && h.kind == kind {
		return h, nil
	}
	h, err := peek(kind, raw)
	if err == nil {
		n.memory.heads[string(raw)] = h
	}
	return h, err
}

func peek(kind Kind, raw []byte) (header, error) {
	switch kind {
	case KindRecord:
		e, p, err := parseRecord(raw)
		if err != nil {
			return header{}, err
		}
		c, _, _, err := parseCertificate(p.Certificate)
		if err != nil {
			return header{}, err
		}
		return header{kind, c.Node, p.Sequence, e.Payload}, nil
	case KindCertificate:
		c, e, _, err := parseCertificate(raw)
		if err != nil {
			return header{}, err
		}
		return header{kind, c.Node, c.Serial, e.Payload}, nil
	case KindVerdict:
		v, e, _, err := parseVerdict(raw)
		if err != nil {
			return header{}, err
		}
		return header{kind, v.id(), v.Sequence, e.Payload}, nil
	case KindInvitation:
		i, e, _, err := parseInvitation(raw)
		if err != nil {
			return header{}, err
		}
		return header{kind, i.ID.item(), i.Sequence, e.Payload}, nil
	case KindSettings:
		n, _, err := parseSettings(raw)
		if err != nil {
			return header{}, err
		}
		return header{kind, wire.NodeID{}, n.Sequence, n.payload}, nil
	default:
		return header{}, fmt.Errorf("%w: kind %d", ErrMalformed, kind)
	}
}

// item is a verified item in the set. It is immutable. One of the pointers is set, by kind.
type item struct {
	header
	stored []byte // for the disk
	raw    []byte // the end of it
	mark   uint64

	record      *Record
	certificate *Certificate
	verdict     *Verdict
	invitation  *Invitation
	settings    *Network
}

// verify believes raw, of which h was peeked, or says why not. What depends on the time or on other items is not looked
// at. A certificate that equals known is not verified again.
func (n *Network) verify(h header, raw []byte, known *Certificate) (*item, error) {
	if n.memory == nil {
		return n.verified(h, raw, known)
	}
	return remembered(n.memory.items[h.kind], raw, func() (*item, error) { return n.verified(h, raw, known) })
}

func (n *Network) verified(h header, raw []byte, known *Certificate) (*item, error) {
	it := newItem(h, raw)
	raw = it.raw
	var err error
	switch h.kind {
	case KindRecord:
		it.record, err = n.checkRecord(raw, known)
	case KindCertificate:
		it.certificate, err = n.checkCertificate(raw)
	case KindVerdict:
		it.verdict, err = n.VerifyVerdict(raw)
	case KindInvitation:
		it.invitation, err = n.VerifyInvitation(raw)
	case KindSettings:
		it.settings, err = n.checkSettings(raw)
	}
	return it, err
}

// checkSettings believes later settings of the network. Whose they claim to be is looked at before the signature.
func (n *Network) checkSettings(raw []byte) (*Network, error) {
	later, e, err := parseSettings(raw)
	if err != nil {
		return nil, err
	}
	if later.ID != n.ID || later.Prefix != n.Prefix {
		return nil, fmt.Errorf("settings: %w", ErrForeign)
	}
	if err := e.verify(later.Root, contextSettings); err != nil {
		return nil, fmt.Errorf("settings: %w", err)
	}
	return later, nil
}

// newItem copies raw.
func newItem(h header, raw []byte) *item {
	stored := Item{Kind: h.kind, Raw: raw}.Stored()
	return &item{header: h, stored: stored, raw: stored[1:], mark: h.mark()}
}

// charged is whose share of the set a verdict or an invitation takes; zero: the root's.
func (i *item) charged() wire.NodeID {
	switch i.kind {
	case KindVerdict:
		return i.verdict.charged()
	case KindInvitation:
		return i.invitation.By
	}
	return wire.NodeID{}
}

// shelf holds the items of one kind.
type shelf struct {
	items map[wire.NodeID]*item
	order []wire.NodeID // the keys of items, sorted
	sums  sums
}

// sums are the sums without carry of the marks of a shelf by the first nibbles of the identifiers: of all, of each first
// nibble, of each first byte. So a span that holds more than a few items has its hash at hand.
type sums struct {
	all    uint64
	nibble [16]uint64
	octet  [256]uint64
}

func (s *sums) flip(it *item) {
	s.all ^= it.mark
	s.nibble[it.id[0]>>4] ^= it.mark
	s.octet[it.id[0]] ^= it.mark
}

func newShelf() *shelf { return &shelf{items: make(map[wire.NodeID]*item)} }

func (s *shelf) put(it *item) {
	if old := s.items[it.id]; old != nil {
		s.sums.flip(old)
	} else {
		at, _ := slices.BinarySearchFunc(s.order, it.id, wire.NodeID.Compare)
		s.order = slices.Insert(s.order, at, it.id)
	}
	s.items[it.id] = it
	s.sums.flip(it)
}

func (s *shelf) remove(id wire.NodeID) {
	it := s.items[id]
	if it == nil {
		return
	}
	delete(s.items, id)
	s.sums.flip(it)
	if at, ok := slices.BinarySearchFunc(s.order, id, wire.NodeID.Compare); ok {
		s.order = slices.Delete(s.order, at, at+1)
	}
}

// in are the identifiers in a span, a part of s.order.
func (s *shelf) in(sp span) []wire.NodeID {
	if sp.Depth == 0 {
		return s.order
	}
	low, _ := slices.BinarySearchFunc(s.order, sp.Prefix, wire.NodeID.Compare)
	high, found := slices.BinarySearchFunc(s.order, sp.last(), wire.NodeID.Compare)
	if found {
		high++
	}
	return s.order[low:high]
}

// hashOf is the sum without carry of the marks of all items in the span.
func (s *shelf) hashOf(sp span) uint64 {
	switch sp.Depth {
	case 0:
		return s.sums.all
	case 1:
		return s.sums.nibble[sp.Prefix[0]>>4]
	case 2:
		return s.sums.octet[sp.Prefix[0]]
	}
	var h uint64
	for _, id := range s.in(sp) {
		h ^= s.items[id].mark
	}
	return h
}
