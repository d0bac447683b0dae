package blackhole

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"overlayd/internal/wire"
	"overlayd/probe"
)

// Finding is what is known of the data on a path.
type Finding uint8

// The findings, from the best to the worst. The package comment draws them.
const (
	Clear    Finding = iota
	Doubtful         // the latest data has not arrived, or none ever has: copies belong on another path
	Unproven         // data is missing on another path to the peer, and none has been seen to arrive on this one since
	Blocked          // data does not arrive
)

const (
	missingPackets = 3           // without any arrival, and
	missingFor     = time.Second // for so long, block a path
	missingGroups  = 2           // sent in so many intervals between probes: a single burst may be lost by chance

	doubtfulPackets = 2 // missing on one path make others show that they pass data

	provingPackets = 5  // that arrive in a trial clear a path that passed nothing,
	partialPackets = 60 // and one that lost a part of the data
	trialFor       = 20 * time.Second
	partialFor     = time.Minute

	firstTrial   = 5 * time.Second // after a path was blocked; doubled by each trial that fails
	longestTrial = 10 * time.Minute
	forgivenFor  = time.Hour // a path that was clear for so long begins with firstTrial again
	retryAfter   = 10 * time.Second
)

// Sample is what is known of a path at a moment.
type Sample struct {
	Path    wire.PathID
	Up      bool // it answers probes
	Passage probe.Passage
	Partial string    // the evidence that it drops a part of the data, in words; empty if there is none
	Since   time.Time // it must show that it passes data after this time; zero: it need not
	Why     string    // it must
}

// Tracker is a pure state machine for the paths to one peer. Times must not run backwards.
type Tracker struct {
	paths []*path   // by identifier
	fault time.Time // since when one or more paths are blocked, with what was missing before; zero: none is
	doubt time.Time // since when data is missing on a path that is not blocked yet; zero: on none
	trial wire.PathID
}

type path struct {
	id      wire.PathID
	up      bool
	last    probe.Passage
	since   time.Time // it must show that it passes data since,
	because string    // for this reason
	arrived time.Time // when data was last seen to arrive

	blocked time.Time // since when; zero: it is not
	why     string
	partial bool // only a part of the data is dropped
	failed  int  // trials and blocks, since it was last clear for long
	cleared time.Time
	due     time.Time // of the next trial

	began time.Time // the present trial; zero: none
	from  probe.Passage
}

// Observe takes samples of all paths to the peer. Paths that are not among them are forgotten.
func (t *Tracker) Observe(now time.Time, samples []Sample) {
	list := make([]*path, 0, len(samples))
	for i := range samples {
		s := &samples[i]
		p := t.find(s.Path)
		if p == nil {
			p = &path{id: s.Path, last: s.Passage, due: now}
		}
		t.observe(now, p, s)
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b *path) int { return cmp.Compare(a.id, b.id) })
	t.paths = list
	if !slices.ContainsFunc(list, func(p *path) bool { return !p.blocked.IsZero() }) {
		t.fault = time.Time{}
	}
	t.doubt = time.Time{}
	for _, p := range list {
		if since := now.Add(-p.last.MissingFor); p.last.Missing >= doubtfulPackets && p.blocked.IsZero() &&
			(t.doubt.IsZero() || since.Before(t.doubt)) {
			t.doubt = since
		}
	}
	if p := t.find(t.trial); p == nil || p.began.IsZero() {
		t.trial = 0
	}
}

func (t *Tracker) observe(now time.Time, p *path, s *Sample) {
	if s.Passage.Arrived > p.last.Arrived {
		p.arrived = now
	}
	p.up, p.last, p.since, p.because = s.Up, s.Passage, s.Since, s.Why
	t.reviewTrial(now, p)
	if !p.blocked.IsZero() {
		return
	}
	m := &s.Passage
	switch {
	case m.Missing >= mostByChance(m.ProbeLoss) && m.Groups >= missingGroups && m.MissingFor >= missingFor:
		t.block(now, p, m.MissingFor, fmt.Sprintf("none of %d data packets sent for %v arrived, while probes did",
			m.Missing, m.MissingFor.Round(100*time.Millisecond)))
		p.partial = false
	case s.Partial != "":
		t.block(now, p, 0, s.Partial)
		p.partial = true
	}
}

// mostByChance is how many packets in a row must be missing that it is no chance where a part of all is lost: one time in
// a hundred thousand, and no less than three.
func mostByChance(loss float64) int {
	if loss <= 0 {
		return missingPackets
	}
	n := math.Log(1e-5) / math.Log(min(loss, 0.5))
	return max(missingPackets, int(math.Ceil(n-1e-9)))
}

func (t *Tracker) block(now time.Time, p *path, since time.Duration, why string) {
	if !p.cleared.IsZero() && now.Sub(p.cleared) > forgivenFor {
		p.failed = 0
	}
	p.blocked, p.why, p.began = now, why, time.Time{}
	p.due = now.Add(backoff(p.failed))
	p.failed++
	if t.fault.IsZero() {
		t.fault = now.Add(-since)
	}
}

// backoff is how long a path waits for its next trial after so many that failed.
func backoff(failed int) time.Duration {
	return min(firstTrial<<min(max(failed, 0), 10), longestTrial)
}

// reviewTrial ends the trial of a path that has shown what it does, or had the time to.
func (t *Tracker) reviewTrial(now time.Time, p *path) {
	if p.began.IsZero() {
		return
	}
	arrived := p.last.Arrived - p.from.Arrived
	lost := int64(p.last.Settled-p.from.Settled) - int64(arrived)
	enough, atMost := uint64(provingPackets), trialFor
	if p.partial {
		enough, atMost = partialPackets, partialFor
	}
	switch {
	case arrived >= enough && lost <= 1:
		p.began, p.blocked, p.why, p.partial = time.Time{}, time.Time{}, "", false
		p.cleared = now
	case lost >= missingPackets && (arrived == 0 || lost > int64(arrived/20)):
		p.began = time.Time{}
		p.due = now.Add(backoff(p.failed))
		p.failed++
	case now.Sub(p.began) >= atMost || !p.up:
		p.began = time.Time{}
		p.due = now.Add(max(retryAfter, backoff(p.failed-1)))
	}
}

// Finding is what is known of a path, and of a blocked one why it is.
func (t *Tracker) Finding(id wire.PathID) (f Finding, why string) {
	p := t.find(id)
	switch {
	case p == nil:
		return Clear, ""
	case !p.blocked.IsZero():
		return Blocked, p.why
	case !t.fault.IsZero() && (p.arrived.Before(t.fault) || !p.began.IsZero()):
		return Unproven, "no data has been seen to arrive on it since another path to this peer began to drop data"
	case p.arrived.Before(p.since):
		return Unproven, p.because
	case p.last.Missing > 0:
		return Doubtful, ""
	case p.arrived.Before(t.doubt):
		return Unproven, "no data has been seen to arrive on it since data is missing on another path to this peer"
	case p.last.Arrived == 0:
		return Doubtful, ""
	default:
		return Clear, ""
	}
}

// Trial is the path that should carry copies of data now, so that it shows what it does with them; zero if none should. Only
// paths that may are begun with.
func (t *Tracker) Trial(now time.Time, may func(wire.PathID) bool) wire.PathID {
	if t.trial != 0 {
		return t.trial
	}
	var next *path
	for _, p := range t.paths {
		f, _ := t.Finding(p.id)
		if f < Unproven || !p.up || p.due.After(now) || !may(p.id) {
			continue
		}
		if next == nil || f == Unproven && !next.blocked.IsZero() {
			next = p
		}
	}
	if next == nil {
		return 0
	}
	next.began, next.from = now, next.last
	t.trial = next.id
	return next.id
}

func (t *Tracker) find(id wire.PathID) *path {
	i, found := slices.BinarySearchFunc(t.paths, id, func(p *path, id wire.PathID) int { return cmp.Compare(p.id, id) })
	if !found {
		return nil
	}
	return t.paths[i]
}
