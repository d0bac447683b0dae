package state

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"overlayd/internal/policy"
)

// damages are what may happen to one file; older is a version of it from before.
var damages = map[string]func(t *testing.T, path string, older []byte){
	"truncated": func(t *testing.T, path string, _ []byte) {
		whole, err := os.ReadFile(path)
		check(t, err)
		check(t, os.WriteFile(path, whole[:len(whole)*2/3], 0o600))
	},
	"emptied": func(t *testing.T, path string, _ []byte) { check(t, os.Truncate(path, 0)) },
	"garbage": func(t *testing.T, path string, _ []byte) {
		check(t, os.WriteFile(path, bytes.Repeat([]byte("garbage "), 99), 0o600))
	},
	"bit flipped": func(t *testing.T, path string, _ []byte) {
		whole, err := os.ReadFile(path)
		check(t, err)
		whole[len(whole)/2] ^= 4
		check(t, os.WriteFile(path, whole, 0o600))
	},
	"zeroed": func(t *testing.T, path string, _ []byte) {
		whole, err := os.ReadFile(path)
		check(t, err)
		check(t, os.WriteFile(path, make([]byte, len(whole)), 0o600))
	},
	"another file's": func(t *testing.T, path string, _ []byte) {
		other := "epoch"
		if filepath.Base(path) == other {
			other = "policy"
		}
		content, err := os.ReadFile(filepath.Join(filepath.Dir(path), other))
		check(t, err)
		check(t, os.WriteFile(path, content, 0o600))
	},
	"older":   func(t *testing.T, path string, older []byte) { check(t, os.WriteFile(path, older, 0o600)) },
	"deleted": func(t *testing.T, path string, _ []byte) { check(t, os.Remove(path)) },
	"a directory": func(t *testing.T, path string, _ []byte) {
		check(t, os.Remove(path))
		check(t, os.MkdirAll(filepath.Join(path, "inside"), 0o700))
	},
	"a pipe": func(t *testing.T, path string, _ []byte) {
		check(t, os.Remove(path))
		check(t, mkfifo(path))
	},
	"a link to nowhere": func(t *testing.T, path string, _ []byte) {
		check(t, os.Remove(path))
		check(t, os.Symlink("/nonexistent/file", path))
	},
	"mode 0666": func(t *testing.T, path string, _ []byte) { check(t, os.Chmod(path, 0o666)) },
}

// content is all that a directory holds, to be compared.
type content struct {
	identity, root, network string
	rules, items            int
}

// whole reads everything. Errors are by file; absent ones are none.
func whole(d *Dir) (c content, errs map[string]error) {
	errs = load(d)
	if id, err := d.Identity(); err == nil {
		c.identity = id.ID().String()
	}
	if root, err := d.RootKey(); err == nil {
		c.root = string(root)
	}
	if m, err := d.Network(); err == nil {
		c.network = string(m.Network.Raw()) + string(m.Certificate)
	}
	rules, _ := d.Rules()
	items, _ := d.Items()
	c.rules, c.items = len(rules), len(items)
	for name, err := range errs {
		if err == nil || errors.Is(err, ErrAbsent) {
			delete(errs, name)
		}
	}
	return c, errs
}

// TestEveryDamageToEveryFile holds, for one damaged file at a time: all that the node is, is as before, or the file is
// refused in a sentence that names it and says what to do. There is never another identity, and never a member or a
// revocation less.
func TestEveryDamageToEveryFile(t *testing.T) {
	pristine := filepath.Join(t.TempDir(), "state")
	filled(t, pristine)
	d := open(t, pristine)
	want, errs := whole(d)
	if len(errs) > 0 || want.items != 1 || want.rules != 1 {
		t.Fatalf("%+v, %v", want, errs)
	}
	check(t, d.Close())
	for _, f := range files {
		if f.name == pendingFile.name {
			continue // tested by itself: it is no part of what a member is
		}
		for kind, damage := range damages {
			t.Run(f.name+"/"+kind, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "state")
				check(t, os.CopyFS(path, os.DirFS(pristine)))
				privatize(t, path)
				file := filepath.Join(path, f.name)
				older, err := os.ReadFile(file)
				check(t, err)
				if f.name == "records" { // a revocation has come since
					d := open(t, path)
					items, err := d.Items()
					check(t, err)
					check(t, d.SaveItems(append(items, []byte("a revocation"))))
					check(t, d.Close())
				}
				damage(t, file, older)

				d := open(t, path)
				got, errs := whole(d)
				notices := d.Notices()
				for name, err := range errs {
					if name != f.name || f.name != "root" {
						t.Errorf("%s is refused: %v", name, err)
					}
					if !errors.Is(err, ErrUnusable) || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "restore it") {
						t.Errorf("not a refusal that names the file and the remedy: %v", err)
					}
				}
				if f.name == "root" {
					if kind == "deleted" || len(errs) > 0 {
						want := want
						want.root = got.root
						if got.root != "" || got != want {
							t.Errorf("beside the root key something has changed")
						}
						return
					}
				}
				expect := want
				if f.name == "records" {
					expect.items++
				}
				if got != expect {
					t.Errorf("got %+v, want %+v", got, expect)
				}
				if kind != "older" && (len(notices) != 1 || !strings.Contains(notices[0], file)) {
					t.Errorf("not one notice that names the file: %q", notices)
				}
				check(t, d.Close())
				d = open(t, path) // it has been put right for good
				if again, errs := whole(d); again != got || len(errs) > 0 || len(d.Notices()) > 0 {
					t.Errorf("the second time: %+v, %v", again, errs)
				}
			})
		}
	}
}

// privatize gives a copied directory the modes that it had.
func privatize(t *testing.T, path string) {
	t.Helper()
	check(t, os.Chmod(path, 0o700))
	entries, err := os.ReadDir(path)
	check(t, err)
	for _, e := range entries {
		if !e.IsDir() {
			check(t, os.Chmod(filepath.Join(path, e.Name()), 0o600))
		}
	}
}

// TestNoGoodCopyLeft damages a file and its copy.
func TestNoGoodCopyLeft(t *testing.T) {
	for _, f := range files {
		if !f.copy {
			continue
		}
		for kind, damage := range damages {
			if kind == "older" || kind == "mode 0666" {
				continue
			}
			t.Run(f.name+"/"+kind, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "state")
				filled(t, path)
				file := filepath.Join(path, f.name)
				damage(t, file, nil)
				damage(t, filepath.Join(path, f.copyName()), nil)
				before := listing(t, path)
				d := open(t, path)
				err := load(d)[f.name]
				switch {
				case f.free:
					if err != nil {
						t.Errorf("the node can do without: %v", err)
					}
					if notices := d.Notices(); kind != "deleted" && (len(notices) != 1 || !strings.Contains(notices[0], f.help)) {
						t.Errorf("it is not said what is lost: %q", notices)
					}
				case kind == "deleted":
					if f.name != "policy" && !errors.Is(err, ErrAbsent) {
						t.Errorf("got %v", err)
					}
				default:
					if !errors.Is(err, ErrUnusable) || !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), file) ||
						!strings.Contains(err.Error(), "restore it") || strings.Contains(err.Error(), "\n") {
						t.Errorf("not a refusal that names the file and the remedy: %v", err)
					}
					if after := listing(t, path); after != before {
						t.Errorf("a refused file was touched: %s, then %s", before, after)
					}
				}
			})
		}
	}
}

func listing(t *testing.T, path string) string {
	t.Helper()
	entries, err := os.ReadDir(path)
	check(t, err)
	var names []string
	for _, e := range entries {
		if e.Name() != "lock" && !strings.HasPrefix(e.Name(), "epoch") {
			names = append(names, e.Name())
		}
	}
	return strings.Join(names, " ")
}

func TestEpochGrowsWhereOneCopyIsOlder(t *testing.T) {
	path := t.TempDir()
	d := open(t, path)
	_, err := d.NextEpoch(start)
	check(t, err)
	older, err := os.ReadFile(filepath.Join(path, "epoch"))
	check(t, err)
	last, err := d.NextEpoch(start.Add(time.Hour))
	check(t, err)
	for _, name := range []string{"epoch", "epoch.copy"} {
		check(t, os.WriteFile(filepath.Join(path, name), older, 0o600))
		epoch, err := d.NextEpoch(start)
		if err != nil || epoch <= last {
			t.Errorf("%s is older: epoch %d after %d, %v", name, epoch, last, err)
		}
		last = epoch
	}
}

func TestImpossibleEpochIsNotBelieved(t *testing.T) {
	d := open(t, t.TempDir())
	check(t, d.write(epochFile, uint64(1<<63)))
	epoch, err := d.NextEpoch(start)
	if err != nil || epoch != uint64(start.UnixMicro()) || len(d.Notices()) != 1 {
		t.Errorf("epoch %d, %v", epoch, err)
	}
}

func TestPendingJoinIsKept(t *testing.T) {
	path := t.TempDir()
	d := open(t, path)
	if _, err := d.Pending(); !errors.Is(err, ErrAbsent) {
		t.Errorf("of an empty directory: %v", err)
	}
	want := Pending{Token: "secret", Name: "boston"}
	check(t, d.SavePending(want))
	if got, err := d.Pending(); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	check(t, os.WriteFile(filepath.Join(path, "pending"), []byte("x"), 0o600))
	if _, err := d.Pending(); !errors.Is(err, ErrAbsent) || len(d.Notices()) != 1 {
		t.Errorf("of a damaged one: %v", err)
	}
	check(t, d.SavePending(want))
	check(t, d.RemovePending())
	if list := listing(t, path); list != "" {
		t.Errorf("the token is left in %s", list)
	}
}

func TestSettingAsideKeepsEverything(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	filled(t, path)
	check(t, os.WriteFile(filepath.Join(path, "network"), []byte("damaged"), 0o600))
	before := listing(t, path)
	d := open(t, path)
	to, err := d.SetAside(start)
	check(t, err)
	if after := listing(t, to); after != before {
		t.Errorf("kept %s of %s", after, before)
	}
	if left := listing(t, path); left != filepath.Base(to) || d.Ran() {
		t.Errorf("left behind: %s", left)
	}
	for name, err := range load(d) {
		if err != nil && !errors.Is(err, ErrAbsent) {
			t.Errorf("%s: %v", name, err)
		}
	}
	check(t, d.SaveRules([]policy.Rule{{ID: 7, Kind: policy.Hops, Hops: 2, At: start}}))
	if again, err := d.SetAside(start.Add(time.Second)); err != nil || again == to {
		t.Errorf("the second time: %s, %v", again, err)
	}
	if none, err := d.SetAside(start.Add(2 * time.Second)); err != nil || none != "" {
		t.Errorf("with nothing there: %q, %v", none, err)
	}
}

func TestFileOfAnotherUserIsRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("giving a file to another user needs root: left out")
	}
	path := filepath.Join(t.TempDir(), "state")
	filled(t, path)
	file := filepath.Join(path, "identity")
	check(t, os.Chown(file, 4711, 4711))
	d := open(t, path)
	if _, err := d.Identity(); !errors.Is(err, ErrUnusable) || !strings.Contains(err.Error(), "chown 0 "+file) {
		t.Errorf("got %v", err)
	}
	check(t, os.Chown(path, 4711, 4711)) // the whole directory is that user's
	if _, err := d.Identity(); err != nil {
		t.Error(err)
	}
}

func TestDamagedVersionsAreBounded(t *testing.T) {
	path := t.TempDir()
	for i := range 3 * maxAside {
		d := open(t, path)
		_, err := d.NextEpoch(start)
		check(t, err)
		check(t, d.Close())
		check(t, os.WriteFile(filepath.Join(path, "epoch"), []byte{byte(i)}, 0o600))
	}
	open(t, path)
	if found, err := filepath.Glob(filepath.Join(path, "epoch.damaged-*")); err != nil || len(found) != maxAside {
		t.Errorf("%d damaged versions are kept", len(found))
	}
}

// A copy that is made later than the file does not lose what it has when the file is damaged, nor is it lost with it.
func TestItemsAreCopiedLater(t *testing.T) {
	path := t.TempDir()
	d := open(t, path)
	check(t, d.UpdateItems([][]byte{[]byte("one")}))
	check(t, d.CopyItems())
	check(t, d.UpdateItems([][]byte{[]byte("one"), []byte("two")}))
	check(t, d.Close())
	check(t, os.WriteFile(filepath.Join(path, "records"), []byte("garbage"), 0o600))
	d = open(t, path)
	if items, err := d.Items(); err != nil || len(items) != 1 {
		t.Errorf("%d items, %v", len(items), err)
	}
	if notices := d.Notices(); len(notices) != 1 || !strings.Contains(notices[0], "no revocation is lost") {
		t.Errorf("notices %q", notices)
	}
	check(t, d.Close())
	check(t, os.WriteFile(filepath.Join(path, "records"), []byte("garbage"), 0o600))
	d = open(t, path)
	check(t, d.UpdateItems([][]byte{[]byte("one"), []byte("three")})) // unread
	if items, err := d.Items(); err != nil || len(items) != 2 {
		t.Errorf("%d items, %v", len(items), err)
	}
}
