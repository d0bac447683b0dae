package state

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// read reads a file into v, or the copy beside it.
func (d *Dir) read(f file, v any) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.readLocked(f, v)
}

func (d *Dir) readLocked(f file, v any) error {
	raw, err := d.load(f, f.name, v)
	if err == nil {
		d.sound[f.name] = true
		d.heal(f, raw)
		return nil
	}
	if errors.Is(err, ErrUnusable) {
		return err
	}
	if f.copy {
		raw, copyErr := d.load(f, f.copyName(), v)
		switch {
		case copyErr == nil:
			d.restore(f, raw, err)
			return nil
		case errors.Is(copyErr, ErrUnusable):
			return copyErr
		case !errors.Is(copyErr, ErrAbsent):
			return d.giveUp(f, fmt.Errorf("%w, and %s: %w", err, f.copyName(), copyErr))
		}
	}
	if errors.Is(err, ErrAbsent) {
		return fmt.Errorf("%s: %w", d.pathOf(f.name), ErrAbsent)
	}
	return d.giveUp(f, err)
}

// giveUp refuses a file of which no good copy is left, or, if the node can do without, moves it aside: then it is absent.
func (d *Dir) giveUp(f file, err error) error {
	if !f.free {
		return d.unusable(f, err)
	}
	kept := "it stays where it is"
	names := []string{f.name}
	if f.copy {
		names = []string{f.copyName(), f.name}
	}
	for _, name := range names {
		if to, err := d.aside(name); err == nil {
			kept = "it is kept as " + to
		}
	}
	d.notice("the file %s is not usable (%v), %s: %s", d.pathOf(f.name), err, kept, f.help)
	return fmt.Errorf("%s: %w", d.pathOf(f.name), ErrAbsent)
}

// restore writes a file anew from its copy, raw.
func (d *Dir) restore(f file, raw []byte, was error) {
	kept := ""
	if !errors.Is(was, ErrAbsent) {
		to, err := d.aside(f.name)
		if err != nil {
			d.notice("the file %s is not usable (%v): %s is used in its place", d.pathOf(f.name), was, f.copyName())
			return
		}
		kept = ", the damaged one is kept as " + to
	}
	lost := "nothing is lost"
	if f.name == recordsFile.name {
		lost = "no revocation is lost, and what else is newer is learned from the other members again"
	}
	d.notice("the file %s was not usable (%v) and is restored from %s%s: %s", d.pathOf(f.name), was, f.copyName(), kept, lost)
	if err := d.put(f.name, raw); err == nil {
		d.sound[f.name] = true
	}
}

// heal writes the copy beside a good file anew if it is another one.
func (d *Dir) heal(f file, raw []byte) {
	if !f.copy || f.name == epochFile.name || f.name == recordsFile.name { // their readers want both, and they are written often
		return
	}
	name := f.copyName()
	if b, err := os.ReadFile(d.pathOf(name)); err == nil && bytes.Equal(b, raw) {
		return
	}
	if info, err := os.Lstat(d.pathOf(name)); err == nil && !info.Mode().IsRegular() {
		if _, err := d.aside(name); err != nil {
			return
		}
	}
	_ = d.put(name, raw)
}

// load reads one copy of a file into v, and returns its content. The error is ErrAbsent, ErrDamaged or a refusal.
func (d *Dir) load(f file, name string, v any) ([]byte, error) {
	path := d.pathOf(name)
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(path); err == nil {
			return nil, fmt.Errorf("%w: it is a link that leads nowhere", ErrDamaged)
		}
		return nil, ErrAbsent
	}
	switch {
	case err != nil:
		return nil, d.unreadable(path, info, err)
	case info.IsDir():
		return nil, fmt.Errorf("%w: it is a directory", ErrDamaged)
	case !info.Mode().IsRegular(): // opening a pipe would wait for its other end
		return nil, fmt.Errorf("%w: it is not a file", ErrDamaged)
	case info.Size() > maxFile:
		return nil, fmt.Errorf("%w: it has %d bytes, more than %d", ErrDamaged, info.Size(), maxFile)
	}
	if err := d.guard(path, info); err != nil {
		return nil, err
	}
	b, err := readAll(path)
	if err != nil {
		return nil, d.unreadable(path, info, err)
	}
	return b, f.unpack(b, v)
}

func readAll(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, maxFile))
}

// unreadable is a refusal where a permission is missing; all else is damage.
func (d *Dir) unreadable(path string, info fs.FileInfo, err error) error {
	if !errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	whose := ""
	if uid, ok := owner(info); ok {
		whose = fmt.Sprintf(" (it belongs to user %d, with mode %03o)", uid, info.Mode().Perm())
	}
	return refusal{fmt.Errorf("the file %s cannot be read%s: run overlayd as root, and chown root %[1]s; chmod 600 %[1]s", path, whose)}
}

// guard refuses a file of another user, who could replace it, and takes from others the right to read it. A whole
// directory of another user is that user's choice.
func (d *Dir) guard(path string, info fs.FileInfo) error {
	uid, ok := owner(info)
	if dir, err := os.Stat(d.path); ok && err == nil {
		if of, ok := owner(dir); ok && uid != of && uid != 0 && int(uid) != os.Geteuid() {
			return refusal{fmt.Errorf("the file %s belongs to user %d, who could change it, and the state directory to user %d: run chown %[3]d %[1]s",
				path, uid, of)}
		}
	}
	mode := info.Mode().Perm()
	if mode&0o077 == 0 {
		return nil
	}
	if err := os.Chmod(path, 0o600); err != nil {
		d.notice("the file %s can be used by others (mode %03o), and that cannot be changed (%v): run chmod 600 %[1]s", path, mode, err)
		return nil
	}
	d.notice("the file %s could be used by others (mode %03o) and has mode 600 now: if anybody may have read it, "+
		"give this node a new identity with overlayd reset", path, mode)
	return nil
}

func owner(info fs.FileInfo) (uint32, bool) {
	if info == nil {
		return 0, false
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return s.Uid, true
}
