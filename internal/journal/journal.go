// Package journal keeps on disk what happened to the paths of a node, for people who ask why: switches and their causes,
// paths that died and came back, rules, starts and stops. It holds names, addresses and figures, no keys.
//
//	Record ──▶ queue (bounded) ──▶ writer ──▶ events.jsonl ── full ──▶ events.1.jsonl ── full ──▶ gone
//
// Record never waits: where the disk is slower than events come, they are counted, and the count is written in their place.
// The two segments are lines of JSON, mode 0600, and together hold at most 2 MB. A line that a crash tore is ended by the
// next start and left out by whoever reads. What stands in the place of a file or of the directory and is none is moved aside.
package journal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds.
const (
	maxQueue   = 1024     // events that wait for the disk
	maxBatch   = 256      // events that are written at once
	maxWrite   = 64 << 10 // bytes that are written at once, but for one line more
	maxSegment = 1 << 20  // bytes
)

// ErrClosed is what Read returns once the journal has ended.
var ErrClosed = errors.New("the journal is closed")

// Journal is the journal in one directory. Its methods may be called from many goroutines; those of a nil Journal do
// nothing.
type Journal struct {
	log     *slog.Logger
	queue   chan item
	dropped atomic.Uint64 // since the last line that says so
	done    chan struct{} // closed when the writer has ended
	closing sync.Once
	end     chan struct{} // closed to end the writer

	mu      sync.Mutex // guards the names of the segments: held while one takes the place of the other
	segment segment    // of the writer
	failing bool       // of the writer: the last write failed, and that was logged
}

// item is an event to write, or somebody who waits until those before it are written.
type item struct {
	event   Event
	written chan<- struct{}
}

// Open makes the directory if it is not there, and starts the writer. Close ends it. Where nothing can be written now, each
// event tries again.
func Open(dir string, log *slog.Logger) *Journal {
	j := create(dir, maxQueue, maxSegment, log)
	if err := j.segment.open(); err != nil {
		j.failed(err)
	}
	go j.write()
	return j
}

// create makes a journal with nobody who writes.
func create(dir string, queue int, size int64, log *slog.Logger) *Journal {
	return &Journal{
		log: log, queue: make(chan item, queue), done: make(chan struct{}), end: make(chan struct{}),
		segment: segment{
			path: filepath.Join(dir, "events.jsonl"), older: filepath.Join(dir, "events.1.jsonl"), most: size,
		},
	}
}

// Record takes an event to be written. It never waits.
func (j *Journal) Record(e Event) {
	if j == nil {
		return
	}
	select {
	case j.queue <- item{event: e}:
	default:
		j.dropped.Add(1)
	}
}

// Close writes what waits, and ends the journal. What is recorded afterwards is lost.
func (j *Journal) Close() {
	if j == nil {
		return
	}
	j.closing.Do(func() { close(j.end) })
	<-j.done
}

// Read gives the newest events that a query asks for, the oldest of them first, with all that were recorded before the call.
// Whether older ones were left out for their number is more.
func (j *Journal) Read(ctx context.Context, q Query) (events []Event, more bool, err error) {
	if j == nil {
		return nil, false, ErrClosed
	}
	written := make(chan struct{})
	select {
	case j.queue <- item{written: written}:
	case <-j.done:
		return nil, false, ErrClosed
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
	select {
	case <-written:
	case <-j.done:
		return nil, false, ErrClosed
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
	j.mu.Lock()
	files, err := j.segment.readers()
	j.mu.Unlock()
	defer func() {
		for _, f := range files {
			_ = f.Close()
		}
	}()
	if err != nil {
		return nil, false, fmt.Errorf("journal: %w", err)
	}
	return read(files, q)
}

// write is the writer.
func (j *Journal) write() {
	defer close(j.done)
	var batch []item
	for {
		batch = batch[:0]
		select {
		case first := <-j.queue:
			batch = j.waiting(append(batch, first))
			j.store(batch)
		case <-j.end:
			for batch = j.waiting(batch); len(batch) > 0; batch = j.waiting(batch[:0]) {
				j.store(batch)
			}
			j.store(nil)
			if err := j.segment.close(); err != nil {
				j.log.Warn("closing the journal", "err", err)
			}
			return
		}
	}
}

// waiting appends what is in the queue already, up to a bound.
func (j *Journal) waiting(batch []item) []item {
	for len(batch) < maxBatch {
		select {
		case next := <-j.queue:
			batch = append(batch, next)
		default:
			return batch
		}
	}
	return batch
}

// store writes a batch, and how many events were dropped. What cannot be written counts as dropped.
func (j *Journal) store(batch []item) {
	var w lines
	for _, it := range batch {
		if it.written == nil {
			j.add(&w, it.event)
		}
	}
	if n := j.dropped.Swap(0); n > 0 {
		if w.last.IsZero() {
			w.last = time.Now()
		}
		j.add(&w, Event{Time: w.last, Kind: Dropped, Count: n, Reason: "the disk was too slow, or refused"})
	}
	j.flush(&w)
	for _, it := range batch {
		if it.written != nil {
			close(it.written)
		}
	}
}

// lines are what is to be written at once.
type lines struct {
	text   []byte
	events uint64 // in it, with those that its lines say were dropped
	last   time.Time
}

func (j *Journal) add(w *lines, e Event) {
	text, err := e.appendLine(w.text)
	if err != nil { // an odd event, such as one in the year 10000
		j.dropped.Add(1)
		return
	}
	w.text, w.last = text, e.Time
	w.events += max(e.Count, 1)
	if len(text) >= maxWrite {
		j.flush(w)
	}
}

func (j *Journal) flush(w *lines) {
	if len(w.text) == 0 {
		return
	}
	err := j.append(w.text)
	if err != nil {
		j.dropped.Add(w.events)
	}
	if err != nil {
		j.failed(err)
	} else {
		j.failing = false
	}
	*w = lines{text: w.text[:0], last: w.last}
}

// failed says once that the journal cannot be written.
func (j *Journal) failed(err error) {
	if !j.failing {
		j.log.Warn("cannot write to the journal: overlayctl history will have a gap until there is room on the disk, and it is writable",
			"err", err)
	}
	j.failing = true
}

func (j *Journal) append(b []byte) error {
	if j.segment.full(len(b)) {
		j.mu.Lock()
		err := j.segment.turn()
		j.mu.Unlock()
		if err != nil {
			return err
		}
	}
	return j.segment.write(b)
}
