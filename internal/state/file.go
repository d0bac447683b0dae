package state

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/renameio/v2"
	"golang.org/x/crypto/blake2s"
)

// file is one kind of file in the directory.
type file struct {
	name  string
	aside bool   // if damaged, it is moved aside, since it can be made again
	help  string // what to do about a damaged one
}

var (
	identityFile = file{name: "identity", help: "restore it from a copy, or remove the whole directory and join " +
		"the network again with a new token (overlayd join)"}
	rootFile = file{name: "root", help: "restore it from a copy, or remove it to go on without the right to " +
		"sign certificates"}
	networkFile = file{name: "network", help: "restore it from a copy, or remove it and join the network again " +
		"with a new token (overlayd join)"}
	policyFile = file{name: "policy", help: "restore it from a copy, or remove it to go on without the rules that " +
		"`overlayctl route` made"}
	recordsFile = file{name: "records", aside: true, help: "the other members will be learned again"}
	epochFile   = file{name: "epoch", aside: true, help: "the clock of this machine takes its place"}

	files = []file{identityFile, rootFile, networkFile, policyFile, recordsFile, epochFile}
)

const (
	maxFile     = 16 << 20 // bytes; MaxMembers records have about 5 MB
	checksumLen = blake2s.Size
)

func (f file) header() []byte { return fmt.Appendf(nil, "overlayd state 1 %s\n", f.name) }

// pack is the content of the file for a value.
func (f file) pack(v any) ([]byte, error) {
	body, err := cbor.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", f.name, err)
	}
	b := append(f.header(), body...)
	sum := blake2s.Sum256(b)
	return append(b, sum[:]...), nil
}

// unpack reads what pack wrote; whatever else it finds is ErrDamaged.
func (f file) unpack(b []byte, v any) error {
	if len(b) < checksumLen {
		return fmt.Errorf("%w: too short", ErrDamaged)
	}
	b, sum := b[:len(b)-checksumLen], b[len(b)-checksumLen:]
	if want := blake2s.Sum256(b); !bytes.Equal(want[:], sum) {
		return fmt.Errorf("%w: checksum", ErrDamaged)
	}
	body, ok := bytes.CutPrefix(b, f.header())
	if !ok {
		return fmt.Errorf("%w: not of this version of overlayd", ErrDamaged)
	}
	if err := cbor.Unmarshal(body, v); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return nil
}

// read reads a file into v, and says, if it is damaged, what to do.
func (d *Dir) read(f file, v any) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.readLocked(f, v)
}

func (d *Dir) readLocked(f file, v any) error {
	path := filepath.Join(d.path, f.name)
	b, err := readAll(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", path, ErrAbsent)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	if err := f.unpack(b, v); err != nil {
		return d.damaged(f, err)
	}
	d.sound[f.name] = true
	return nil
}

// remove removes a file; it may be absent.
func (d *Dir) remove(f file) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	path := filepath.Join(d.path, f.name)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", path, err)
	}
	delete(d.sound, f.name)
	return nil
}

func readAll(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, maxFile))
}

// damaged moves a file that can be made again aside, and returns the sentence about the damage.
func (d *Dir) damaged(f file, err error) error {
	path := filepath.Join(d.path, f.name)
	if !f.aside {
		return fmt.Errorf("the file %s is not usable (%w): %s", path, err, f.help)
	}
	kept, moveErr := d.aside(f.name)
	if moveErr != nil {
		return fmt.Errorf("the file %s is not usable (%w), and stays where it is: %w", path, err, moveErr)
	}
	return fmt.Errorf("the file %s was not usable (%w) and is kept as %s: start again, %s", path, err, kept, f.help)
}

// write replaces a file as a whole. One that was not read before is looked at first: a damaged one stays.
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
	if _, err := os.Lstat(filepath.Join(d.path, f.name)); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", filepath.Join(d.path, f.name), ErrExists)
	}
	return d.replace(f, v)
}

func (d *Dir) replace(f file, v any) error {
	path := filepath.Join(d.path, f.name)
	b, err := f.pack(v)
	if err != nil {
		return err
	}
	t, err := renameio.NewPendingFile(path, renameio.WithTempDir(d.path), renameio.WithStaticPermissions(0o600))
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() { _ = t.Cleanup() }()
	if _, err := t.Write(b); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := t.CloseAtomicallyReplace(); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	d.sound[f.name] = true
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
