package journal

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestEveryDamageToTheJournal holds: whatever happened to its files, events are recorded, and those that are whole are read.
func TestEveryDamageToTheJournal(t *testing.T) {
	const newer, older = "events.jsonl", "events.1.jsonl"
	for _, tt := range []struct {
		name   string
		damage func(t *testing.T, dir string)
		want   []string
	}{
		{"none", func(*testing.T, string) {}, []string{"number 1", "number 2", "number 3"}},
		{"truncated", func(t *testing.T, dir string) {
			info, err := os.Stat(filepath.Join(dir, newer))
			check(t, err)
			check(t, os.Truncate(filepath.Join(dir, newer), info.Size()-5))
		}, []string{"number 1", "number 3"}},
		{"emptied", func(t *testing.T, dir string) {
			check(t, os.Truncate(filepath.Join(dir, newer), 0))
		}, []string{"number 1", "number 3"}},
		{"garbage", func(t *testing.T, dir string) {
			check(t, os.WriteFile(filepath.Join(dir, newer), bytes.Repeat([]byte{0, 255, '{'}, 100_000), 0o600))
		}, []string{"number 1", "number 3"}},
		{"deleted", func(t *testing.T, dir string) { check(t, os.Remove(filepath.Join(dir, newer))) }, []string{"number 1", "number 3"}},
		{"older deleted", func(t *testing.T, dir string) { check(t, os.Remove(filepath.Join(dir, older))) }, []string{"number 2", "number 3"}},
		{"a directory", func(t *testing.T, dir string) {
			check(t, os.Remove(filepath.Join(dir, newer)))
			check(t, os.MkdirAll(filepath.Join(dir, newer, "inside"), 0o700))
		}, []string{"number 1", "number 3"}},
		{"older a directory", func(t *testing.T, dir string) {
			check(t, os.Remove(filepath.Join(dir, older)))
			check(t, os.Mkdir(filepath.Join(dir, older), 0o700))
		}, []string{"number 2", "number 3"}},
		{"a pipe", func(t *testing.T, dir string) {
			check(t, os.Remove(filepath.Join(dir, newer)))
			check(t, unix.Mkfifo(filepath.Join(dir, newer), 0o600))
		}, []string{"number 1", "number 3"}},
		{"the directory a file", func(t *testing.T, dir string) {
			check(t, os.RemoveAll(dir))
			check(t, os.WriteFile(dir, []byte("x"), 0o600))
		}, []string{"number 3"}},
		{"all deleted", func(t *testing.T, dir string) { check(t, os.RemoveAll(dir)) }, []string{"number 3"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "journal")
			j := started(t, dir)
			j.Record(event(1))
			j.Close()
			check(t, os.Rename(filepath.Join(dir, newer), filepath.Join(dir, older)))
			j = started(t, dir)
			j.Record(event(2))
			j.Close()
			tt.damage(t, dir)
			j = started(t, dir)
			j.Record(event(3))
			if got := reasons(read1(t, j, Query{})); !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestJournalOnADiskThatCannotBeWritten starts where nothing can be written: it says so once, and goes on when it can.
func TestJournalOnADiskThatCannotBeWritten(t *testing.T) {
	path := t.TempDir()
	if err := unix.Mount("none", path, "tmpfs", 0, "size=64k,mode=700"); err != nil {
		t.Skipf("mounting a file system needs root (%v): left out", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(path, unix.MNT_DETACH) })
	check(t, unix.Mount("none", path, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	var log bytes.Buffer
	j := Open(filepath.Join(path, "journal"), slog.New(slog.NewTextHandler(&log, nil)))
	j.Record(event(1))
	if got := read1(t, j, Query{}); len(got) > 0 {
		t.Errorf("read %v of a disk that cannot be written", got)
	}
	check(t, unix.Mount("none", path, "", unix.MS_REMOUNT, ""))
	j.Record(event(2))
	got := read1(t, j, Query{})
	if want := []string{"number 2"}; !slices.ContainsFunc(got, func(e Event) bool { return e.Kind == Dropped && e.Count == 1 }) ||
		!slices.Contains(reasons(got), want[0]) {
		t.Errorf("read %+v", got)
	}
	j.Close()
	if n := strings.Count(log.String(), "cannot write to the journal"); n != 1 {
		t.Errorf("said %d times: %s", n, &log)
	}
}
