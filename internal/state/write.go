package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/renameio/v2"
)

// write replaces a file as a whole. One that was not read before is looked at first: a damaged one stays, or is moved aside.
func (d *Dir) write(f file, v any) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.sound[f.name] {
		var ignored cbor.RawMessage
		if err := d.readLocked(f, &ignored); err != nil && !errors.Is(err, ErrAbsent) {
			return err
		}
	}
	return d.replace(f, v)
}

// create writes a file that must not be there.
func (d *Dir) create(f file, v any) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, name := range []string{f.name, f.copyName()} {
		if _, err := os.Lstat(d.pathOf(name)); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s: %w", d.pathOf(name), ErrExists)
		}
	}
	return d.replace(f, v)
}

// replace writes a file and its copy.
func (d *Dir) replace(f file, v any) error {
	b, err := f.pack(v)
	if err != nil {
		return err
	}
	if err := d.put(f.name, b); err != nil {
		return err
	}
	d.sound[f.name] = true
	if f.copy {
		_ = d.put(f.copyName(), b) // Problem tells
	}
	return nil
}

// put replaces one file: a temporary one is written, synced and renamed, and the directory is synced.
func (d *Dir) put(name string, b []byte) error {
	err := d.putFile(d.pathOf(name), b)
	if err == nil {
		d.problem.Store(nil)
	} else {
		d.problem.Store(&err)
	}
	return err
}

func (d *Dir) putFile(path string, b []byte) error {
	t, err := renameio.NewPendingFile(path, renameio.WithTempDir(d.path), renameio.WithStaticPermissions(0o600))
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() { _ = t.Cleanup() }()
	if _, err := t.Write(b); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := t.CloseAtomicallyReplace(); err != nil { // syncs it first
		return fmt.Errorf("write %s: %w", path, err)
	}
	return d.syncDir()
}

// syncDir makes a rename last through a power failure.
func (d *Dir) syncDir() error {
	f, err := os.Open(d.path)
	if err != nil {
		return fmt.Errorf("sync %s: %w", d.path, err)
	}
	defer func() { _ = f.Close() }()
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", d.path, err)
	}
	return nil
}

// remove removes a file and all copies of it, the file itself last: a removal that broke off is repeated.
func (d *Dir) remove(f file) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	names := []string{f.copyName(), f.name}
	if entries, err := os.ReadDir(d.path); err == nil {
		for _, e := range entries {
			if f.damagedName(e.Name()) {
				names = append([]string{e.Name()}, names...)
			}
		}
	}
	for _, name := range names {
		if err := os.RemoveAll(d.pathOf(name)); err != nil { // what stood in the place of a file may be a directory
			return fmt.Errorf("remove %s: %w", d.pathOf(name), err)
		}
	}
	delete(d.sound, f.name)
	return d.syncDir()
}
