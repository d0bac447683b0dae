package judge

import (
	"fmt"
	"slices"
	"time"
)

// Result is what one run found.
type Result struct {
	Scenario  string    `json:"scenario"`
	Seed      uint64    `json:"seed"`
	Short     bool      `json:"short"`
	Simulated bool      `json:"simulated"` // no daemon ran: time is virtual, and nothing of the machine is in it
	Enrolment Enrolment `json:"enrolment"`
	Outcomes  []Outcome `json:"outcomes"`
	Flows     []Flow    `json:"flows"`
	Nodes     []Usage   `json:"nodes"`
	Faults    []string  `json:"faults"` // what went wrong beside the expectations
	Accuracy  Accuracy  `json:"accuracy"`
	Timeline  []Entry   `json:"timeline"`
	Pass      bool      `json:"pass"` // everything that was expected came about, and nothing was left out
}

// Conclude sets Pass, from the outcomes and the faults.
func (r *Result) Conclude() {
	r.Pass = len(r.Faults) == 0 && !slices.ContainsFunc(r.Outcomes, func(o Outcome) bool { return !o.Pass })
}

// Flow is what became of the packets of one direction throughout a run.
type Flow struct {
	Flow       string        `json:"flow"`
	Sent       int           `json:"sent"`
	Lost       int           `json:"lost"`
	Duplicates int           `json:"duplicates"`
	Reordered  int           `json:"reordered"`
	Median     time.Duration `json:"delay_median_ns"` // one way
	P95        time.Duration `json:"delay_p95_ns"`
	Path       string        `json:"path"` // at the end; empty: unknown
}

// Accuracy is the error of the instrument, and how busy the machine was.
type Accuracy struct {
	Packets uint64        `json:"packets"`       // that the emulator delivered
	P99     time.Duration `json:"late_p99_ns"`   // how late it did
	Max     time.Duration `json:"late_max_ns"`   //
	Sender  time.Duration `json:"sender_max_ns"` // how late packets were sent
	Waiting float64       `json:"cpu_waiting"`   // share of the time in which some task of the machine waited for a CPU
}

// Enrolment is how the network came about.
type Enrolment struct {
	Nodes    int           `json:"nodes"` // that are members at the start
	Took     time.Duration `json:"took_ns"`
	LastJoin time.Duration `json:"last_join_ns"` // since the start, and before it: negative
}

// String tells it in a sentence.
func (e Enrolment) String() string {
	return fmt.Sprintf("%d nodes, set up in %.1f s, the last joined at %.3f",
		e.Nodes, e.Took.Seconds(), e.LastJoin.Seconds())
}

// Usage is what a daemon has used.
type Usage struct {
	Node     string        `json:"node"`
	CPU      time.Duration `json:"cpu_ns"`
	Resident int64         `json:"resident_bytes"` // now
	Peak     int64         `json:"peak_bytes"`     // of the resident memory
}
