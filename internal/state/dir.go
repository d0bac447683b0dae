// Package state keeps what a node must not forget in a directory: 0700, its files 0600, each replaced as a whole.
//
//	lock         held while a daemon, or a command that writes, has the directory
//	identity     the node's private keys                                      refused if damaged
//	root         the network's root key, on the node that made it             refused if damaged
//	network      the network's settings and this node's certificate           refused if damaged
//	policy       the rules that users made for paths                          refused if damaged
//	records      all that is known of the members: can be learned again       moved aside if damaged
//	epoch        the last start, so that no start has an earlier epoch        moved aside if damaged
//
// A file is a line that says what it is, the version of its form and its name, then CBOR, then BLAKE2s-256 of all
// before. A damaged file is never overwritten. Absent is not damaged.
package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// What Open and the methods of Dir return, wrapped, so that callers can tell.
var (
	ErrAbsent  = errors.New("not there")
	ErrExists  = errors.New("already there")
	ErrDamaged = errors.New("damaged")
	ErrLocked  = errors.New("in use")
)

// Dir is a state directory, locked for this process. Its methods may be called from several goroutines.
type Dir struct {
	path string
	lock *os.File

	mu    sync.Mutex
	sound map[string]bool // files that were read or written whole, so that they may be replaced; guarded by mu
}

// Open makes the directory if it is not there, and locks it.
func Open(path string) (*Dir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, access(path, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, access(path, err)
	}
	if info.Mode().Perm()&0o022 != 0 {
		return nil, fmt.Errorf("others can write to the state directory %s: run chmod 700 %s, or name another with --state",
			path, path)
	}
	lock, err := os.OpenFile(filepath.Join(path, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, access(path, err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = lock.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("the state directory %s is %w by another overlayd: stop that one (overlayctl down), "+
				"or name another directory with --state", path, ErrLocked)
		}
		return nil, fmt.Errorf("lock the state directory %s: %w", path, err)
	}
	d := &Dir{path: path, lock: lock, sound: make(map[string]bool)}
	d.sweep()
	return d, nil
}

// access says what to do about an error of the file system.
func access(path string, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("the state directory %s cannot be used: %w; run this as root, or name another with --state",
			path, err)
	}
	return fmt.Errorf("the state directory %s cannot be used: %w", path, err)
}

// Path is the directory.
func (d *Dir) Path() string { return d.path }

// Close unlocks the directory.
func (d *Dir) Close() error {
	if err := d.lock.Close(); err != nil {
		return fmt.Errorf("unlock the state directory %s: %w", d.path, err)
	}
	return nil
}

// sweep removes temporary files that a crash left half-written. That it fails harms nothing.
func (d *Dir) sweep() {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return
	}
	for _, e := range entries {
		for _, f := range files {
			if e.Type().IsRegular() && strings.HasPrefix(e.Name(), "."+f.name) {
				_ = os.Remove(filepath.Join(d.path, e.Name()))
			}
		}
	}
}

// aside moves a damaged file out of the way and returns its new path.
func (d *Dir) aside(name string) (string, error) {
	path := filepath.Join(d.path, name)
	to := path + ".damaged-" + time.Now().UTC().Format("20060102T150405.000000Z")
	if err := os.Rename(path, to); err != nil {
		return "", fmt.Errorf("move the damaged file %s aside: %w", path, err)
	}
	return to, nil
}
