package nat

import (
	"net/netip"
	"time"
)

const (
	// STUN answers a second and at once: to one source, an IPv4 address or an IPv6 network of 64 bits, and to all.
	sourceAnswers, sourceAnswersAtOnce = 1, 4
	totalAnswers, totalAnswersAtOnce   = 20, 40

	maxSources = 256 // whose answers are counted
)

// Answerer answers STUN requests of anybody, as any server does, and few of them: source addresses can be forged. It is a
// value of one goroutine.
type Answerer struct {
	total   credit
	sources map[netip.Prefix]credit
}

// NewAnswerer makes an Answerer that has answered nobody.
func NewAnswerer() *Answerer { return &Answerer{sources: make(map[netip.Prefix]credit)} }

// Answer is AnswerSTUN as far as that is not too much.
func (a *Answerer) Answer(now time.Time, dst, request []byte, from netip.AddrPort) ([]byte, bool) {
	answer, ok := AnswerSTUN(dst, request, from)
	if !ok || !a.affords(now, from.Addr().Unmap()) {
		return dst, false
	}
	return answer, true
}

// affords draws from the allowance of a source and from that of all.
func (a *Answerer) affords(now time.Time, from netip.Addr) bool {
	bits := from.BitLen()
	if from.Is6() {
		bits = 64
	}
	source := netip.PrefixFrom(from.WithZone(""), bits).Masked()
	c, known := a.sources[source]
	if !known && len(a.sources) >= maxSources && !a.makeRoom(now) {
		return false
	}
	within := c.take(now, sourceAnswers, sourceAnswersAtOnce)
	a.sources[source] = c
	return within && a.total.take(now, totalAnswers, totalAnswersAtOnce)
}

// makeRoom forgets the sources whose allowance is whole again.
func (a *Answerer) makeRoom(now time.Time) bool {
	for source, c := range a.sources {
		if now.Sub(c.at).Seconds()*sourceAnswers >= sourceAnswersAtOnce {
			delete(a.sources, source)
		}
	}
	return len(a.sources) < maxSources
}
