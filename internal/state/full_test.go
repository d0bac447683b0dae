package state

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func mkfifo(path string) error { return unix.Mkfifo(path, 0o600) }

// small is a file system of some pages of 4 KB; remount makes it read-only.
func small(t *testing.T, pages string) (path string, remount func(flags uintptr)) {
	t.Helper()
	path = t.TempDir()
	if err := unix.Mount("none", path, "tmpfs", 0, "size="+pages+"k,mode=700"); err != nil {
		t.Skipf("mounting a small file system needs root (%v): left out", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(path, unix.MNT_DETACH) })
	return path, func(flags uintptr) { check(t, unix.Mount("none", path, "", unix.MS_REMOUNT|flags, "")) }
}

// runsFromMemory starts twice from a directory that cannot be written.
func runsFromMemory(t *testing.T, path string, reason error) {
	t.Helper()
	var last uint64
	for range 2 {
		d := open(t, path)
		if _, err := Open(path); !errors.Is(err, ErrLocked) {
			t.Errorf("two daemons on one directory: %v", err)
		}
		_, errs := whole(d)
		if len(errs) > 0 {
			t.Errorf("what is there is not read: %v", errs)
		}
		epoch, err := d.NextEpoch(start.Add(-time.Hour)) // the clock was put back
		if err != nil || epoch <= last {
			t.Errorf("epoch %d after %d, %v", epoch, last, err)
		}
		last = epoch
		notices := d.Notices()
		if len(notices) == 0 || !strings.Contains(notices[0], path) || !strings.Contains(notices[0], "forgets") {
			t.Errorf("it is not said what will be forgotten: %q", notices)
		}
		if err := d.SaveItems([][]byte{make([]byte, 1<<16)}); !errors.Is(err, reason) || !errors.Is(d.Problem(), reason) {
			t.Errorf("saving: %v, problem: %v", err, d.Problem())
		}
		if items, err := d.Items(); err != nil || len(items) != 1 {
			t.Errorf("%d items, %v", len(items), err)
		}
		check(t, d.Close())
	}
}

func TestReadOnlyDirectoryIsRunFromMemory(t *testing.T) {
	path, remount := small(t, "256")
	filled(t, path)
	check(t, os.Remove(filepath.Join(path, "lock")))
	remount(unix.MS_RDONLY)
	runsFromMemory(t, path, unix.EROFS)
	remount(0)
	d := open(t, path)
	check(t, d.SaveItems(nil))
	if d.Problem() != nil {
		t.Error("the problem stays after it is gone")
	}
}

func TestFullDiskIsRunFromMemory(t *testing.T) {
	path, _ := small(t, "128")
	filled(t, path)
	ballast := filepath.Join(path, "backup-ballast")
	check(t, os.Mkdir(ballast, 0o700))
	for i := 0; ; i++ { // page by page, so that not even one is left
		if err := os.WriteFile(filepath.Join(ballast, strconv.Itoa(i)), make([]byte, 4096), 0o600); err != nil {
			break
		}
	}
	runsFromMemory(t, path, unix.ENOSPC)
	entries, err := os.ReadDir(path)
	check(t, err)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			t.Errorf("a failed write left %s behind", e.Name())
		}
	}
	check(t, os.RemoveAll(ballast))
	d := open(t, path)
	check(t, d.SaveItems(nil))
	if d.Problem() != nil {
		t.Error("the problem stays after it is gone")
	}
}

// Damage on a disk that cannot be written is survived as well, and put right once it can.
func TestDamageOnAReadOnlyDisk(t *testing.T) {
	path, remount := small(t, "256")
	filled(t, path)
	check(t, os.WriteFile(filepath.Join(path, "identity"), []byte("x"), 0o600))
	remount(unix.MS_RDONLY)
	d := open(t, path)
	id, err := d.Identity()
	check(t, err)
	if notices := d.Notices(); len(notices) != 1 || !strings.Contains(notices[0], "identity.copy") {
		t.Errorf("notices %q", notices)
	}
	check(t, d.Close())
	remount(0)
	d = open(t, path)
	again, err := d.Identity()
	if err != nil || again.ID() != id.ID() {
		t.Errorf("another identity, %v", err)
	}
	if b, err := os.ReadFile(filepath.Join(path, "identity")); err != nil || len(b) < 32 {
		t.Errorf("not restored: %v", err)
	}
}
