package member

import (
	"slices"
	"time"

	"overlayd/internal/wire"
)

const (
	fanout       = 4                      // neighbours that news is pushed to
	advertFanout = 12                     // and that it is advertised to
	rulingFanout = 24                     // and that verdicts are
	advertDelay  = 300 * time.Millisecond // gathers what is new before it is advertised
	roundsEvery  = 30 * time.Second       // the least time between exchanges with a random neighbour; at most twice that
	checkAfter   = 2 * time.Second        // after news, until the next round; at most twice that
	checkPeers   = 2                      // neighbours to compare with then
	maxSessions  = 3                      // exchanges that this node drives at once
	sessionTries = 4                      // without an answer or a gain, before a session is given up
	sessionFirst = 500 * time.Millisecond // until the second try; doubled after each
	sessionNext  = 100 * time.Millisecond // after something was learned, until the next round
	differFirst  = time.Second            // between exchanges because somebody said that it knows something else;
	differLast   = 30 * time.Second       // doubled up to this while they bring nothing
	differDelay  = 500 * time.Millisecond // what is under way already may arrive first
	urgentFanout = 8                      // neighbours that a verdict is pushed to
	sessionYield = 100 * time.Millisecond // the node with the higher ID lets the other one begin

	verifyCost  = 1.0 // in credit, as the following
	sendCost    = 1.0 // a record sent on request
	messageCost = 0.2
	itemCost    = 0.1  // of an item that is read, before its signature
	spanCost    = 0.05 // of a span that is compared
	paceBurst   = 4    // records of one node in a row that are spread at once
	creditRate  = 200  // a second and neighbour
	creditMax   = 600
	totalRate   = 1000 // of all neighbours; half of it is kept for those that this node has picked
	totalMax    = 4000
)

// exchange is whom this node talks to about members, and what it has to say.
type exchange struct {
	neighbors map[wire.NodeID]*neighbor
	order     []wire.NodeID // the keys of neighbors, sorted
	sessions  []session     // in the order of their beginning; at most one a neighbour
	news      []news        // to be pushed at the end of the step
	adverts   map[place]bool
	advertAt  time.Time              // if adverts is not empty
	roundAt   time.Time              // zero: never met anybody
	doubts    bool                   // the round at roundAt was brought forward
	paces     map[wire.NodeID]Credit // for how many more records of a node may be spread
	credits   map[wire.NodeID]Credit // of members that are or were neighbours: who goes and comes has no more
	total     Credit
}

// neighbor is a member that can be sent to.
type neighbor struct {
	chosen    bool      // this node picked it: others may have come in a crowd
	differAt  time.Time // when its word that it knows something else is heeded again
	differGap time.Duration
	clock     neighborClock
}

// session is an exchange that this node drives: it asks until the neighbour says that both have the same.
type session struct {
	peer  wire.NodeID
	next  time.Time
	tries int    // since the last gain; zero: not begun
	known uint32 // what the peer said that it knows; zero: nothing
}

// news is an item to be pushed, not back to whom it came from.
type news struct {
	item *item
	from wire.NodeID
}

func newExchange() exchange {
	return exchange{
		neighbors: make(map[wire.NodeID]*neighbor), adverts: make(map[place]bool), paces: make(map[wire.NodeID]Credit),
		credits: make(map[wire.NodeID]Credit), total: Credit{Left: totalMax},
	}
}

// met adds a neighbour, and an exchange with it.
func (s *Set) met(now time.Time, peer wire.NodeID, chosen bool) error {
	if peer == s.self {
		return nil
	}
	if s.inForce[peer] == nil {
		return ErrStranger
	}
	x := &s.sync
	if x.neighbors[peer] == nil {
		x.neighbors[peer] = new(neighbor)
		at, _ := slices.BinarySearchFunc(x.order, peer, wire.NodeID.Compare)
		x.order = slices.Insert(x.order, at, peer)
	}
	x.neighbors[peer].chosen = chosen
	if x.roundAt.IsZero() {
		x.roundAt = now.Add(roundsEvery)
	}
	begin := now
	if s.self.Compare(peer) > 0 {
		begin = now.Add(sessionYield)
	}
	x.begin(peer, begin)
	return nil
}

func (x *exchange) session(peer wire.NodeID) int {
	return slices.IndexFunc(x.sessions, func(s session) bool { return s.peer == peer })
}

// begin starts a session at the given time unless there is one.
func (x *exchange) begin(peer wire.NodeID, at time.Time) {
	if x.session(peer) < 0 {
		x.sessions = append(x.sessions, session{peer: peer, next: at})
	}
}

// differs begins an exchange with a neighbour that knows something else. Most of the time that is on its way already.
func (x *exchange) differs(now time.Time, in Differs) {
	n := x.neighbors[in.Peer]
	if n == nil || now.Before(n.differAt) || x.session(in.Peer) >= 0 {
		return
	}
	n.differGap = min(max(2*n.differGap, differFirst), differLast)
	n.differAt = now.Add(n.differGap)
	x.sessions = append(x.sessions, session{peer: in.Peer, next: now.Add(differDelay), known: in.Known})
}

// end closes the session with a peer: both have the same, or it has gone.
func (x *exchange) end(peer wire.NodeID) {
	if i := x.session(peer); i >= 0 {
		x.sessions = slices.Delete(x.sessions, i, i+1)
	}
}

// gained notes that an exchange with peer brought something: there may be more.
func (x *exchange) gained(peer wire.NodeID, now time.Time) {
	if n := x.neighbors[peer]; n != nil {
		n.differGap = 0
	}
	x.begin(peer, now.Add(sessionNext))
	i := x.session(peer)
	x.sessions[i].tries = min(x.sessions[i].tries, 1)
	x.sessions[i].next = now.Add(sessionNext)
}

func (x *exchange) forget(peer wire.NodeID) {
	delete(x.neighbors, peer)
	if at, ok := slices.BinarySearchFunc(x.order, peer, wire.NodeID.Compare); ok {
		x.order = slices.Delete(x.order, at, at+1)
	}
	x.end(peer)
}

// afford takes cost from the peer's credit and from that of all; false if there is not so much. Who is no neighbour has
// none. It is asked before the work is done.
func (x *exchange) afford(now time.Time, peer wire.NodeID, cost float64) bool {
	n := x.neighbors[peer]
	if n == nil {
		return false
	}
	credit, known := x.credits[peer]
	if !known {
		credit = Credit{creditMax, now}
	}
	within := credit.Take(now, creditRate, creditMax, cost)
	x.credits[peer] = credit
	if !within {
		return false
	}
	kept := totalMax / 2.0
	if n.chosen {
		kept = 0
	}
	if !x.total.Take(now, totalRate, totalMax, cost+kept) {
		return false
	}
	x.total.Left += kept
	return true
}

// paced reports whether another record of a node is to be spread at once. One that signs them faster than a node does
// would have everybody send each of them to many others: those beyond the pace spread by the rounds alone.
func (x *exchange) paced(now time.Time, id wire.NodeID) bool {
	p, known := x.paces[id]
	if !known {
		p = Credit{paceBurst, now}
	}
	within := p.Take(now, 1/publishEvery.Seconds(), paceBurst, 1)
	x.paces[id] = p
	return within
}

// doubt brings the next round forward: where something is new, somebody has missed it.
func (x *exchange) doubt(check time.Time) {
	if check.Before(x.roundAt) {
		x.roundAt, x.doubts = check, true
	}
}

// spread has a new item told to others: at once to a few if push, and soon to a few more that it exists.
func (x *exchange) spread(it *item, from wire.NodeID, push bool) {
	if push {
		x.news = append(x.news, news{item: it, from: from})
	}
	x.adverts[place{it.kind, it.id}] = true
}

// quiet forgets what is to be told.
func (x *exchange) quiet() {
	x.news = nil
	clear(x.adverts)
}

// deadline adds the times at which runExchange has something to do.
func (x *exchange) deadline(next *earliest) {
	next.add(x.advertAt, len(x.adverts) > 0 && !x.advertAt.IsZero())
	next.add(x.roundAt, !x.roundAt.IsZero())
	begun := x.begun()
	for _, s := range x.sessions {
		next.add(s.next, s.tries > 0 || begun < maxSessions)
	}
}

func (x *exchange) begun() int {
	n := 0
	for _, s := range x.sessions {
		if s.tries > 0 {
			n++
		}
	}
	return n
}

func (s *Set) runExchange(now time.Time) {
	x := &s.sync
	s.pushNews()
	if len(x.adverts) > 0 {
		if x.advertAt.IsZero() {
			x.advertAt = now.Add(advertDelay)
		}
		if !now.Before(x.advertAt) {
			s.advertise()
			x.doubt(now.Add(checkAfter + time.Duration(s.rand.Int64N(int64(checkAfter)))))
		}
	}
	if !x.roundAt.IsZero() && !now.Before(x.roundAt) {
		x.roundAt = now.Add(roundsEvery + time.Duration(s.rand.Int64N(int64(roundsEvery))))
		s.expire(now)
		peers := 1
		if x.doubts {
			peers = checkPeers
		}
		x.doubts = false
		for _, peer := range s.choose(peers, wire.NodeID{}) {
			x.begin(peer, now)
		}
	}
	s.runSessions(now)
}

// runSessions asks again, gives up, and begins sessions while there is room.
func (s *Set) runSessions(now time.Time) {
	x := &s.sync
	keep := x.sessions[:0]
	for _, e := range x.sessions {
		caughtUp := e.tries == 0 && e.known != 0 && e.known == uint32(s.Digest())
		if !caughtUp && (e.tries < sessionTries || now.Before(e.next)) {
			keep = append(keep, e)
		}
	}
	x.sessions = keep
	begun := x.begun()
	for i := range x.sessions {
		e := &x.sessions[i]
		if now.Before(e.next) || (e.tries == 0 && begun >= maxSessions) {
			continue
		}
		if e.tries == 0 {
			begun++
		}
		e.next = now.Add(sessionFirst << e.tries)
		e.tries++
		s.send(e.peer, message{Type: typeSummary, Spans: []summarized{{Span: span{Kind: kindAll}, Hash: s.Digest()}}, Clock: s.wall(now).Unix()})
	}
}

// choose picks up to n neighbours at random, not the one excepted, in sorted order: half of them among those that this
// node has chosen to talk to, so that no crowd of others can keep news from it.
func (s *Set) choose(n int, except wire.NodeID) []wire.NodeID {
	pool := make([]wire.NodeID, 0, len(s.sync.order))
	chosen := 0 // stand first
	for _, id := range s.sync.order {
		if id == except {
			continue
		}
		pool = append(pool, id)
		if s.sync.neighbors[id].chosen {
			last := len(pool) - 1
			pool[chosen], pool[last] = pool[last], pool[chosen]
			chosen++
		}
	}
	n = min(n, len(pool))
	for i := range n {
		among := len(pool)
		if i < min((n+1)/2, chosen) {
			among = chosen
		}
		j := i + s.rand.IntN(among-i)
		pool[i], pool[j] = pool[j], pool[i]
	}
	slices.SortFunc(pool[:n], wire.NodeID.Compare)
	return pool[:n]
}

// pushNews sends what is new to a few neighbours each.
func (s *Set) pushNews() {
	if len(s.sync.news) == 0 {
		return
	}
	batches := make(map[wire.NodeID][]Item)
	for _, n := range s.sync.news {
		count := fanout
		if n.item.kind == KindVerdict {
			count = urgentFanout
		}
		for _, to := range s.choose(count, n.from) {
			if n.item.kind != KindRecord || to != n.item.id {
				batches[to] = append(batches[to], Item{Kind: n.item.kind, Raw: n.item.raw})
			}
		}
	}
	s.sync.news = nil
	for _, to := range s.sync.order {
		s.sendItems(to, batches[to], true)
	}
}

// advertise tells some neighbours of what is new, for those that no push reached; of verdicts more of them. With f
// neighbours told by each node one node in e^f hears of nothing before the next round, and f is a third of what it seems
// where two thirds of the neighbours are cut off and nobody has noticed.
func (s *Set) advertise() {
	var verdicts, all []byte
	for _, p := range sortedPlaces(s.sync.adverts) {
		it := s.shelves[p.kind].items[p.id]
		if it == nil {
			continue // gone since
		}
		head := it.head().append([]byte{byte(p.kind)})
		all = append(all, head...)
		if p.kind == KindVerdict {
			verdicts = append(verdicts, head...)
		}
	}
	clear(s.sync.adverts)
	s.sync.advertAt = time.Time{}
	told := advertFanout
	if len(verdicts) > 0 {
		told = rulingFanout
	}
	for i, to := range s.choose(told, wire.NodeID{}) {
		heads := all
		if i%(rulingFanout/advertFanout) > 0 && len(verdicts) > 0 {
			heads = verdicts
		}
		for part := range slices.Chunk(heads, maxAdverts*advertLen) {
			s.send(to, message{Type: typeAdvert, Heads: part})
		}
	}
}

func (s *Set) send(to wire.NodeID, m message) {
	s.emit(Send{To: to, Body: m.encode()})
}

func (s *Set) sendItems(to wire.NodeID, items []Item, fresh bool) {
	for _, part := range pack(items, maxItems, func(i Item) int { return len(i.Raw) + 5 }) {
		s.send(to, message{Type: typeItems, Items: part, News: fresh})
	}
}
