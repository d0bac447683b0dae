// Package agenda keeps what is to happen in a simulation by the time at which it does.
package agenda

import "time"

// Agenda is a queue of things by the virtual time at which they are due. Of two at one time the one entered first comes
// first. The zero value is empty. (Package container/heap would allocate for each of the millions.)
type Agenda[T any] struct {
	items []item[T] // a binary heap: items[0] is the next
	made  uint64
}

type item[T any] struct {
	due   time.Duration // since the start
	order uint64
	what  T
}

func (i *item[T]) before(other *item[T]) bool {
	return i.due < other.due || i.due == other.due && i.order < other.order
}

// Len is how many things there are.
func (a *Agenda[T]) Len() int { return len(a.items) }

// Next is when the next thing is due; false if there is none.
func (a *Agenda[T]) Next() (due time.Duration, some bool) {
	if len(a.items) == 0 {
		return 0, false
	}
	return a.items[0].due, true
}

// Push enters a thing.
func (a *Agenda[T]) Push(due time.Duration, what T) {
	a.made++
	a.items = append(a.items, item[T]{due: due, order: a.made, what: what})
	for i := len(a.items) - 1; i > 0; {
		parent := (i - 1) / 2
		if !a.items[i].before(&a.items[parent]) {
			break
		}
		a.items[i], a.items[parent] = a.items[parent], a.items[i]
		i = parent
	}
}

// Pop takes out what is due next. There must be something.
func (a *Agenda[T]) Pop() T {
	top := a.items[0]
	end := len(a.items) - 1
	a.items[0] = a.items[end]
	a.items[end] = item[T]{}
	a.items = a.items[:end]
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < end; child++ {
			if a.items[child].before(&a.items[least]) {
				least = child
			}
		}
		if least == i {
			return top.what
		}
		a.items[i], a.items[least] = a.items[least], a.items[i]
		i = least
	}
}
