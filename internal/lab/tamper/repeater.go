package tamper

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"overlayd/internal/lab/emulator"
	"overlayd/internal/wire"
)

const (
	replayWithin = 10 * time.Second // after a frame was heard it is sent again
	replayOneIn  = 4                // frames that are heard
	forgeries    = 10               // of a frame
	maxForged    = 4                // bytes that are changed in one

	maxKnown  = 32  // to whom a host sends
	perSecond = 200 // packets that are sent again, and as many at once
)

// Repeater sends what a host hears again to others, from the host's own address and port: one frame in four as it is, within
// ten seconds, or each control frame ten times at once with bytes changed; 200 packets a second at most.
type Repeater struct {
	forges bool
	random *rand.Rand
	inject func(b []byte, wait time.Duration) bool
	known  []route // to whom the host has sent lately, the latest last
	tokens float64
	filled time.Time
	packet []byte
	count  int
}

// route is how a host sends to another one.
type route struct{ from, to netip.AddrPort }

// NewRepeater is a Repeater that replays, or forges, and sends by inject, which copies a packet and reports whether it
// takes it.
func NewRepeater(forges bool, random *rand.Rand, inject func(b []byte, wait time.Duration) bool) *Repeater {
	return &Repeater{forges: forges, random: random, inject: inject}
}

// Sends takes note of a packet that the host sends.
func (r *Repeater) Sends(b []byte) {
	from, to, _, ok := emulator.UDP(b)
	if !ok {
		return
	}
	if at := slices.IndexFunc(r.known, func(k route) bool { return k.to == to }); at >= 0 {
		r.known = slices.Delete(r.known, at, at+1)
	} else if len(r.known) == maxKnown {
		r.known = slices.Delete(r.known, 0, 1)
	}
	r.known = append(r.known, route{from, to})
}

// Hears takes a packet that the host receives, and may send it again.
func (r *Repeater) Hears(now time.Time, b []byte) {
	_, _, payload, ok := emulator.UDP(b)
	switch {
	case !ok || len(r.known) == 0:
	case !r.forges:
		if r.random.IntN(replayOneIn) == 0 {
			r.resend(now, payload, time.Duration(r.random.Int64N(int64(replayWithin))))
		}
	case wire.Classify(payload) == wire.ClassControl:
		for range forgeries {
			r.resend(now, r.forged(payload), 0)
		}
	}
}

// resend sends a payload to one of those to whom the host has sent.
func (r *Repeater) resend(now time.Time, payload []byte, wait time.Duration) {
	r.tokens = min(perSecond, r.tokens+now.Sub(r.filled).Seconds()*perSecond)
	r.filled = now
	if r.tokens < 1 {
		return
	}
	r.tokens--
	way := r.known[r.random.IntN(len(r.known))]
	r.packet = emulator.AppendUDP(r.packet[:0], way.from, way.to, payload)
	if r.inject(r.packet, wait) {
		r.count++
	}
}

// forged is a copy of a control frame with some bytes changed behind the first, which tells its kind.
func (r *Repeater) forged(frame []byte) []byte {
	frame = slices.Clone(frame)
	for range 1 + r.random.IntN(maxForged) {
		frame[1+r.random.IntN(len(frame)-1)] ^= byte(1 + r.random.IntN(255))
	}
	return frame
}

// Count is how many packets were sent again.
func (r *Repeater) Count() int { return r.count }
