package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// backupMark begins the names of the directories that SetAside makes.
const backupMark = "backup-"

// Backup copies the files of this node into a new directory, and returns its path.
func (d *Dir) Backup(now time.Time) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	to, err := d.makeBackup(now)
	if err != nil {
		return "", err
	}
	for _, f := range files {
		b, err := os.ReadFile(d.pathOf(f.name))
		if err != nil {
			continue // what cannot be read is not lost: it stays
		}
		if err := d.putFile(filepath.Join(to, f.name), b); err != nil {
			return to, err
		}
	}
	return to, d.syncDir()
}

func (d *Dir) makeBackup(now time.Time) (string, error) {
	to := d.pathOf(backupMark + now.UTC().Format(stampForm))
	if err := os.Mkdir(to, 0o700); err != nil {
		return "", fmt.Errorf("make the directory %s for what this node was: %w", to, err)
	}
	return to, nil
}

// SetAside moves all that the directory holds into a new one inside it, and returns its path; empty if there was nothing.
// The network goes first: a SetAside that broke off leaves no member behind, and can be repeated.
func (d *Dir) SetAside(now time.Time) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return "", access(d.path, err)
	}
	var names []string
	for _, e := range entries {
		if e.Name() != "lock" && !strings.HasPrefix(e.Name(), backupMark) {
			names = append(names, e.Name())
		}
	}
	if len(names) == 0 {
		return "", nil
	}
	first := []string{networkFile.name, networkFile.copyName()} // the copy first of all: the file would be restored from it
	slices.SortStableFunc(names, func(a, b string) int { return slices.Index(first, b) - slices.Index(first, a) })
	to, err := d.makeBackup(now)
	if err != nil {
		return "", err
	}
	for _, name := range names {
		if err := os.Rename(d.pathOf(name), filepath.Join(to, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return to, fmt.Errorf("move %s to %s: %w; run the same command again", d.pathOf(name), to, err)
		}
	}
	clear(d.sound)
	return to, d.syncDir()
}
