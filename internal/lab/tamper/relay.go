// Package tamper is what a hostile member does to packets beside its daemon, which is an honest one: it loses or holds up
// the data that it relays for others, and sends what it hears again to anybody.
package tamper

import (
	"time"

	"overlayd/internal/lab/emulator"
	"overlayd/internal/wire"
)

// maxRelayed is how many frames a Relay remembers: those that a daemon has received and may not have sent on yet.
const maxRelayed = 1 << 12

// transport is what tells one WireGuard transport message from all others: its type, the receiver's index and the counter.
type transport [16]byte

// Relay loses or holds up the data that a host relays for others, and passes probes and what the host itself sends: data
// is relayed if it leaves behind a label and has come behind another one.
type Relay struct {
	wait  time.Duration
	heard map[transport]bool
	order [maxRelayed]transport // in which they came, from next on
	next  int
	count int // packets that were lost or held up
}

// NewRelay is a Relay that holds up data for so long, or, with zero, loses it.
func NewRelay(wait time.Duration) *Relay {
	return &Relay{wait: wait, heard: make(map[transport]bool)}
}

// Hears takes note of a packet that the host receives.
func (r *Relay) Hears(b []byte) {
	t, ok := labeled(b)
	if !ok || r.heard[t] {
		return
	}
	delete(r.heard, r.order[r.next])
	r.order[r.next] = t
	r.heard[t] = true
	r.next = (r.next + 1) % maxRelayed
}

// Sends decides on a packet that the host sends.
func (r *Relay) Sends(b []byte) (lose bool, wait time.Duration) {
	if t, ok := labeled(b); !ok || !r.heard[t] {
		return false, 0
	}
	r.count++
	return r.wait == 0, r.wait
}

// Count is how many packets were lost or held up.
func (r *Relay) Count() int { return r.count }

// labeled is the transport message that an IP packet carries behind a label; false if it carries none.
func labeled(b []byte) (t transport, ok bool) {
	_, _, payload, ok := emulator.UDP(b)
	if !ok || wire.Classify(payload) != wire.ClassLabel {
		return t, false
	}
	frame := payload[wire.LabelHeaderLen:]
	if wire.Classify(frame) != wire.ClassWireGuard || wire.IsHandshake(frame) || len(frame) < len(t) {
		return t, false
	}
	return transport(frame[:len(t)]), true
}
