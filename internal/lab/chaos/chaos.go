// Package chaos draws scenarios from seeds: ten nodes, all kinds of faults at once, and what must hold afterwards
// whatever they were. It writes them in the language of package scenario, so that a seed that breaks something is a file
// that anybody can run, read and cut down.
//
//	seed ─▶ plan: sites, links, faults, flows ─▶ what each fault leaves behind ─▶ which pairs have a way ─▶ scenario file
//
// What must hold: a pair with any way that carries its packets talks within 5 s of the last fault; nobody revoked is
// heard; nothing is sent beyond a bound to an address that has never answered; honest relays are not in quarantine three
// minutes later.
package chaos

import (
	"fmt"
	"math/rand/v2"
	"time"

	"overlayd/internal/lab/scenario"
)

// Options say what a plan is like.
type Options struct {
	Nodes  int           // members, from 4
	Faults int           // how many
	For    time.Duration // from the first fault to the last
	Tail   time.Duration // from the last fault to the question after quarantines
	Real   bool          // only what can be done to daemons

	Without []string // faults that are left out, by the names that their events begin with
}

// Simulated is what a run in simulation has.
func Simulated() Options {
	return Options{Nodes: 10, Faults: 16, For: 45 * time.Second, Tail: 3 * time.Minute}
}

// Real is what a run of so long a time with real daemons has.
func Real(length time.Duration) Options {
	o := Options{Nodes: 10, For: max(length-settled-calm-time.Minute/2, time.Minute/2), Tail: 3 * time.Minute, Real: true}
	if length < 8*time.Minute {
		o.Tail = settled
	} else {
		o.For -= o.Tail
	}
	o.Faults = int(o.For / (3 * time.Second))
	return o
}

// The times of a plan.
const (
	calm    = 10 * time.Second // before the first fault
	talk    = 5 * time.Second  // after the last fault a pair talks within
	settled = 20 * time.Second // after the last fault loss has been judged
)

// The bounds of what must hold.
const (
	maxLoss = 5 // percent of the packets from talk to settled

	// What may go in ten seconds to an address that has never answered, for the sake of one member (docs/security.md): 80
	// control frames at once and 10 a second, and of WireGuard 16 KiB at once and 1.5 KiB a second, in the packets of the
	// smallest flow. The simulation sends no data before a path is chosen.
	strangersAtOnce = 80
	maxStrangers    = strangersAtOnce + 10*10
	maxData         = (16<<10 + 10*1536) / (128 + headers4 + sealing)
)

// Scenario is the scenario of a seed.
func Scenario(seed uint64, o Options) (*scenario.Scenario, error) {
	s, err := scenario.Parse([]byte(Text(seed, o)), false)
	if err != nil {
		return nil, fmt.Errorf("chaos of seed %d: %w", seed, err)
	}
	return s, nil
}

// Text is the file of that scenario.
func Text(seed uint64, o Options) string {
	p := &plan{Options: o, seed: seed, random: rand.New(rand.NewPCG(seed, 0))}
	p.drawSites()
	p.drawLinks()
	p.drawFaults()
	p.leaveOut()
	p.settle()
	p.drawFlows()
	return p.text()
}
