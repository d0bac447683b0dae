package state

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"overlayd/internal/member"
	"overlayd/internal/policy"
)

var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func open(t *testing.T, path string) *Dir {
	t.Helper()
	d, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// filled is a directory with every file in it.
func filled(t *testing.T, path string) {
	t.Helper()
	d := open(t, path)
	id, err := member.NewIdentity(rand.Reader)
	check(t, err)
	root, err := member.NewRootKey(rand.Reader)
	check(t, err)
	network, err := member.NewNetwork(root, "test", netip.MustParsePrefix("10.1.0.0/16"), start)
	check(t, err)
	cert, err := member.Found(root, network, id, "founder", start)
	check(t, err)
	record, err := member.SignRecord(id, cert, 1, member.Statement{})
	check(t, err)
	check(t, d.CreateIdentity(id))
	check(t, d.CreateRootKey(root))
	check(t, d.SaveNetwork(Membership{
		Network: network, Certificate: cert.Raw(),
		Contact: Contact{Node: id.ID(), Endpoint: netip.MustParseAddrPort("203.0.113.7:51871")},
	}))
	check(t, d.SaveItems([][]byte{member.Item{Kind: member.KindRecord, Raw: record.Raw()}.Stored()}))
	check(t, d.SaveRules([]policy.Rule{{ID: 7, Kind: policy.Hops, Hops: 2, At: start}}))
	_, err = d.NextEpoch(start)
	check(t, err)
	check(t, d.Close())
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// load reads every file and returns what went wrong, by file.
func load(d *Dir) map[string]error {
	errs := map[string]error{}
	_, errs["identity"] = d.Identity()
	_, errs["root"] = d.RootKey()
	_, errs["network"] = d.Network()
	_, errs["policy"] = d.Rules()
	_, errs["records"] = d.Items()
	_, errs["epoch"] = d.NextEpoch(start)
	return errs
}

func TestWhatIsStoredComesBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	filled(t, path)
	d := open(t, path)
	for name, err := range load(d) {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	m, err := d.Network()
	if err != nil || m.Contact.Endpoint.String() != "203.0.113.7:51871" || m.Contact.Node.IsZero() {
		t.Errorf("contact %v, %v", m.Contact, err)
	}
	if items, err := d.Items(); err != nil || len(items) != 1 {
		t.Errorf("%d items, %v", len(items), err)
	}
	if rules, err := d.Rules(); err != nil || len(rules) != 1 || rules[0].ID != 7 || !rules[0].At.Equal(start) {
		t.Errorf("rules %+v, %v", rules, err)
	}
	if err := d.CreateRootKey(make([]byte, 64)); !errors.Is(err, ErrExists) {
		t.Errorf("root key replaced: %v", err)
	}
}

func TestOnlyTheOwnerCanReadTheState(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	filled(t, path)
	info, err := os.Stat(path)
	check(t, err)
	if info.Mode().Perm() != 0o700 {
		t.Errorf("directory has mode %o", info.Mode().Perm())
	}
	entries, err := os.ReadDir(path)
	check(t, err)
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o, %v", e.Name(), info.Mode().Perm(), err)
		}
	}
}

func TestAbsentIsNotDamaged(t *testing.T) {
	d := open(t, t.TempDir())
	for name, err := range load(d) {
		optional := name == "records" || name == "epoch" || name == "policy"
		if optional && err != nil || !optional && !errors.Is(err, ErrAbsent) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDamagedFileIsNotOverwrittenUnread(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	filled(t, path)
	bad := []byte("half a file")
	d := open(t, path)
	m, err := d.Network()
	check(t, err)
	check(t, d.Close())
	check(t, os.WriteFile(filepath.Join(path, "network"), bad, 0o600))
	check(t, os.WriteFile(filepath.Join(path, "network.copy"), bad, 0o600))
	d = open(t, path)
	if err := d.SaveNetwork(m); !errors.Is(err, ErrDamaged) {
		t.Errorf("saved over a damaged file: %v", err)
	}
	for _, name := range []string{"network", "network.copy"} {
		if b, err := os.ReadFile(filepath.Join(path, name)); err != nil || !bytes.Equal(b, bad) {
			t.Errorf("the damaged file %s was changed", name)
		}
	}
}

func TestRulesThatNobodyCanHaveMadeAreDamage(t *testing.T) {
	d := open(t, t.TempDir())
	check(t, d.SaveRules([]policy.Rule{{ID: 7, Kind: policy.Hops, Hops: 99}}))
	if rules, err := d.Rules(); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "overlayctl route") {
		t.Errorf("rules %+v, %v", rules, err)
	}
}

func TestHalfWrittenTemporaryFileIsHarmless(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	filled(t, path)
	temporary := filepath.Join(path, ".network123")
	check(t, os.WriteFile(temporary, []byte("half"), 0o600))
	for name, err := range load(open(t, path)) {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := os.Stat(temporary); err == nil {
		t.Error("the temporary file is still there")
	}
}

func TestSecondOwnerIsRefused(t *testing.T) {
	path := t.TempDir()
	d := open(t, path)
	if _, err := Open(path); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), path) {
		t.Fatalf("second: %v", err)
	}
	check(t, d.Close())
	open(t, path)
}

func TestStateThatOthersCanWriteIsRefused(t *testing.T) {
	path := t.TempDir()
	check(t, os.Chmod(path, 0o777))
	if _, err := Open(path); err == nil || !strings.Contains(err.Error(), "chmod 700") {
		t.Errorf("opened: %v", err)
	}
}

func TestEpochGrowsWhateverTheClock(t *testing.T) {
	path := t.TempDir()
	var last uint64
	for i, now := range []time.Time{start, start, start.Add(-24 * time.Hour), start.Add(time.Hour), time.Unix(-5, 0)} {
		d := open(t, path)
		epoch, err := d.NextEpoch(now)
		check(t, err)
		check(t, d.Close())
		if epoch <= last {
			t.Errorf("start %d: epoch %d after %d", i, epoch, last)
		}
		last = epoch
	}
}

func FuzzFile(f *testing.F) {
	for _, kind := range files {
		b, err := kind.pack(map[int]int{1: 2})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var c networkContent
		for _, kind := range files {
			if err := kind.unpack(b, &c); err != nil && !errors.Is(err, ErrDamaged) {
				t.Error(fmt.Errorf("%s: %w", kind.name, err))
			}
		}
	})
}

func TestForgettingLeavesNothingThatMakesAMember(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	filled(t, path)
	d := open(t, path)
	for range 2 { // one that broke off can be repeated
		check(t, d.Forget())
	}
	if fresh := open(t, filepath.Join(t.TempDir(), "fresh")); !d.Ran() || fresh.Ran() {
		t.Error("a directory that a node ran from is not told from a fresh one")
	}
	for _, name := range []string{"identity", "identity.copy", "root", "network.copy", "records.copy", "policy.copy"} {
		if _, err := os.Lstat(filepath.Join(path, name)); err == nil {
			t.Errorf("%s is still there", name)
		}
	}
	for name, err := range load(d) {
		if want := name == "identity" || name == "root" || name == "network"; want != errors.Is(err, ErrAbsent) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if rules, err := d.Rules(); err != nil || len(rules) != 0 {
		t.Errorf("rules for the nodes of another network: %+v, %v", rules, err)
	}
	id, err := member.NewIdentity(rand.Reader)
	check(t, err)
	check(t, d.CreateIdentity(id))
}
