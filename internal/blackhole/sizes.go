package blackhole

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"overlayd/internal/wire"
)

const (
	leastSize = 600 // bytes: below it every path carries everything

	testSends = 4 // test frames of one test
	testGap   = 40 * time.Millisecond
	testWait  = 200 * time.Millisecond // for an answer, beyond the round trip

	// Between two tests of a path: after one that was answered, doubled while nothing else is found, and after one that was
	// not, doubled likewise. So losses that have nothing to do with size cost at most 6 KB a minute.
	testAgain     = 2 * time.Second
	testAgainMost = time.Minute
	refusedAgain  = 10 * time.Second
	refusedMost   = 5 * time.Minute
	needFor       = time.Minute // how long at least the largest packet is remembered
	lossWithin    = time.Second // how recent the loss must be that a test is begun for
)

// SizeSample is what is known of a path at a moment.
type SizeSample struct {
	Path     wire.PathID
	Up       bool
	Carries  bool          // data is sent on it, or copies are
	Missing  bool          // the latest data has not arrived
	Heavy    bool          // much of it does not, or somebody is about to be blamed for what does not
	LastLoss time.Time     // when data was last noticed to be lost; zero: never
	Answered time.Time     // when the latest probe was sent that was answered
	Patience time.Duration // how long an answer takes at most
}

// SizeTest is a frame to be sent: padded to Size bytes of UDP payload, the label of a relayed path not counted. The peer
// answers with the token.
type SizeTest struct {
	Path  wire.PathID
	Size  int
	Token uint64
}

// Sizes finds out which paths to a peer do not carry packets as large as those that are sent to it. A path that loses data is
// tested with frames of the size of the largest data packet of the last minute or two, up to 4 of them 40 ms apart; if none is
// answered while ordinary probes are, the path is too small for what is sent. It is then tested again after 10, 20, 40 … 300 s,
// and other paths are tested before they take over. It is a pure state machine.
type Sizes struct {
	paths  []*sizePath // by identifier
	need   [2]int      // the largest message, of this minute or so and of the one before
	turned time.Time
	token  func() uint64
	out    []SizeTest
}

type sizePath struct {
	id      wire.PathID
	passed  int       // the largest size that was answered for
	at      time.Time // when a test of it began
	refused int       // the smallest that was not; zero: none
	since   time.Time
	test    sizeTest
	due     time.Time // no test begins earlier
	again   time.Duration
	tested  time.Time // when the latest test began
}

type sizeTest struct {
	size  int // zero: none runs
	token uint64
	sent  int
	began time.Time
	next  time.Time
}

// NewSizes has no paths. Tokens are unpredictable in production: who answers a test must have received it.
func NewSizes(token func() uint64) *Sizes { return &Sizes{token: token} }

// Largest notes the size of the largest message to the peer since the last call, in bytes; zero if there was none.
func (s *Sizes) Largest(now time.Time, size int) {
	if now.Sub(s.turned) >= needFor {
		s.need[1], s.need[0], s.turned = s.need[0], 0, now
	}
	s.need[0] = max(s.need[0], size)
}

// Need is the size that paths to the peer must carry.
func (s *Sizes) Need() int { return max(s.need[0], s.need[1]) }

// Observe takes samples of all paths to the peer, and begins, goes on with and ends tests. Paths that are not among them are
// forgotten.
func (s *Sizes) Observe(now time.Time, samples []SizeSample) {
	list := make([]*sizePath, 0, len(samples))
	for i := range samples {
		p := s.find(samples[i].Path)
		if p == nil {
			p = &sizePath{id: samples[i].Path}
		}
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b *sizePath) int { return cmp.Compare(a.id, b.id) })
	s.paths = list
	for i := range samples {
		s.observe(now, s.find(samples[i].Path), &samples[i])
	}
}

func (s *Sizes) observe(now time.Time, p *sizePath, in *SizeSample) {
	t := &p.test
	if t.size == 0 && s.wants(now, p, in) {
		*t = sizeTest{size: s.Need(), token: s.token(), began: now, next: now}
		p.tested = now
	}
	switch {
	case t.size == 0:
	case !in.Up:
		*t = sizeTest{}
		p.due = now.Add(testAgain)
	case t.sent < testSends:
		if !now.Before(t.next) {
			s.out = append(s.out, SizeTest{Path: p.id, Size: t.size, Token: t.token})
			t.sent++
			t.next = now.Add(testGap)
		}
	case now.Sub(t.next) >= in.Patience+testWait:
		s.unanswered(now, p, in)
	}
}

// wants reports whether a path should be tested now.
func (s *Sizes) wants(now time.Time, p *sizePath, in *SizeSample) bool {
	need := s.Need()
	if !in.Up || need < leastSize || p.refused > 0 && now.Before(p.due) {
		return false
	}
	switch {
	case in.Heavy && now.Sub(p.tested) >= testAgain:
		return true
	case now.Before(p.due):
		return false
	case p.refused > 0:
		return true // again
	case in.Carries && (in.Missing || in.LastLoss.After(p.tested) && now.Sub(in.LastLoss) < lossWithin):
		return true
	default:
		return s.Limited() && p.passed < need
	}
}

// unanswered ends a test without an answer. It proves nothing if ordinary probes were not answered either.
func (s *Sizes) unanswered(now time.Time, p *sizePath, in *SizeSample) {
	if in.Answered.Before(p.test.began) {
		p.test, p.due = sizeTest{}, now.Add(testAgain)
		return
	}
	if p.refused == 0 {
		p.since, p.again = now, refusedAgain
	} else {
		p.again = min(2*p.again, refusedMost)
	}
	if p.refused == 0 || p.test.size < p.refused {
		p.refused = p.test.size
	}
	p.passed = min(p.passed, p.refused-1)
	p.test, p.due = sizeTest{}, now.Add(p.again)
}

// Answered takes the answer to a test, on whatever path it came.
func (s *Sizes) Answered(now time.Time, token uint64) {
	for _, p := range s.paths {
		t := &p.test
		if t.size == 0 || t.token != token {
			continue
		}
		p.passed, p.at = max(p.passed, t.size), t.began
		if p.refused > 0 && p.passed >= p.refused {
			p.refused, p.again = 0, 0
		}
		p.again = min(max(2*p.again, testAgain), testAgainMost)
		p.test, p.due = sizeTest{}, now.Add(p.again)
	}
}

// TooSmall reports whether a path does not carry what is sent to the peer, in words; empty if nothing speaks against it.
func (s *Sizes) TooSmall(id wire.PathID) string {
	p := s.find(id)
	if p == nil || p.refused == 0 || s.Need() < p.refused {
		return ""
	}
	return fmt.Sprintf("it passes no packets of %d bytes, and such are sent", p.refused)
}

// Passes reports whether a path has been seen to carry the largest packets that are sent to the peer, or these are so small
// that every path does.
func (s *Sizes) Passes(id wire.PathID) bool {
	need := s.Need()
	p := s.find(id)
	return need < leastSize || p != nil && p.refused == 0 && p.passed >= need
}

// PassedSince reports whether a path has been seen since a time to carry the largest packets that are sent to the peer, or
// these are so small that every path does.
func (s *Sizes) PassedSince(id wire.PathID, since time.Time) bool {
	return s.Need() < leastSize || s.Passes(id) && s.find(id).at.After(since)
}

// Limited reports whether a path to the peer is too small for what is sent to it.
func (s *Sizes) Limited() bool {
	return slices.ContainsFunc(s.paths, func(p *sizePath) bool { return s.TooSmall(p.id) != "" })
}

// NextDeadline is when Observe is due for a test that runs, if one does.
func (s *Sizes) NextDeadline() (at time.Time, some bool) {
	for _, p := range s.paths {
		t := &p.test
		if t.size == 0 {
			continue
		}
		due := t.next
		if t.sent == testSends {
			due = due.Add(testWait)
		}
		if !some || due.Before(at) {
			at, some = due, true
		}
	}
	return at, some
}

// Drain appends the tests to send to dst and forgets them.
func (s *Sizes) Drain(dst []SizeTest) []SizeTest {
	dst = append(dst, s.out...)
	s.out = s.out[:0]
	return dst
}

func (s *Sizes) find(id wire.PathID) *sizePath {
	i, found := slices.BinarySearchFunc(s.paths, id, func(p *sizePath, id wire.PathID) int { return cmp.Compare(p.id, id) })
	if !found {
		return nil
	}
	return s.paths[i]
}
