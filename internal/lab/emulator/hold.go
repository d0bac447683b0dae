package emulator

import (
	"time"

	"overlayd/internal/lab/wan"
)

// Egress decides what becomes of a packet that a site sends, before it leaves: it is lost, or waits. It runs on the
// emulator's thread and must not keep b.
type Egress func(b []byte) (lose bool, wait time.Duration)

// maxHeld bounds the packets that wait to leave their sites.
const maxHeld = 1 << 12

// held is a packet that waits.
type held struct {
	from wan.Site
	b    []byte
}

// SetEgress lets f decide on every packet that a site sends from now on; nil ends that.
func (e *Emulator) SetEgress(s wan.Site, f Egress) { e.call(func() { e.egress[s] = f }) }

// Inject sends an IP packet from a site after a wait, as if its host had sent it: no Egress decides on it, and every Tap
// sees it leave. It copies b, and reports false if too many packets wait or b is too large. Only a Tap or an Egress may call
// it, since those run on the emulator's thread.
func (e *Emulator) Inject(s wan.Site, b []byte, wait time.Duration) bool {
	if e.held.Len() >= maxHeld || len(b) > MTU {
		return false
	}
	e.hold(s, append(e.buffer()[:0], b...), wait)
	return true
}

// hold keeps a packet until it leaves its site.
func (e *Emulator) hold(s wan.Site, b []byte, wait time.Duration) {
	e.held.Push(e.now()+wait, held{s, b})
}

// release lets the packets leave that have waited long enough.
func (e *Emulator) release() {
	for due, some := e.held.Next(); some && due <= e.now(); due, some = e.held.Next() {
		next := e.held.Pop()
		e.depart(next.from, next.b)
	}
}

// send takes a packet from a site's host: it leaves, waits or is lost.
func (e *Emulator) send(from wan.Site, b []byte) {
	decide := e.egress[from]
	if decide == nil {
		e.depart(from, b)
		return
	}
	switch lose, wait := decide(b); {
	case lose || wait > 0 && e.held.Len() >= maxHeld:
		e.free = append(e.free, b[:cap(b)])
	case wait > 0:
		e.hold(from, b, wait)
	default:
		e.depart(from, b)
	}
}

// depart takes a packet that leaves its site into the network.
func (e *Emulator) depart(from wan.Site, b []byte) {
	e.sent[from] += uint64(len(b))
	for _, tap := range e.taps[from] {
		(*tap)(true, b)
	}
	to, ok := e.sites[destination(b)]
	if !ok {
		e.counts.NoAddress++
		e.free = append(e.free, b[:cap(b)])
		return
	}
	e.network.Send(e.now(), from, to, examine(b), b)
}

// nextDeadline is when there is something to do, on the emulator's clock; false if only a packet makes it so.
func (e *Emulator) nextDeadline() (due wan.Instant, some bool) {
	due, some = e.network.NextDeadline()
	if leaves, waits := e.held.Next(); waits && (!some || leaves < due) {
		return leaves, true
	}
	return due, some
}
