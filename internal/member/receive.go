package member

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"overlayd/internal/wire"
)

// maxAnswer bounds the items sent in answer to one message.
const maxAnswer = 64

func (i *item) head() head { return head{node: i.id, sequence: i.sequence, mark: uint32(i.mark)} }

// newer reports whether h, which is of the same identifier, is another version than i that may replace it.
func (h head) newer(i *item) bool {
	return h.sequence > i.sequence || (h.sequence == i.sequence && h.mark != uint32(i.mark))
}

// received answers one message. Members that are not met yet are met by it: they can be answered.
func (s *Set) received(now time.Time, from wire.NodeID, body []byte) error {
	if from == s.self {
		return ErrStranger
	}
	if s.inForce[from] == nil {
		return s.receivedOutside(now, from, body)
	}
	m, err := parseMessage(body)
	if err != nil {
		return err
	}
	if s.sync.neighbors[from] == nil {
		if err := s.met(now, from, false); err != nil {
			return err
		}
	}
	if !s.sync.afford(now, from, messageCost) {
		return ErrBusy
	}
	switch m.Type {
	case typeSummary:
		s.tells(now, from, m.Clock)
		return s.receivedSummary(now, from, m.Spans)
	case typeSame:
		s.tells(now, from, m.Clock)
		s.same(from)
		return nil
	case typeList:
		return s.receivedLists(now, from, m.Lists)
	case typeItems:
		return s.receivedItems(now, from, m)
	case typeWant:
		return s.receivedWant(now, from, m.Keys)
	case typeAdvert:
		s.receivedAdvert(now, from, m.Heads)
		return nil
	default:
		return fmt.Errorf("members message: %w: type %d", ErrMalformed, m.Type)
	}
}

// receivedOutside takes two things from who is no member by what this node knows, and nothing else: verdicts of the root,
// and what the sender says about itself, which still is believed only if its certificate is. This node may know too
// little: an admin that turned hostile may have put everybody out here, so that nobody is left to say that the root struck
// it; or it may have given the sender a certificate that is void now. Both speak for themselves; nothing is answered.
func (s *Set) receivedOutside(now time.Time, from wire.NodeID, body []byte) error {
	m, err := parseMessage(body)
	errs := []error{ErrStranger, err}
	for _, it := range m.Items {
		switch it.Kind {
		case KindVerdict:
			if v, _, _, err := parseVerdict(it.Raw); err != nil || !v.Signer.IsZero() {
				continue
			}
		case KindRecord:
			if h, err := s.network.peek(it.Kind, it.Raw); err != nil || h.id != from {
				continue
			}
		default:
			continue
		}
		if _, err := s.learn(now, it, wire.NodeID{}, true); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// maxPleas bounds the messages of Pleas.
const maxPleas = 4

// Pleas are members messages with the root's latest verdicts, and this node's own record, for who does not answer: it may
// have been told that this node is out, or that everybody is. There are none while the root has passed no verdict.
func (s *Set) Pleas() (bodies [][]byte) {
	var items []*item
	for _, it := range s.shelves[KindVerdict].items {
		if it.verdict.Signer.IsZero() {
			items = append(items, it)
		}
	}
	slices.SortFunc(items, func(a, b *item) int {
		return cmp.Or(cmp.Compare(b.sequence, a.sequence), a.id.Compare(b.id))
	})
	if len(items) == 0 {
		return nil
	}
	var list []Item
	for _, it := range items {
		list = append(list, Item{Kind: KindVerdict, Raw: it.raw})
	}
	if own := s.Own(); own != nil {
		list = slices.Insert(list, min(1, len(list)), Item{Kind: KindRecord, Raw: own.raw})
	}
	for _, part := range pack(list, maxItems, func(i Item) int { return len(i.Raw) + 5 }) {
		if len(bodies) == maxPleas {
			break
		}
		bodies = append(bodies, message{Type: typeItems, Items: part, News: true}.encode())
	}
	return bodies
}

// same notes that a neighbour knows the same.
func (s *Set) same(from wire.NodeID) {
	s.sync.end(from)
	s.emit(Synced{Peer: from})
}

// receivedSummary answers the spans that differ: a small one with a list, a large one with the hashes of its parts.
func (s *Set) receivedSummary(now time.Time, from wire.NodeID, spans []summarized) error {
	var lists []list
	var parts []summarized
	for _, e := range spans {
		sp := e.Span
		shelf := s.shelves[sp.Kind]
		switch {
		case sp.Kind == kindAll && sp.Depth == 0:
			if s.Digest() == e.Hash {
				s.same(from)
				s.send(from, message{Type: typeSame, Clock: s.wall(now).Unix()})
				continue
			}
			for _, kind := range kinds {
				parts = append(parts, summarized{Span: span{Kind: kind}, Hash: s.shelves[kind].sums.all})
			}
		case shelf == nil || shelf.hashOf(sp) == e.Hash:
		case len(shelf.in(sp)) > leafItems && sp.Depth < maxDepth:
			if !s.sync.afford(now, from, 16*spanCost) {
				return ErrBusy
			}
			for i := range 16 {
				child := sp.child(i)
				parts = append(parts, summarized{Span: child, Hash: shelf.hashOf(child)})
			}
		default:
			if !s.sync.afford(now, from, spanCost) {
				return ErrBusy
			}
			lists = append(lists, shelf.list(sp))
		}
	}
	for _, group := range pack(parts, maxSpans, func(summarized) int { return 32 }) {
		s.send(from, message{Type: typeSummary, Spans: group})
	}
	for _, group := range pack(lists, maxLists, func(l list) int { return len(l.Heads) + 26 }) {
		s.send(from, message{Type: typeList, Lists: group})
	}
	return nil
}

func (s *shelf) list(sp span) list {
	l := list{Span: sp, Heads: []byte{}}
	for _, id := range s.in(sp) {
		l.Heads = s.items[id].head().append(l.Heads)
	}
	return l
}

// receivedLists sends what the sender of the lists lacks and asks for what this node lacks. However wide the spans are, it
// looks at no more than the lists say and one answer holds.
func (s *Set) receivedLists(now time.Time, from wire.NodeID, lists []list) error {
	if !s.sync.afford(now, from, spanCost*float64(len(lists))) {
		return ErrBusy
	}
	var send []Item
	var want []place
	for _, l := range lists {
		shelf := s.shelves[l.Span.Kind]
		if shelf == nil {
			continue
		}
		theirs, err := parseHeads(l.Heads, l.Span)
		if err != nil {
			return err
		}
		shelf.compare(l.Span, theirs, &send, &want)
	}
	if !s.sync.afford(now, from, sendCost*float64(len(send))) {
		return ErrBusy
	}
	s.sendItems(from, send, false)
	s.want(from, want)
	return nil
}

// compare walks through two sorted lists of the same span. Once an answer is full, it passes over what only we have: the
// next round finds it.
func (s *shelf) compare(sp span, theirs []head, send *[]Item, want *[]place) {
	ours := s.in(sp)
	full := func() bool { return len(*send) >= maxAnswer }
	give := func(id wire.NodeID) {
		*send = append(*send, Item{Kind: sp.Kind, Raw: s.items[id].raw})
	}
	for len(ours) > 0 || len(theirs) > 0 {
		if full() {
			if len(theirs) == 0 {
				return
			}
			at, _ := slices.BinarySearchFunc(ours, theirs[0].node, wire.NodeID.Compare)
			ours = ours[at:]
		}
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
			*want = append(*want, place{sp.Kind, theirs[0].node})
			theirs = theirs[1:]
		default:
			mine, other := s.items[ours[0]], theirs[0]
			if other.newer(mine) {
				*want = append(*want, place{sp.Kind, other.node})
			}
			if mine.head() != other && other.sequence <= mine.sequence && !full() {
				give(ours[0])
			}
			ours, theirs = ours[1:], theirs[1:]
		}
	}
}

// want asks for items, of which more may be named than one answer holds: the next round asks for the others.
func (s *Set) want(from wire.NodeID, places []place) {
	places = places[:min(len(places), maxKeys)]
	if len(places) == 0 {
		return
	}
	var keys []byte
	for _, p := range places {
		keys = append(append(keys, byte(p.kind)), p.id[:]...)
	}
	s.send(from, message{Type: typeWant, Keys: keys})
}

func (s *Set) receivedWant(now time.Time, from wire.NodeID, keys []byte) error {
	var send []Item
	for ; len(keys) > 0; keys = keys[keyLen:] {
		shelf := s.shelves[Kind(keys[0])]
		if shelf == nil {
			continue
		}
		if it := shelf.items[wire.NodeID(keys[1:keyLen])]; it != nil {
			send = append(send, Item{Kind: it.kind, Raw: it.raw})
		}
	}
	if !s.sync.afford(now, from, sendCost*float64(len(send))) {
		return ErrBusy
	}
	s.sendItems(from, send, false)
	return nil
}

// receivedAdvert asks for what is new to this node, and compares with the sender some time later, in case the answer is
// lost.
func (s *Set) receivedAdvert(now time.Time, from wire.NodeID, packed []byte) {
	var want []place
	for ; len(packed) > 0; packed = packed[advertLen:] {
		shelf := s.shelves[Kind(packed[0])]
		if shelf == nil {
			continue
		}
		h := parseHead(packed[1:])
		if it := shelf.items[h.node]; it == nil || h.newer(it) {
			want = append(want, place{Kind(packed[0]), h.node})
		}
	}
	if len(want) > 0 {
		s.want(from, want)
		s.sync.begin(from, now.Add(sessionFirst))
	}
}

// receivedItems takes the items that are believed, whatever the others are.
func (s *Set) receivedItems(now time.Time, from wire.NodeID, m message) error {
	var errs []error
	gained := false
	sortItems(m.Items)
	for _, it := range m.Items {
		if s.shelves[it.Kind] == nil {
			continue
		}
		if !s.sync.afford(now, from, itemCost) {
			errs = append(errs, ErrBusy)
			break
		}
		fresh, err := s.learn(now, it, from, m.News)
		gained = gained || fresh
		if err != nil {
			errs = append(errs, err)
		}
	}
	if gained && !m.News && s.inForce[from] != nil {
		s.sync.gained(from, now)
	}
	return errors.Join(errs...)
}
