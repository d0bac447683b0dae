package node

import (
	"log/slog"
	"sync"

	"overlayd/internal/state"
)

// saver stores what is known of the members beside the loop, since a disk may take longer than a probe may wait. Only the latest
// set counts.
type saver struct {
	latest chan [][]byte
	done   sync.WaitGroup
}

func startSaver(dir *state.Dir, log *slog.Logger) *saver {
	s := &saver{latest: make(chan [][]byte, 1)}
	s.done.Go(func() {
		for items := range s.latest {
			if err := dir.SaveItems(items); err != nil {
				log.Error("cannot store what is known of the members", "err", err)
			}
		}
	})
	return s
}

// save replaces what waits to be stored. Only the loop calls it.
func (s *saver) save(items [][]byte) { replace(s.latest, items) }

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
