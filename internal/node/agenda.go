package node

import (
	"container/heap"
	"time"
)

// agenda is a priority queue of peers by the time at which each next needs attention.
type agenda struct{ items []*peer }

func (a *agenda) Len() int           { return len(a.items) }
func (a *agenda) Less(i, j int) bool { return a.items[i].before(a.items[j]) }
func (a *agenda) Swap(i, j int) {
	a.items[i], a.items[j] = a.items[j], a.items[i]
	a.items[i].place, a.items[j].place = i, j
}

// Push is for package heap.
func (a *agenda) Push(x any) {
	p := x.(*peer)
	p.place = len(a.items)
	a.items = append(a.items, p)
}

// Pop is for package heap.
func (a *agenda) Pop() any {
	last := a.items[len(a.items)-1]
	a.items[len(a.items)-1] = nil
	a.items = a.items[:len(a.items)-1]
	last.place = notInAgenda
	return last
}

const notInAgenda = -1

// set enters p at the time due, or moves it there.
func (a *agenda) set(p *peer, due time.Time) {
	p.due = due
	if p.place == notInAgenda {
		heap.Push(a, p)
		return
	}
	heap.Fix(a, p.place)
}

// remove takes p out; it may not be in.
func (a *agenda) remove(p *peer) {
	if p.place != notInAgenda {
		heap.Remove(a, p.place)
	}
}

// first is the peer that is due next, or nil.
func (a *agenda) first() *peer {
	if len(a.items) == 0 {
		return nil
	}
	return a.items[0]
}

// before orders by time, then by identifier, so that equal times do not depend on history.
func (p *peer) before(other *peer) bool {
	if !p.due.Equal(other.due) {
		return p.due.Before(other.due)
	}
	return p.id.Compare(other.id) < 0
}
