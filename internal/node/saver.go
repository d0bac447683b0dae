package node

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"overlayd/internal/state"
)

// copyEvery is how old the copy of what is known of the members may become. A revocation is copied at once.
const copyEvery = time.Hour

// saver stores what is known of the members beside the loop, since a disk may take longer than a probe may wait. Only the latest
// set counts: an older one is never stored over it, whatever waits longer.
type saver struct {
	dir    *state.Dir
	log    *slog.Logger
	latest chan set
	given  uint64      // of the loop: the number of the last set
	urgent atomic.Bool // the copy must not wait
	done   sync.WaitGroup

	mu     sync.Mutex
	stored uint64 // the number of the set on disk; guarded by mu, as the file is
}

// set is all that is known of the members at one time; without items only the copy is meant.
type set struct {
	number uint64
	items  [][]byte
}

func newSaver(dir *state.Dir, log *slog.Logger) *saver {
	return &saver{dir: dir, log: log, latest: make(chan set, 1)}
}

func startSaver(dir *state.Dir, log *slog.Logger) *saver {
	s := newSaver(dir, log)
	s.done.Go(s.run)
	return s
}

func (s *saver) run() {
	copied := time.Now()
	for next := range s.latest {
		if err := s.store(next); err != nil {
			s.log.Error("cannot store what is known of the members", "err", err)
			continue
		}
		if now := time.Now(); s.urgent.Swap(false) || now.Sub(copied) >= copyEvery {
			copied = now
			if err := s.dir.CopyItems(); err != nil {
				s.log.Error("cannot store a copy of what is known of the members", "err", err)
			}
		}
	}
}

// store writes a set unless a later one is on disk.
func (s *saver) store(next set) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if next.items == nil || next.number < s.stored {
		return nil
	}
	s.stored = next.number
	return s.dir.UpdateItems(next.items)
}

// save replaces what waits to be stored. Only the loop calls it.
func (s *saver) save(items [][]byte) {
	s.given++
	replace(s.latest, set{s.given, items})
}

// saveNow stores a set before it returns, and has the copy made. Only the loop calls it.
func (s *saver) saveNow(items [][]byte) error {
	s.given++
	err := s.store(set{s.given, items})
	s.urgent.Store(true)
	replace(s.latest, set{number: s.given})
	return err
}

// replace puts v in the place of what still waits in a channel of one element. Only one goroutine may send there.
func replace[T any](latest chan T, v T) {
	select {
	case <-latest:
	default:
	}
	latest <- v
}

// close waits until everything is stored.
func (s *saver) close() {
	close(s.latest)
	s.done.Wait()
}
