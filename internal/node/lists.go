package node

import (
	"cmp"
	"slices"
	"sort"
	"time"

	"overlayd/internal/wire"
)

// What neighbours tell each other of whom they reach is hearsay, like all that nominates: whoever lies in it is tried,
// measured, and not selected (D5).

// neighbor is a node that somebody reaches directly.
type neighbor struct {
	id   wire.NodeID
	rtt  time.Duration
	loss float32
}

// reached are the nodes that this one reaches directly, the nearest first.
func (c *Core) reached(now time.Time) []neighbor {
	list := make([]neighbor, 0, len(c.order))
	for _, id := range c.order {
		q := c.peers[id]
		if q.reachable() {
			_, m := q.bestDirect(now)
			list = append(list, neighbor{id: id, rtt: m.RTT, loss: float32(min(max(m.LossOut, m.LossIn), 1))})
		}
	}
	slices.SortStableFunc(list, func(a, b neighbor) int { return cmp.Compare(a.rtt, b.rtt) })
	return list
}

// trusted orders neighbours by how near they are for all that is known of them: those over which ways turned out to be
// longer than was told come later by that.
func (c *Core) trusted(list []neighbor) []neighbor {
	if len(c.hearsay) == 0 {
		return list
	}
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b neighbor) int {
		return cmp.Compare(a.rtt+c.hearsay[a.id].by, b.rtt+c.hearsay[b.id].by)
	})
	return list
}

// neighbors is the list that is told to others.
func (c *Core) neighbors(now time.Time) []wire.Neighbor {
	reached := c.reached(now)
	list := make([]wire.Neighbor, 0, wire.MaxNeighbors)
	for _, n := range reached[:min(len(reached), wire.MaxNeighbors)] {
		list = append(list, wire.Neighbor{ID: n.id.Prefix(), RTT: n.rtt, Loss: uint8(255 * n.loss)})
	}
	return list
}

// resolve finds the members that a list names. Others are left out.
func (c *Core) resolve(list []wire.Neighbor) []neighbor {
	ids := c.members.IDs()
	found := make([]neighbor, 0, len(list))
	for _, n := range list {
		at, ok := sort.Find(len(ids), func(i int) int {
			prefix := ids[i].Prefix()
			return slices.Compare(n.ID[:], prefix[:])
		})
		if ok && ids[at] != c.self && !c.known[ids[at]].IsZero() {
			found = append(found, neighbor{id: ids[at], rtt: n.RTT, loss: float32(n.Loss) / 255})
		}
	}
	return found
}

// theirNeighbors takes a peer's list, and answers with ours if that was asked for.
func (c *Core) theirNeighbors(now time.Time, p *peer, m wire.Neighbors) {
	if len(m.List) > 0 && !p.relays.lists.take(now) {
		c.refused.count(errFlood)
		return
	}
	if len(m.List) > 0 {
		p.relays.theirs, p.relays.theirsAt = c.resolve(m.List), now
	}
	if m.Want && now.Sub(p.relays.told) >= listEvery {
		p.relays.told = now
		list := wire.Neighbors{List: c.neighbors(now)}
		c.say(now, p, wire.KindNeighbors, list.Append(nil))
	}
	if len(m.List) > 0 && p.use.level == active {
		c.openWanted(now, p)
	}
}

// listsASecond and listsAtOnce bound the lists that are taken from one peer. An honest one sends two a second at most.
const listsASecond, listsAtOnce = 4, 16

// listEvery bounds how often one peer is answered with the list, which is longer than the question.
const listEvery = searchEvery

// wish asks neighbours for their lists, as far as those that are known are old: the nearest first, a few at a time.
func (c *Core) wish(now time.Time, reached []neighbor, most int, older time.Duration) {
	for _, n := range reached {
		q := c.peers[n.id]
		if now.Sub(q.relays.theirsAt) < older || now.Sub(q.relays.wished) < wishAgain {
			continue
		}
		if most == 0 || !c.explorer.wishes.take(now) {
			return
		}
		most--
		q.relays.wished = now
		want := wire.Neighbors{Want: true}
		c.sayDirect(q, wire.KindNeighbors, want.Append(nil))
	}
}

// wishAgain is when a neighbour that has not answered with its list is asked again.
const wishAgain = 20 * time.Second
