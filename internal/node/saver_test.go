package node

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

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

func TestTheCopyIsWrittenOnceAnHour(t *testing.T) {
	dir, err := state.Open(filepath.Join(t.TempDir(), "state"))
	check(t, err)
	defer func() { check(t, dir.Close()) }()
	synctest.Test(t, func(t *testing.T) {
		s := startSaver(dir, slog.New(slog.DiscardHandler))
		copies, last := 0, ""
		note := func() {
			content, _ := os.ReadFile(filepath.Join(dir.Path(), "records.copy"))
			if string(content) != last {
				copies, last = copies+1, string(content)
			}
		}
		for minute := range 3*60 + 1 {
			s.save(items(fmt.Sprint("minute ", minute)))
			synctest.Wait()
			note()
			time.Sleep(time.Minute)
		}
		if copies != 3 {
			t.Errorf("%d copies in three hours", copies)
		}
		check(t, s.saveNow(items("a revocation")))
		synctest.Wait()
		note()
		if copies != 4 {
			t.Error("no copy was made of what an admin signed")
		}
		s.close()
	})
}
