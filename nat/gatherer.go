package nat

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"overlayd/internal/wire"
)

// GathererConfig bounds a Gatherer. DefaultGathererConfig is a good start.
type GathererConfig struct {
	VoteFor time.Duration // how long a member's word counts
	First   time.Duration // from the first thing learned to the first list
	Settle  time.Duration // from a change to the next list
	Gap     time.Duration // between two lists, at least
	Voters  int           // members whose word is kept
}

// DefaultGathererConfig is what a node uses.
func DefaultGathererConfig() GathererConfig {
	return GathererConfig{
		VoteFor: 5 * time.Minute, Voters: 256,
		First: 100 * time.Millisecond, Settle: 200 * time.Millisecond, Gap: time.Second,
	}
}

const (
	// votesPerVoter bounds the addresses of one family that one member's word stands for: the latest, and one more for a
	// node with two uplinks.
	votesPerVoter = 2

	// confirmations is how many members must see this node at an address, as soon as there are so many that any two agree.
	confirmations = 2

	// A member whose word changes more often than this is not heeded alone: words at once, and one more in each time.
	wordsAtOnce = 3
	wordEvery   = time.Minute

	// New lists: each is signed, and told to the whole network.
	listsAtOnce = 8
	listEvery   = 30 * time.Second

	maxConfigured    = 8 // of the list, by a person's word
	reflexiveReserve = 6 // of the list, kept free for reflexive addresses however many interfaces there are
)

// GathererInput is what a Gatherer is told.
type GathererInput interface{ gathererInput() }

// SetLocal replaces the endpoints on this node's own interfaces. Loopback and link-local ones are left out; addresses
// of the overlay itself must not be among them.
type SetLocal struct{ Addrs []netip.AddrPort }

// Configured replaces the endpoints that a person has named; they come first.
type Configured struct{ Addrs []netip.AddrPort }

// Observed is a member's word, from a sealed reply, that it sees this node at an address.
type Observed struct {
	By   wire.NodeID
	Addr netip.AddrPort
}

func (SetLocal) gathererInput()   {}
func (Configured) gathererInput() {}
func (Observed) gathererInput()   {}

// Changed is the new list of this node's endpoints, in order of preference, at most wire.MaxEndpoints.
type Changed struct{ Endpoints []netip.AddrPort }

func (Changed) output() {}

// Gatherer keeps the list of a node's own endpoints: what is configured, what its interfaces have, and the reflexive
// addresses that members see. Of each family those count that two members name. Where no two agree, what a single one
// names counts, so that a node with one peer gets through its NAT; then the newest word of every member comes before a
// second one of any, so that a liar displaces nobody, and who changes its word all the time is not heeded. It is a value of
// one goroutine.
type Gatherer struct {
	cfg        GathererConfig
	configured []netip.AddrPort
	local      []netip.AddrPort
	voters     map[wire.NodeID][]vote // newest first
	words      map[wire.NodeID]credit // for how many new ones of a voter are heeded though nobody else says so
	lists      credit

	published []netip.AddrPort
	ever      bool      // something was published
	last      time.Time // when
	publish   time.Time // when to publish next; zero while there is nothing new
	expire    time.Time // when a vote may lapse, at the earliest; zero if there is none
	out       []Output
}

type vote struct {
	addr   netip.AddrPort
	at     time.Time
	excess bool // one of too many words: it counts only if somebody else says the same
}

// NewGatherer makes a Gatherer that knows of nothing.
func NewGatherer(cfg GathererConfig) *Gatherer {
	return &Gatherer{cfg: cfg, voters: make(map[wire.NodeID][]vote), words: make(map[wire.NodeID]credit)}
}

// Step takes one input at the time now.
func (g *Gatherer) Step(now time.Time, in GathererInput) error {
	switch in := in.(type) {
	case SetLocal:
		g.local = firstUsable(in.Addrs, wire.MaxEndpoints)
	case Configured:
		g.configured = firstUsable(in.Addrs, maxConfigured)
	case Observed:
		if !g.observe(now, in) {
			return nil
		}
	case Tick:
		if !g.expire.IsZero() && !now.Before(g.expire) {
			g.lapse(now)
		}
	default:
		return fmt.Errorf("%w: %T", ErrInput, in)
	}
	g.consider(now)
	return nil
}

// NextDeadline is when Tick is due, if ever.
func (g *Gatherer) NextDeadline() (time.Time, bool) {
	switch {
	case g.publish.IsZero():
		return g.expire, !g.expire.IsZero()
	case g.expire.IsZero() || g.publish.Before(g.expire):
		return g.publish, true
	default:
		return g.expire, true
	}
}

// Drain appends what is to be done to dst, in order, and forgets it.
func (g *Gatherer) Drain(dst []Output) []Output {
	dst = append(dst, g.out...)
	clear(g.out)
	g.out = g.out[:0]
	return dst
}

// observe notes a member's word and reports whether it says anything new: most replies only repeat the last.
func (g *Gatherer) observe(now time.Time, in Observed) bool {
	addr := plain(in.Addr)
	if !usable(addr) {
		return false
	}
	votes, known := g.voters[in.By]
	if known && votes[0].addr == addr {
		votes[0].at = now
		if votes[0].excess && g.heeds(now, in.By) {
			votes[0].excess = false
			return true
		}
		return false
	}
	if !known && len(g.voters) >= g.cfg.Voters {
		g.dropOldestVoter()
	}
	votes = slices.DeleteFunc(votes, func(v vote) bool { return v.addr == addr })
	votes = slices.Insert(votes, 0, vote{addr: addr, at: now, excess: !g.heeds(now, in.By)})
	family := 0
	votes = slices.DeleteFunc(votes, func(v vote) bool {
		if v.addr.Addr().Is4() == addr.Addr().Is4() {
			family++
			return family > votesPerVoter
		}
		return false
	})
	g.voters[in.By] = votes
	if end := now.Add(g.cfg.VoteFor); g.expire.IsZero() || end.Before(g.expire) {
		g.expire = end
	}
	return true
}

// heeds reports whether a new word of a member is heeded even if nobody else says the same, and counts it.
func (g *Gatherer) heeds(now time.Time, by wire.NodeID) bool {
	c := g.words[by]
	within := c.take(now, 1/wordEvery.Seconds(), wordsAtOnce)
	g.words[by] = c
	return within
}

// dropOldestVoter forgets the member that was silent for longest.
func (g *Gatherer) dropOldestVoter() {
	var oldest wire.NodeID
	var at time.Time
	for id, votes := range g.voters {
		newest := votes[0].at
		if at.IsZero() || newest.Before(at) || newest.Equal(at) && id.Compare(oldest) < 0 {
			oldest, at = id, newest
		}
	}
	delete(g.voters, oldest)
	delete(g.words, oldest)
}

// lapse drops votes that are too old, and finds when the next one is.
func (g *Gatherer) lapse(now time.Time) {
	g.expire = time.Time{}
	for id, votes := range g.voters {
		votes = slices.DeleteFunc(votes, func(v vote) bool { return !now.Before(v.at.Add(g.cfg.VoteFor)) })
		if len(votes) == 0 {
			delete(g.voters, id)
			delete(g.words, id)
			continue
		}
		g.voters[id] = votes
		for _, v := range votes {
			if end := v.at.Add(g.cfg.VoteFor); g.expire.IsZero() || end.Before(g.expire) {
				g.expire = end
			}
		}
	}
}

// consider plans to publish the list if it has changed, and publishes it if that is due. The order alone is not worth a
// new record that all members have to learn.
func (g *Gatherer) consider(now time.Time) {
	list := g.list()
	if sameSet(list, g.published) {
		g.publish = time.Time{}
		return
	}
	if g.publish.IsZero() {
		g.publish = now.Add(g.cfg.First)
		if g.ever {
			g.publish = now.Add(g.cfg.Settle)
			if earliest := g.last.Add(g.cfg.Gap); g.publish.Before(earliest) {
				g.publish = earliest
			}
		}
	}
	if now.Before(g.publish) {
		return
	}
	if !g.lists.take(now, 1/listEvery.Seconds(), listsAtOnce) {
		g.publish = now.Add(listEvery)
		return
	}
	g.published, g.ever, g.last, g.publish = list, true, now, time.Time{}
	g.out = append(g.out, Changed{Endpoints: slices.Clone(list)})
}

// list is the endpoints in order of preference, as they should be now.
func (g *Gatherer) list() []netip.AddrPort {
	all := slices.Clone(g.configured)
	reflexive := g.reflexive()
	hosts := wire.MaxEndpoints - len(all) - min(len(reflexive), reflexiveReserve)
	all = append(all, g.local[:min(len(g.local), hosts)]...)
	return firstUsable(append(all, reflexive...), wire.MaxEndpoints)
}

// reflexive lists the addresses that members see, confirmed as far as may be, and that are on none of our interfaces, best
// first.
func (g *Gatherer) reflexive() []netip.AddrPort {
	type candidate struct {
		addr      netip.AddrPort
		voters    int
		rank      int // 0: some member's newest word in its family
		heeded    bool
		published int // 0: it is, so that equal ones do not take turns
	}
	found := make(map[netip.AddrPort]*candidate)
	for _, votes := range g.voters {
		rank := map[bool]int{}
		for _, v := range votes {
			is4 := v.addr.Addr().Is4()
			c := found[v.addr]
			if c == nil {
				c = &candidate{addr: v.addr, rank: rank[is4], published: 1}
				found[v.addr] = c
			}
			c.voters++
			c.rank = min(c.rank, rank[is4])
			c.heeded = c.heeded || !v.excess
			rank[is4]++
		}
	}
	confirmed := make(map[bool]bool) // by family: two members agree on something
	for addr, c := range found {
		confirmed[addr.Addr().Is4()] = confirmed[addr.Addr().Is4()] || c.voters >= confirmations
	}
	var list []*candidate
	for addr, c := range found {
		if c.voters < confirmations && (confirmed[addr.Addr().Is4()] || !c.heeded) {
			continue
		}
		if slices.Contains(g.local, addr) || slices.Contains(g.configured, addr) {
			continue
		}
		if slices.Contains(g.published, addr) {
			c.published = 0
		}
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b *candidate) int {
		return cmp.Or(cmp.Compare(b.voters, a.voters), cmp.Compare(a.rank, b.rank),
			cmp.Compare(a.published, b.published), a.addr.Compare(b.addr))
	})
	addrs := make([]netip.AddrPort, 0, len(list))
	for _, c := range list {
		addrs = append(addrs, c.addr)
	}
	return addrs
}

func sameSet(a, b []netip.AddrPort) bool {
	if len(a) != len(b) {
		return false
	}
	for _, ap := range a {
		if !slices.Contains(b, ap) {
			return false
		}
	}
	return true
}
