package node

import (
	"log/slog"
	"path/filepath"
	"testing"

	"overlayd/internal/state"
)

func items(words ...string) (list [][]byte) {
	for _, w := range words {
		list = append(list, []byte(w))
	}
	return list
}

// A set that waited, or that the saver had taken already, is not stored over a later one: a revocation in it would be lost.
func TestAnOlderSetIsNotStoredOverALaterOne(t *testing.T) {
	dir, err := state.Open(filepath.Join(t.TempDir(), "state"))
	check(t, err)
	defer func() { check(t, dir.Close()) }()
	s := newSaver(dir, slog.New(slog.DiscardHandler))
	s.save(items("member"))
	taken := <-s.latest // the saver is about to store it
	check(t, s.saveNow(items("member", "revocation")))
	check(t, s.store(taken))
	if got, err := dir.Items(); err != nil || len(got) != 2 {
		t.Errorf("stored are %q, %v", got, err)
	}
	s.save(items("member"))
	check(t, s.saveNow(items("member", "revocation", "another"))) // while that waits
	s.done.Go(s.run)
	s.close()
	if got, err := dir.Items(); err != nil || len(got) != 3 {
		t.Errorf("stored are %q, %v", got, err)
	}
	// The copy has what was stored at once.
	check(t, dir.UpdateItems(items("older")))
	if got, err := dir.Items(); err != nil || len(got) != 4 {
		t.Errorf("with the copy there are %q, %v", got, err)
	}
}
