package node

import (
	"log/slog"
	"sync"

	"overlayd/internal/state"
)

// saver stores the member records beside the loop, since a disk may take longer than a probe may wait. Only the latest
// set counts.
type saver struct {
	latest chan [][]byte
	done   sync.WaitGroup
}

func startSaver(dir *state.Dir, log *slog.Logger) *saver {
	s := &saver{latest: make(chan [][]byte, 1)}
	s.done.Go(func() {
		for records := range s.latest {
			if err := dir.SaveRecords(records); err != nil {
				log.Error("cannot store the member records", "err", err)
			}
		}
	})
	return s
}

// save replaces what waits to be stored. Only the loop calls it.
func (s *saver) save(records [][]byte) {
	select {
	case <-s.latest:
	default:
	}
	s.latest <- records
}

// close waits until everything is stored.
func (s *saver) close() {
	close(s.latest)
	s.done.Wait()
}
