package circuit

import (
	"cmp"
	"slices"
	"time"

	"overlayd/internal/wire"
)

// side is one neighbour of this node on a circuit.
type side struct {
	node wire.NodeID // zero if the circuit ends here on this side
	in   wire.Label  // on frames from node: drawn here
	out  wire.Label  // on frames to node: drawn there; zero while it is not known
}

// circuit is what this node knows of one circuit.
type circuit struct {
	id     wire.CircuitID
	opener wire.NodeID
	route  []wire.NodeID // relays, then the far end
	back   side          // toward the opener; no node at the opener
	forth  side          // toward the far end; no node at the far end
	up     bool

	began    time.Time
	used     time.Time
	resend   time.Time // of the opener's next Open; zero when there is none
	resends  int       // left
	deadline time.Time // position in the agenda; may be earlier than anything is due, never later
	index    int       // in the agenda
}

func (c *circuit) openedHere() bool { return c.back.node.IsZero() }
func (c *circuit) endsHere() bool   { return c.forth.node.IsZero() }
func (c *circuit) relayed() bool    { return !c.openedHere() && !c.endsHere() }

// peer is the other end, seen from an end.
func (c *circuit) peer() wire.NodeID {
	if c.openedHere() {
		return c.route[len(c.route)-1]
	}
	return c.opener
}

// via lists the relays in order from this end.
func (c *circuit) via() []wire.NodeID {
	relays := slices.Clone(c.route[:len(c.route)-1])
	if !c.openedHere() {
		slices.Reverse(relays)
	}
	return relays
}

// sides are the neighbours on the circuit, one at an end.
func (c *circuit) sides() []*side {
	switch {
	case c.openedHere():
		return []*side{&c.forth}
	case c.endsHere():
		return []*side{&c.back}
	default:
		return []*side{&c.back, &c.forth}
	}
}

// nextTo is the side of a neighbour; nil if the node is not next to us on the circuit.
func (c *circuit) nextTo(id wire.NodeID) *side {
	for _, s := range c.sides() {
		if s.node == id {
			return s
		}
	}
	return nil
}

// due is when the circuit next needs attention.
func (c *circuit) due(cfg *Config) time.Time {
	switch {
	case c.up:
		return c.used.Add(cfg.Idle)
	case !c.resend.IsZero() && c.resend.Before(c.began.Add(cfg.Pending)):
		return c.resend
	default:
		return c.began.Add(cfg.Pending)
	}
}

// agenda is a heap of circuits by deadline, then identifier, for container/heap. Use moves a deadline later without
// touching the heap; what comes up too early is put back.
type agenda []*circuit

func (a agenda) Len() int { return len(a) }

func (a agenda) Less(i, j int) bool {
	return cmp.Or(a[i].deadline.Compare(a[j].deadline), cmp.Compare(a[i].id, a[j].id)) < 0
}

func (a agenda) Swap(i, j int) {
	a[i], a[j] = a[j], a[i]
	a[i].index, a[j].index = i, j
}

// Push implements heap.Interface.
func (a *agenda) Push(x any) {
	c := x.(*circuit)
	c.index = len(*a)
	*a = append(*a, c)
}

// Pop implements heap.Interface.
func (a *agenda) Pop() any {
	old := *a
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*a = old[:len(old)-1]
	return last
}

// grave remembers a circuit that has ended, for as long as its frames may still be under way: a late copy of an Open
// must not revive it, and its labels are not drawn again.
type grave struct {
	id     wire.CircuitID
	until  time.Time
	back   wire.NodeID
	reason wire.Reason // zero: it was closed
	by     wire.NodeID
	labels [2]wire.Label
}

const (
	graveFor  = 30 * time.Second // far longer than an Open is repeated or a datagram lives
	maxGraves = 4096
)

// graveyard is a bounded queue of graves, in order of their ends.
type graveyard struct {
	queue []grave
	byID  map[wire.CircuitID]grave
}

func (g *graveyard) bury(v grave) {
	g.queue = append(g.queue, v)
	g.byID[v.id] = v
}

// expire forgets what is old or beyond the bound and hands the freed labels to free.
func (g *graveyard) expire(now time.Time, free func(wire.Label)) {
	n := 0
	for n < len(g.queue) && (len(g.queue)-n > maxGraves || !now.Before(g.queue[n].until)) {
		v := g.queue[n]
		delete(g.byID, v.id)
		for _, l := range v.labels {
			if l != 0 {
				free(l)
			}
		}
		n++
	}
	if n > 0 {
		g.queue = slices.Delete(g.queue, 0, n)
	}
}

// limiter allows each neighbour a number of answers to unknown labels (the generic cell rate algorithm).
type limiter struct {
	allowances map[wire.NodeID]allowance
}

type allowance struct {
	full   time.Time // when the bucket is full again
	label  wire.Label
	before time.Time // the last label is not answered again before this
}

const (
	errorInterval = 10 * time.Millisecond // one more answer to a neighbour in this time
	errorBurst    = 64                    // answers to a neighbour at once: a restarted relay had many circuits
	errorRepeat   = 100 * time.Millisecond
	maxAllowances = 1024
)

// allow reports whether an unknown label of a neighbour may be answered now.
func (l *limiter) allow(now time.Time, from wire.NodeID, label wire.Label) bool {
	a, known := l.allowances[from]
	if !known && len(l.allowances) >= maxAllowances {
		for id, other := range l.allowances {
			if !other.full.After(now) && !other.before.After(now) {
				delete(l.allowances, id)
			}
		}
		if len(l.allowances) >= maxAllowances {
			return false
		}
	}
	if a.label == label && now.Before(a.before) {
		return false
	}
	if a.full.Before(now) {
		a.full = now
	}
	if a.full.Add(errorInterval).After(now.Add(errorBurst * errorInterval)) {
		return false
	}
	a.full, a.label, a.before = a.full.Add(errorInterval), label, now.Add(errorRepeat)
	l.allowances[from] = a
	return true
}
