package judge

import (
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// Entry is a line of the time line.
type Entry struct {
	At   time.Duration `json:"at_ns"` // since the start
	Kind string        `json:"kind"`
	Text string        `json:"text"`
}

// Journal collects the time line and prints it as it grows. It may be used from many goroutines.
type Journal struct {
	mu      sync.Mutex // guards what follows
	out     io.Writer  // nil: print nothing
	entries []Entry
}

// NewJournal is a journal that prints to out; nil: nowhere.
func NewJournal(out io.Writer) *Journal { return &Journal{out: out} }

// maxEntries bounds the time line.
const maxEntries = 100_000

// Note adds a line.
func (j *Journal) Note(at time.Duration, kind, text string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.entries) >= maxEntries {
		return
	}
	j.entries = append(j.entries, Entry{at, kind, text})
	if j.out != nil {
		fmt.Fprintf(j.out, "%9.3f  %-9s %s\n", at.Seconds(), kind, text)
	}
}

// Block prints a text of many lines, each moved in.
func (j *Journal) Block(at time.Duration, kind string, lines []string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, line := range lines {
		if len(j.entries) < maxEntries {
			j.entries = append(j.entries, Entry{at, kind, line})
		}
		if j.out != nil {
			fmt.Fprintf(j.out, "           %s\n", line)
		}
	}
}

// Sorted is the time line in the order of its times.
func (j *Journal) Sorted() []Entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	all := slices.Clone(j.entries)
	slices.SortStableFunc(all, func(a, b Entry) int { return int(a.At - b.At) })
	return all
}
