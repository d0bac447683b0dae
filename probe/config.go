package probe

import "time"

// Config tunes a Prober. A zero field takes its default.
type Config struct {
	Idle     time.Duration // interval of probes at rate Idle: 25 s, below the 30 s that short NAT mappings last
	Recent   time.Duration // at rate Recent: 1 s
	Standby  time.Duration // at rate Standby: 250 ms
	Selected time.Duration // at rate Selected: 100 ms
	Quick    time.Duration // between quick probes: 25 ms

	// Floor is the least that an answer may be later than the smoothed turnaround on a path at rate Standby or
	// Selected: 15 ms. Slower rates know less, and wait longer.
	Floor time.Duration

	// DeadProbes is how many probes in a row must be overdue before a path is dead: 4.
	DeadProbes int

	// DeadSilence is how much longer than the first overdue answer nothing must have arrived, by the peer's own
	// word, before a path without data is dead: 200 ms, a full queue of common size.
	DeadSilence time.Duration

	// Isolated is the same where no word of the peer arrives at all: 1 s.
	Isolated time.Duration
}

func (c Config) withDefaults() Config {
	set := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	set(&c.Idle, 25*time.Second)
	set(&c.Recent, time.Second)
	set(&c.Standby, 250*time.Millisecond)
	set(&c.Selected, 100*time.Millisecond)
	set(&c.Quick, 25*time.Millisecond)
	set(&c.Floor, 15*time.Millisecond)
	set(&c.DeadSilence, 200*time.Millisecond)
	set(&c.Isolated, time.Second)
	if c.DeadProbes <= 0 {
		c.DeadProbes = 4
	}
	return c
}

// interval is the time between probes at a rate.
func (c *Config) interval(r Rate) time.Duration {
	switch r {
	case Selected:
		return c.Selected
	case Standby:
		return c.Standby
	case Recent:
		return c.Recent
	case Idle:
		return c.Idle
	default:
		return quietIdles * c.Idle
	}
}

// quick is the time between probes that are to settle a doubt: where nothing is in use there is no hurry.
func (c *Config) quick(r Rate) time.Duration {
	switch r {
	case Selected, Standby:
		return c.Quick
	case Recent:
		return 4 * c.Quick
	default:
		return 10 * c.Quick
	}
}

// floor is the least margin of an overdue answer: rare samples know little of the deviation.
func (c *Config) floor(r Rate) time.Duration {
	switch r {
	case Selected, Standby:
		return c.Floor
	case Recent:
		return 6 * c.Floor
	default:
		return 15 * c.Floor
	}
}

const (
	maxPaths    = 64 // of ours to one peer
	maxHeard    = 32 // of the peer's to us
	maxRing     = 64 // probes of one path that an answer is still accepted for
	minRing     = 8
	dataRing    = 32 // on a path with data, so that it can be told when a packet was sent that arrives late
	jitterParts = 10 // intervals are shortened at random by up to a tenth

	quietIdles = 12 // an interval at rate Quiet is so many at rate Idle

	turnSlack = 6 // an idle peer's turn may be late by this part of the interval, which then still is below 30 s

	urgentFor = time.Second // how long ProbeNow may hurry the judgment of a path

	burstProbes   = 4  // of ProbeNow
	quickProbes   = 16 // while suspect, before falling back to the path's own rate
	reviveProbes  = 3  // answers in a row that make a dead path up
	crossAnswers  = 4  // answers in a row on other paths only, before their timing is taken
	eagerAttempts = 8  // probes of a candidate before it is probed less and less often

	// totalSilence is how long nothing at all must have come from the peer for what it then says to be no evidence
	// against a single path: something that all paths share was broken, and is not any more.
	totalSilence = 300 * time.Millisecond

	// dataAlone is how long data that arrives holds up a path on which no probe does.
	dataAlone = 2 * time.Second

	boostGap     = 50 * time.Millisecond  // between probes of standbys while the path in use is suspect
	hintGap      = 200 * time.Millisecond // between probes of a dead path or candidate that the peer is heard on
	candidateGap = 250 * time.Millisecond // least between probes of a candidate
	deadGap      = time.Second            // between probes of a dead path, at first
	deadEager    = time.Minute            // how long at first, if the peer is active
	strandedGap  = 3 * time.Second        // longest while no path is up and the peer is active
	unknownWait  = time.Second            // for an answer where no turnaround is known

	lateTick   = 10 * time.Millisecond // a tick or frame later than this means that we were not running
	lateGrace  = 5 * time.Millisecond  // what is put off then
	maxGrace   = 200 * time.Millisecond
	heardTTL   = 3 * time.Minute  // a path that is not heard for this long is no longer reported
	idleTTL    = 15 * time.Second // the same where nothing flows
	maxSlack   = time.Second
	slackHalf  = 500 * time.Millisecond // half-life
	arrivalPad = 5 * time.Millisecond   // added to 4 deviations of the delay outward
	maxSample  = 30 * time.Second
)
