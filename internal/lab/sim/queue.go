package sim

import "time"

// event is something to do at a virtual time. Of two at one time the one that was planned first comes first.
type event struct {
	at    time.Duration // since the start
	order uint64
	do    func()
}

func (e *event) before(other *event) bool {
	return e.at < other.at || (e.at == other.at && e.order < other.order)
}

// queue is a binary heap of events: package heap would allocate for each of the millions.
type queue struct{ events []event }

func (q *queue) push(e event) {
	q.events = append(q.events, e)
	for i := len(q.events) - 1; i > 0; {
		parent := (i - 1) / 2
		if !q.events[i].before(&q.events[parent]) {
			return
		}
		q.events[i], q.events[parent] = q.events[parent], q.events[i]
		i = parent
	}
}

// first is the next event; nil if there is none.
func (q *queue) first() *event {
	if len(q.events) == 0 {
		return nil
	}
	return &q.events[0]
}

func (q *queue) pop() event {
	e := q.events[0]
	last := len(q.events) - 1
	q.events[0] = q.events[last]
	q.events[last] = event{}
	q.events = q.events[:last]
	for i := 0; ; {
		least := i
		for _, child := range [...]int{2*i + 1, 2*i + 2} {
			if child < last && q.events[child].before(&q.events[least]) {
				least = child
			}
		}
		if least == i {
			return e
		}
		q.events[i], q.events[least] = q.events[least], q.events[i]
		i = least
	}
}
