package member

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"overlayd/internal/wire"
)

// maxAnswer bounds the records sent in answer to one message.
const maxAnswer = 64

func (i *item) head() head {
	return head{node: i.record.Node(), sequence: i.record.Sequence, mark: uint32(i.mark)}
}

// newer reports whether h, which is of the same node, is another version than i that may replace it.
func (h head) newer(i *item) bool {
	return h.sequence > i.record.Sequence || (h.sequence == i.record.Sequence && h.mark != uint32(i.mark))
}

// received answers one message. Members that are not met yet are met by it: they can be answered.
func (s *Set) received(now time.Time, from wire.NodeID, body []byte) error {
	if from == s.self || s.items[from] == nil {
		return ErrStranger
	}
	m, err := parseMessage(body)
	if err != nil {
		return err
	}
	if s.sync.neighbors[from] == nil {
		if err := s.met(now, from); err != nil {
			return err
		}
	}
	if !s.sync.afford(now, from, messageCost) {
		return ErrBusy
	}
	switch m.Type {
	case typeSummary:
		return s.receivedSummary(now, from, m.Spans)
	case typeSame:
		s.sync.end(from)
		return nil
	case typeList:
		return s.receivedLists(now, from, m.Lists)
	case typeItems:
		return s.receivedItems(now, from, m)
	case typeWant:
		return s.receivedWant(now, from, m.Keys)
	case typeAdvert:
		s.receivedAdvert(from, m.Heads)
		return nil
	default:
		return fmt.Errorf("members message: %w: type %d", ErrMalformed, m.Type)
	}
}

// in are the members of a span, a part of s.order.
func (s *Set) in(sp span) []wire.NodeID {
	low, _ := slices.BinarySearchFunc(s.order, sp.Prefix, wire.NodeID.Compare)
	high, found := slices.BinarySearchFunc(s.order, sp.last(), wire.NodeID.Compare)
	if found {
		high++
	}
	return s.order[low:high]
}

// hashOf is the sum without carry of the marks of all items in the span.
func (s *Set) hashOf(sp span) uint64 {
	var h uint64
	for _, id := range s.in(sp) {
		h ^= s.items[id].mark
	}
	return h
}

// receivedSummary answers the spans that differ: a small one with a list, a large one with the hashes of its parts.
func (s *Set) receivedSummary(now time.Time, from wire.NodeID, spans []summarized) error {
	var lists []list
	var parts []summarized
	for _, e := range spans {
		sp := e.Span
		switch {
		case sp.Kind != kindRecord:
			continue
		case s.hashOf(sp) == e.Hash:
			if sp.Depth == 0 {
				s.sync.end(from)
				s.send(from, message{Type: typeSame})
			}
			continue
		}
		members := s.in(sp)
		if len(members) > leafItems && sp.Depth < maxDepth {
			for i := range 16 {
				child := sp.child(i)
				parts = append(parts, summarized{Span: child, Hash: s.hashOf(child)})
			}
			continue
		}
		lists = append(lists, s.list(sp))
	}
	if !s.sync.afford(now, from, float64(len(parts)+len(lists))*messageCost/4) {
		return ErrBusy
	}
	for _, group := range pack(parts, maxSpans, func(summarized) int { return 32 }) {
		s.send(from, message{Type: typeSummary, Spans: group})
	}
	for _, group := range pack(lists, maxLists, func(l list) int { return len(l.Heads) + 26 }) {
		s.send(from, message{Type: typeList, Lists: group})
	}
	return nil
}

func (s *Set) list(sp span) list {
	l := list{Span: sp, Heads: []byte{}}
	for _, id := range s.in(sp) {
		l.Heads = s.items[id].head().append(l.Heads)
	}
	return l
}

// receivedLists sends what the sender of the lists lacks and asks for what this node lacks.
func (s *Set) receivedLists(now time.Time, from wire.NodeID, lists []list) error {
	var send []rawItem
	var want []wire.NodeID
	for _, l := range lists {
		if l.Span.Kind != kindRecord {
			continue
		}
		theirs, err := parseHeads(l.Heads, l.Span)
		if err != nil {
			return err
		}
		s.compare(s.in(l.Span), theirs, &send, &want)
	}
	if !s.sync.afford(now, from, sendCost*float64(min(len(send), maxAnswer))) {
		return ErrBusy
	}
	s.sendItems(from, send[:min(len(send), maxAnswer)], false)
	s.want(from, want)
	return nil
}

// compare walks through two sorted lists of the same span.
func (s *Set) compare(ours []wire.NodeID, theirs []head, send *[]rawItem, want *[]wire.NodeID) {
	give := func(id wire.NodeID) {
		*send = append(*send, rawItem{Kind: kindRecord, Raw: s.items[id].record.raw})
	}
	for len(ours) > 0 || len(theirs) > 0 {
		order := -1
		switch {
		case len(ours) == 0:
			order = 1
		case len(theirs) > 0:
			order = ours[0].Compare(theirs[0].node)
		}
		switch {
		case order < 0:
			give(ours[0])
			ours = ours[1:]
		case order > 0:
			*want = append(*want, theirs[0].node)
			theirs = theirs[1:]
		default:
			mine, other := s.items[ours[0]], theirs[0]
			if other.newer(mine) {
				*want = append(*want, other.node)
			}
			if mine.head() != other && other.sequence <= mine.record.Sequence {
				give(ours[0])
			}
			ours, theirs = ours[1:], theirs[1:]
		}
	}
}

// want asks for items, of which more may be named than one answer holds: the next round asks for the others.
func (s *Set) want(from wire.NodeID, ids []wire.NodeID) {
	ids = ids[:min(len(ids), maxKeys)]
	if len(ids) == 0 {
		return
	}
	var keys []byte
	for _, id := range ids {
		keys = append(append(keys, byte(kindRecord)), id[:]...)
	}
	s.send(from, message{Type: typeWant, Keys: keys})
}

func (s *Set) receivedWant(now time.Time, from wire.NodeID, keys []byte) error {
	var send []rawItem
	for ; len(keys) > 0; keys = keys[keyLen:] {
		it := s.items[wire.NodeID(keys[1:keyLen])]
		if itemKind(keys[0]) == kindRecord && it != nil {
			send = append(send, rawItem{Kind: kindRecord, Raw: it.record.raw})
		}
	}
	if !s.sync.afford(now, from, sendCost*float64(len(send))) {
		return ErrBusy
	}
	s.sendItems(from, send, false)
	return nil
}

func (s *Set) receivedAdvert(from wire.NodeID, packed []byte) {
	var want []wire.NodeID
	for ; len(packed) > 0; packed = packed[advertLen:] {
		if itemKind(packed[0]) != kindRecord {
			continue
		}
		h := parseHead(packed[1:])
		if it := s.items[h.node]; it == nil || h.newer(it) {
			want = append(want, h.node)
		}
	}
	s.want(from, want)
}

// receivedItems takes the items that are believed, whatever the others are.
func (s *Set) receivedItems(now time.Time, from wire.NodeID, m message) error {
	var errs []error
	gained := false
	for _, it := range m.Items {
		if it.Kind != kindRecord {
			continue
		}
		fresh, err := s.learn(now, it.Raw, from, m.News)
		gained = gained || fresh
		if err != nil {
			errs = append(errs, err)
		}
	}
	if gained && !m.News {
		s.sync.gained(from, now)
	}
	return errors.Join(errs...)
}
