package member

import (
	"encoding/binary"
	"fmt"

	"overlayd/internal/wire"
)

// The bodies of KindMembers frames. Items are what is replicated; each has a kind, an identifier, and a
// version. They are compared by spans: all items of one kind whose identifier begins with the same nibbles. The exchange
// between A, which lacks something, and B:
//
//	A ── summary: hash of everything ─────────▶ B   equal: B answers same, and that was all
//	A ◀── summary: one hash a kind ──────────── B
//	A ── summary: 16 hashes, one a nibble ────▶ B   or at once a list, if A has few items there
//	A ◀── list: id and version of every item ── B   of each span that differs, once few are left
//	A ── items that B lacks; want ────────────▶ B
//	A ◀── items that A wants ────────────────── B
//
// Nobody keeps state for an answer; who asked asks again until it is told "same" (session in exchange.go).
type message struct {
	Version uint8        `cbor:"1,keyasint"`
	Type    messageType  `cbor:"2,keyasint"`
	Spans   []summarized `cbor:"3,keyasint,omitempty"` // summary, same
	Lists   []list       `cbor:"4,keyasint,omitempty"` // list
	Items   []Item       `cbor:"5,keyasint,omitempty"` // items
	News    bool         `cbor:"6,keyasint,omitempty"` // items: pass on what is new to you
	Keys    []byte       `cbor:"7,keyasint,omitempty"` // want: packed keys
	Heads   []byte       `cbor:"8,keyasint,omitempty"` // advert: packed kinds and heads
	Clock   int64        `cbor:"9,keyasint,omitempty"` // summary of everything, same: the sender's clock, in seconds since 1970
}

// messageVersion is the version of the encoding. A body of another version is ignored.
const messageVersion = 1

type messageType uint8

const (
	typeSummary messageType = 1 // hashes of spans
	typeSame    messageType = 2 // answers a summary of everything: equal
	typeList    messageType = 3 // all items of spans
	typeItems   messageType = 4 // the items themselves
	typeWant    messageType = 5 // keys of items to be sent
	typeAdvert  messageType = 6 // some items that the sender has
)

// span is all items of one kind whose node begins with the first Depth nibbles of Prefix; the others are zero.
type span struct {
	_      struct{} `cbor:",toarray"`
	Kind   Kind
	Depth  uint8
	Prefix wire.NodeID
}

type summarized struct {
	_    struct{} `cbor:",toarray"`
	Span span
	Hash uint64
}

type list struct {
	_     struct{} `cbor:",toarray"`
	Span  span
	Heads []byte // packed heads of all items in the span, sorted
}

// head tells one version of an item from another.
type head struct {
	node     wire.NodeID
	sequence uint64
	mark     uint32 // of the content: two versions may have one sequence
}

const (
	headLen   = 16 + 8 + 4
	advertLen = 1 + headLen
	keyLen    = 1 + 16

	maxDepth   = 32 // nibbles in a node identifier
	leafItems  = 32 // a span with at most so many items is listed, a larger one is divided
	maxKeys    = 64 // in one want
	maxAdverts = 36 // in one advert
	maxSpans   = 32 // in one summary
	maxLists   = 32 // in one list message
	maxItems   = 16 // in one items message

	messageOverhead = 24 // of a message around its elements, in bytes
)

func (s span) valid() bool {
	if s.Depth > maxDepth {
		return false
	}
	for i := int(s.Depth); i < maxDepth; i++ {
		if nibble(s.Prefix, i) != 0 {
			return false
		}
	}
	return true
}

// child is the i-th sixteenth of s, which is not of full depth.
func (s span) child(i int) span {
	shift := 4 * (1 - int(s.Depth)%2)
	s.Prefix[s.Depth/2] |= byte(i) << shift
	s.Depth++
	return s
}

// last is the highest identifier that the span may hold.
func (s span) last() wire.NodeID {
	id := s.Prefix
	for i := int(s.Depth); i < maxDepth; i++ {
		id[i/2] |= 0xf << (4 * (1 - i%2))
	}
	return id
}

func nibble(id wire.NodeID, i int) byte { return id[i/2] >> (4 * (1 - i%2)) & 0xf }

func (h head) append(b []byte) []byte {
	b = append(b, h.node[:]...)
	b = binary.BigEndian.AppendUint64(b, h.sequence)
	return binary.BigEndian.AppendUint32(b, h.mark)
}

// parseHeads reads packed heads, which must be sorted and lie in the span.
func parseHeads(b []byte, within span) ([]head, error) {
	if len(b)%headLen != 0 {
		return nil, fmt.Errorf("%w: heads", ErrMalformed)
	}
	heads := make([]head, 0, len(b)/headLen)
	last := within.last()
	for ; len(b) > 0; b = b[headLen:] {
		h := parseHead(b)
		if h.node.Compare(within.Prefix) < 0 || h.node.Compare(last) > 0 ||
			(len(heads) > 0 && heads[len(heads)-1].node.Compare(h.node) >= 0) {
			return nil, fmt.Errorf("%w: heads out of order", ErrMalformed)
		}
		heads = append(heads, h)
	}
	return heads, nil
}

func parseHead(b []byte) head {
	return head{
		node:     wire.NodeID(b[:16]),
		sequence: binary.BigEndian.Uint64(b[16:]),
		mark:     binary.BigEndian.Uint32(b[24:]),
	}
}

// parseMessage reads a body. Of a later version it returns an error, so that it is ignored.
func parseMessage(b []byte) (message, error) {
	var m message
	if err := Decode(b, wire.MaxBodyLen, &m); err != nil {
		return m, fmt.Errorf("members message: %w", err)
	}
	if m.Version != messageVersion {
		return m, fmt.Errorf("members message: %w: version %d", ErrMalformed, m.Version)
	}
	if len(m.Spans) > maxSpans || len(m.Lists) > maxLists || len(m.Items) > maxItems ||
		len(m.Keys) > maxKeys*keyLen || len(m.Heads) > maxAdverts*advertLen ||
		len(m.Keys)%keyLen != 0 || len(m.Heads)%advertLen != 0 {
		return m, fmt.Errorf("members message: %w: too long", ErrMalformed)
	}
	for _, s := range m.Spans {
		if !s.Span.valid() {
			return m, fmt.Errorf("members message: %w: span", ErrMalformed)
		}
	}
	for _, l := range m.Lists {
		if !l.Span.valid() {
			return m, fmt.Errorf("members message: %w: span", ErrMalformed)
		}
	}
	return m, nil
}

func (m message) encode() []byte {
	m.Version = messageVersion
	return Encode(m)
}

// pack divides elements over as few groups as fit a body each, in order. No group has more than limit elements.
func pack[T any](elements []T, limit int, size func(T) int) [][]T {
	var groups [][]T
	used := 0
	for _, e := range elements {
		n := size(e)
		if last := len(groups) - 1; last < 0 || used+n > wire.MaxBodyLen-messageOverhead || len(groups[last]) == limit {
			groups = append(groups, nil)
			used = 0
		}
		groups[len(groups)-1] = append(groups[len(groups)-1], e)
		used += n
	}
	return groups
}
