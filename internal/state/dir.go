// Package state keeps what a node must not forget in a directory: 0700, its files 0600, each replaced as a whole.
//
//	lock         held, as the directory is, while a daemon, or a command that writes, has the directory
//	identity     the node's private keys                                      refused if no good copy is left
//	root         the network's root key, on the node that made it             refused if damaged
//	network      the network's settings and this node's certificate           refused if no good copy is left
//	policy       the rules that users made for paths                          refused if no good copy is left
//	records      all that is known of the members, revocations among it       learned again
//	epoch        the last start, so that no start has an earlier epoch        the clock takes its place
//	pending      the token of a join that did not complete                    forgotten
//
// A file is a line that says what it is, the version of its form and its name, then CBOR, then BLAKE2s-256 of all
// before. A write makes a temporary file, syncs it, renames it over the file and syncs the directory: a crash leaves
// the old version or the new one.
//
// Beside identity, network, policy, records and epoch stands a copy (NAME.copy). A file that is missing, damaged or not a
// file is restored from there, a damaged one is moved aside (NAME.damaged-TIME), and Notices says so. Nothing damaged is
// overwritten. The root key has no copy: who removes it means to be rid of it. Where the directory cannot be written, the
// node runs from memory: Problem says why.
package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// What Open and the methods of Dir return, wrapped, so that callers can tell.
var (
	ErrAbsent   = errors.New("not there")
	ErrExists   = errors.New("already there")
	ErrDamaged  = errors.New("damaged")
	ErrLocked   = errors.New("in use")
	ErrUnusable = errors.New("the state needs a person") // the error that wraps it says what to do
)

// Dir is a state directory, locked for this process. Its methods may be called from several goroutines.
type Dir struct {
	path string
	lock []*os.File

	mu      sync.Mutex
	sound   map[string]bool // files that were read or written whole, so that they may be replaced; guarded by mu
	notices []string        // guarded by mu

	problem atomic.Pointer[error] // of the last write; nil: it succeeded
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
		return nil, refusal{fmt.Errorf("others can write to the state directory %s: run chmod 700 %s, or name another with --state",
			path, path)}
	}
	lock, err := lockDir(path)
	if err != nil {
		return nil, err
	}
	d := &Dir{path: path, lock: lock, sound: make(map[string]bool)}
	d.sweep()
	return d, nil
}

// lockDir locks the file lock in the directory and the directory itself: one of both is enough where a file system is
// full, read-only, or cannot lock directories.
func lockDir(path string) (held []*os.File, err error) {
	file, err := os.OpenFile(filepath.Join(path, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if errors.Is(err, fs.ErrPermission) {
		return nil, access(path, err)
	}
	if err == nil {
		held = append(held, file)
	}
	if dir, err := os.Open(path); err == nil {
		held = append(held, dir)
	}
	locked := 0
	for _, f := range held {
		switch err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
		case err == nil:
			locked++
		case errors.Is(err, unix.EWOULDBLOCK):
			closeAll(held)
			return nil, fmt.Errorf("the state directory %s is %w by another overlayd: stop that one (overlayctl down), "+
				"or name another directory with --state", path, ErrLocked)
		}
	}
	if locked == 0 {
		closeAll(held)
		return nil, fmt.Errorf("lock the state directory %s: %w", path, err)
	}
	return held, nil
}

func closeAll(files []*os.File) (err error) {
	for _, f := range files {
		err = errors.Join(err, f.Close())
	}
	return err
}

// access says what to do about an error of the file system.
func access(path string, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return refusal{fmt.Errorf("the state directory %s cannot be used: %w; run this as root, or name another with --state",
			path, err)}
	}
	return fmt.Errorf("the state directory %s cannot be used: %w; name another with --state", path, err)
}

// Path is the directory.
func (d *Dir) Path() string { return d.path }

func (d *Dir) pathOf(name string) string { return filepath.Join(d.path, name) }

// Notices are sentences about what was found wrong and put right since the last call, for the log.
func (d *Dir) Notices() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := d.notices
	d.notices = nil
	return list
}

const maxNotices = 32 // far more than there are files

func (d *Dir) notice(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if len(d.notices) < maxNotices && !slices.Contains(d.notices, text) {
		d.notices = append(d.notices, text)
	}
}

// Problem is why the last write failed; nil if it did not. It does not wait for a write.
func (d *Dir) Problem() error {
	if p := d.problem.Load(); p != nil {
		return *p
	}
	return nil
}

// Close unlocks the directory.
func (d *Dir) Close() error {
	if err := closeAll(d.lock); err != nil {
		return fmt.Errorf("unlock the state directory %s: %w", d.path, err)
	}
	return nil
}

// maxAside is how many damaged versions of one file are kept.
const maxAside = 8

// sweep removes temporary files that a crash left half-written, and the oldest of many damaged ones. That it fails harms
// nothing.
func (d *Dir) sweep() {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return
	}
	for _, f := range files {
		var aside []string // in the order of their times, since the names sort so
		for _, e := range entries {
			switch {
			case !e.Type().IsRegular():
			case strings.HasPrefix(e.Name(), "."+f.name):
				_ = os.Remove(d.pathOf(e.Name()))
			case f.damagedName(e.Name()):
				aside = append(aside, e.Name())
			}
		}
		for _, name := range aside[:max(len(aside)-maxAside, 0)] {
			_ = os.Remove(d.pathOf(name))
		}
	}
}

const (
	damagedMark = ".damaged-"
	stampForm   = "20060102T150405.000000Z"
)

// aside moves a damaged file, or what is in its place, out of the way and returns its new path.
func (d *Dir) aside(name string) (string, error) {
	to := d.pathOf(name) + damagedMark + time.Now().UTC().Format(stampForm)
	if err := os.Rename(d.pathOf(name), to); err != nil {
		return "", fmt.Errorf("move the damaged file %s aside: %w", d.pathOf(name), err)
	}
	return to, nil
}
