package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"overlayd/config"
	"overlayd/internal/cli"
	"overlayd/internal/member"
	"overlayd/internal/state"
)

func openDir(t *testing.T, path string) *state.Dir {
	t.Helper()
	dir, err := state.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dir.Close() })
	return dir
}

func TestUpMakesANetworkOfOne(t *testing.T) {
	dir := openDir(t, t.TempDir())
	var log bytes.Buffer
	broken := errors.New("no root")
	e := entry{dir: dir, name: "belmont", create: true, log: testLogger(&log)}
	e.canRun = func(netip.Prefix) error { return broken }
	if err := e.ensureNetwork(t.Context()); !errors.Is(err, broken) {
		t.Fatalf("got %v, want %v", err, broken)
	}
	if entries, err := os.ReadDir(dir.Path()); err != nil || len(entries) != 1 {
		t.Errorf("besides the lock there is %v, %v", entries, err)
	}
	e.canRun = func(netip.Prefix) error { return nil }
	for range 2 { // the second time it is there
		if err := e.ensureNetwork(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if !strings.Contains(log.String(), "overlayctl invite") {
		t.Errorf("log: %s", &log)
	}
	if m, err := dir.Network(); err != nil || m.Network.Name != defaultNetwork {
		t.Error(err)
	}
}

func TestUpMakesNoNetworkUnasked(t *testing.T) {
	dir := openDir(t, t.TempDir())
	e := entry{dir: dir, name: "belmont", log: testLogger(new(bytes.Buffer)), canRun: func(netip.Prefix) error { return nil }}
	err := e.ensureNetwork(t.Context())
	if cli.Status(err) != cli.ExitConfig || !strings.Contains(err.Error(), "overlayd join") || !strings.Contains(err.Error(), dir.Path()) {
		t.Errorf("got %v with status %d", err, cli.Status(err))
	}
	if entries, err := os.ReadDir(dir.Path()); err != nil || len(entries) != 1 {
		t.Errorf("besides the lock there is %v, %v", entries, err)
	}
}

func TestServiceManagersDoNotMakeNetworks(t *testing.T) {
	stderr, err := os.Stat(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	at := stderr.Sys().(*syscall.Stat_t)
	stream := fmt.Sprintf("%d:%d", at.Dev, at.Ino)
	for _, tt := range []struct {
		name      string
		env       map[string]string
		pid, ppid int
		want      bool
	}{
		{"by hand", nil, 100, 99, false},
		{"orphaned, as by nohup", nil, 100, 1, false},
		{"a unit that tells when it is ready", map[string]string{"NOTIFY_SOCKET": "/run/systemd/notify"}, 100, 1, true},
		{"another unit", map[string]string{"INVOCATION_ID": "0123"}, 100, 1, true},
		{"by a script in a unit, into the journal", map[string]string{"INVOCATION_ID": "0123", "JOURNAL_STREAM": stream}, 100, 99, true},
		{"by hand in a session that a unit began", map[string]string{"INVOCATION_ID": "0123", "JOURNAL_STREAM": "8:1"}, 100, 99, false},
		{"the first process of a container", nil, 1, 0, true},
	} {
		env := func(name string) (string, bool) { v, ok := tt.env[name]; return v, ok }
		if got := managed(env, tt.pid, tt.ppid, stderr); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
	if !mayCreate(config.CreateAlways) || mayCreate(config.CreateNever) {
		t.Error("whoever starts it, up does what it is told")
	}
}

func TestNetworkIsNotMadeOverAnAttachedOne(t *testing.T) {
	dir := openDir(t, t.TempDir())
	var log bytes.Buffer
	lan := []member.Attached{{Interface: "eth0", Prefix: netip.MustParsePrefix("10.71.5.0/24")}}
	e := entry{
		dir: dir, name: "belmont", create: true, attached: lan, log: testLogger(&log),
		canRun: func(netip.Prefix) error { return nil },
	}
	err := e.ensureNetwork(t.Context())
	for _, word := range []string{"10.71.5.0/24 (eth0)", "10.71.0.0/16", "overlayd init --prefix 10.72.0.0/16"} {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%q is missing in: %v", word, err)
		}
	}
	e.attached = nil
	if err := e.ensureNetwork(t.Context()); err != nil {
		t.Fatal(err)
	}
	e.attached = lan // it came later
	if err := e.ensureNetwork(t.Context()); err != nil || !strings.Contains(log.String(), "10.71.5.0/24 (eth0)") {
		t.Errorf("a member is not warned: %v, %s", err, &log)
	}
}

// unreachable is a token that names an endpoint where nobody answers.
func unreachable(t *testing.T) string {
	t.Helper()
	h := newHost(t, 1<<30)
	return h.token(t)
}

func TestJoinThatFoundNobodyIsCompletedByUp(t *testing.T) {
	h := newHost(t, 0)
	token, path := h.token(t), t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stderr bytes.Buffer
	if status := run(ctx, []string{"join", token, "--name", "boston", "--state", path}, &stderr, &stderr, &stderr); status != cli.ExitFailed {
		t.Fatalf("status %d, %s", status, &stderr)
	}
	if !strings.Contains(stderr.String(), "overlayd up") {
		t.Errorf("it is not said that up goes on: %s", &stderr)
	}
	dir := openDir(t, path)
	var log bytes.Buffer
	e := entry{dir: dir, name: "other", create: true, log: testLogger(&log), canRun: func(netip.Prefix) error { return nil }}
	if err := e.ensureNetwork(t.Context()); err != nil {
		t.Fatal(err)
	}
	m, err := dir.Network()
	if err != nil || m.Network.ID != h.set.Network().ID {
		t.Errorf("up has not joined, but is in %+v, %v", m.Network, err)
	}
	if _, err := dir.Pending(); !errors.Is(err, state.ErrAbsent) {
		t.Errorf("the token is still stored: %v", err)
	}
	if strings.Contains(log.String(), token) {
		t.Error("the token was logged")
	}
}

func TestUpGoesOnTryingToJoinAndMakesNoNetwork(t *testing.T) {
	path := t.TempDir()
	dir := openDir(t, path)
	if err := dir.SavePending(state.Pending{Token: unreachable(t), Name: "boston"}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // rather than to wait for answers for ten seconds
	e := entry{dir: dir, create: true, log: testLogger(new(bytes.Buffer)), canRun: func(netip.Prefix) error { return nil }}
	if err := e.ensureNetwork(ctx); cli.Status(err) != cli.ExitFailed || !strings.Contains(err.Error(), "overlayd reset") {
		t.Errorf("got %v with status %d", err, cli.Status(err))
	}
	if _, err := dir.Network(); !errors.Is(err, state.ErrAbsent) {
		t.Errorf("a network: %v", err)
	}
	if _, err := dir.Pending(); err != nil {
		t.Errorf("the token is forgotten: %v", err)
	}
}

func TestRefusedJoinIsNotRepeated(t *testing.T) {
	h := newHost(t, 0)
	token := h.token(t)
	if status, _, stderr := call(t, "join", token, "--name", "boston", "--state", t.TempDir()); status != 0 {
		t.Fatal(stderr)
	}
	dir := openDir(t, t.TempDir())
	if err := dir.SavePending(state.Pending{Token: token, Name: "cambridge"}); err != nil {
		t.Fatal(err)
	}
	e := entry{dir: dir, create: true, log: testLogger(new(bytes.Buffer)), canRun: func(netip.Prefix) error { return nil }}
	if err := e.ensureNetwork(t.Context()); cli.Status(err) != cli.ExitConfig || !strings.Contains(err.Error(), "new token") {
		t.Errorf("got %v with status %d", err, cli.Status(err))
	}
	if _, err := dir.Pending(); !errors.Is(err, state.ErrAbsent) {
		t.Errorf("it would be tried again: %v", err)
	}
}

func TestJoinReplacesANetworkOfOne(t *testing.T) {
	h := newHost(t, 0)
	path := filepath.Join(t.TempDir(), "state")
	if status, _, stderr := call(t, "init", "--name", "boston", "--network", "alone", "--state", path); status != 0 {
		t.Fatal(stderr)
	}
	before, err := os.ReadFile(filepath.Join(path, "network"))
	if err != nil {
		t.Fatal(err)
	}
	refused(t, 1, "this is no token", "join", "x", "--name", "boston", "--state", path)
	status, stdout, stderr := call(t, "join", h.token(t), "--name", "boston", "--state", path)
	if status != 0 || !strings.Contains(stdout, "10.71.0.2") || !strings.Contains(stderr, "alone") {
		t.Fatalf("status %d, %q, %q", status, stdout, stderr)
	}
	dir := openDir(t, path)
	m, err := dir.Network()
	if err != nil || m.Network.Name != defaultNetwork {
		t.Errorf("network: %v", err)
	}
	if _, err := dir.RootKey(); !errors.Is(err, state.ErrAbsent) {
		t.Errorf("the root key of the other network: %v", err)
	}
	kept, err := filepath.Glob(filepath.Join(path, "backup-*", "network"))
	if err != nil || len(kept) != 1 {
		t.Fatalf("kept %v, %v", kept, err)
	}
	if b, err := os.ReadFile(kept[0]); err != nil || !bytes.Equal(b, before) {
		t.Error("the backup is not what was there")
	}
}

func TestJoinDoesNotReplaceANetworkWithOthers(t *testing.T) {
	h, another := newHost(t, 0), newHost(t, 0)
	path := t.TempDir()
	if status, _, stderr := call(t, "join", h.token(t), "--name", "boston", "--state", path); status != 0 {
		t.Fatal(stderr)
	}
	token := another.token(t)
	refused(t, 1, "--replace", "join", token, "--name", "boston", "--state", path)
	if status, _, stderr := call(t, "join", token, "--name", "boston", "--replace", "--state", path); status != 0 {
		t.Fatal(stderr)
	}
	if m, err := openDir(t, path).Network(); err != nil || m.Network.ID != another.set.Network().ID {
		t.Errorf("network %+v, %v", m.Network, err)
	}
}

func TestFailedJoinLeavesANetworkOfOneAlone(t *testing.T) {
	h := newHost(t, 0)
	token := h.token(t)
	if status, _, stderr := call(t, "join", token, "--name", "boston", "--state", t.TempDir()); status != 0 {
		t.Fatal(stderr)
	}
	path := t.TempDir()
	if status, _, stderr := call(t, "init", "--name", "cambridge", "--network", "alone", "--state", path); status != 0 {
		t.Fatal(stderr)
	}
	refused(t, 1, "stays in its network", "join", token, "--name", "cambridge", "--state", path)
	dir := openDir(t, path)
	if m, err := dir.Network(); err != nil || m.Network.Name != "alone" {
		t.Errorf("network %v", err)
	}
	if _, err := dir.Pending(); !errors.Is(err, state.ErrAbsent) {
		t.Errorf("pending: %v", err)
	}
}

func TestTokenNeedNotBeAnArgument(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("of-file\nmore\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		source tokenSource
		want   string
		status int
	}{
		{"argument", tokenSource{args: []string{"of-argument"}, variable: "of-variable"}, "of-argument", 0},
		{"file", tokenSource{file: file, variable: "of-variable"}, "of-file", 0},
		{"standard input", tokenSource{args: []string{"-"}}, "of-stdin", 0},
		{"standard input as a file", tokenSource{file: "-"}, "of-stdin", 0},
		{"variable", tokenSource{variable: " of-variable\n"}, "of-variable", 0},
		{"nothing", tokenSource{}, "", cli.ExitUsage},
		{"two arguments", tokenSource{args: []string{"a", "b"}}, "", cli.ExitUsage},
		{"argument and file", tokenSource{args: []string{"a"}, file: file}, "", cli.ExitUsage},
		{"no such file", tokenSource{file: file + "x"}, "", cli.ExitFailed},
	} {
		tt.source.stdin = strings.NewReader("of-stdin\n")
		got, err := tt.source.read()
		if got != tt.want || cli.Status(err) != tt.status {
			t.Errorf("%s: got %q, %v", tt.name, got, err)
		}
	}
	if _, err := (tokenSource{args: []string{"-"}, stdin: strings.NewReader("\n")}).read(); err == nil {
		t.Error("an empty line is taken for a token")
	}
}

func TestJoinTakesTheTokenFromTheEnvironment(t *testing.T) {
	h := newHost(t, 0)
	t.Setenv(config.TokenVariable, h.token(t))
	if status, _, stderr := call(t, "join", "--name", "boston", "--state", t.TempDir()); status != 0 {
		t.Fatal(stderr)
	}
}

func TestResetKeepsABackup(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	if status, _, stderr := call(t, "init", "--name", "belmont", "--network", "alone", "--state", path); status != 0 {
		t.Fatal(stderr)
	}
	refused(t, cli.ExitUsage, "--yes", "reset", "--state", path)
	if _, err := os.Stat(filepath.Join(path, "identity")); err != nil {
		t.Fatal(err)
	}
	status, stdout, stderr := call(t, "reset", "--yes", "--state", path)
	for _, word := range []string{"alone", "only member", "root key", path + "/backup-", "overlayd join", "overlayd init"} {
		if !strings.Contains(stdout, word) {
			t.Errorf("%q is missing in: %s", word, stdout)
		}
	}
	if status != 0 || stderr != "" {
		t.Errorf("status %d, %s", status, stderr)
	}
	if status, _, stderr := call(t, "init", "--name", "belmont", "--state", path); status != 0 {
		t.Error(stderr)
	}
	if kept, err := filepath.Glob(filepath.Join(path, "backup-*", "identity")); err != nil || len(kept) != 1 {
		t.Errorf("kept %v, %v", kept, err)
	}
}

func TestPrefixesThatCannotWorkAreRefused(t *testing.T) {
	for prefix, word := range map[string]string{
		"127.0.0.0/8": "loopback", "224.0.0.0/8": "multicast", "8.8.8.0/24": "public", "240.0.0.0/8": "reserved",
	} {
		refused(t, cli.ExitUsage, word, "init", "--name", "a", "--prefix", prefix, "--state", t.TempDir())
	}
}

func TestResetAsksAtATerminal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	if status, _, stderr := call(t, "init", "--name", "belmont", "--state", path); status != 0 {
		t.Fatal(stderr)
	}
	for _, tt := range []struct {
		answer string
		status int
	}{{"\n", cli.ExitFailed}, {"y\n", cli.ExitFailed}, {"yes\n", cli.ExitOK}} {
		person, program := newTerminal(t)
		if _, err := person.WriteString(tt.answer); err != nil {
			t.Fatal(err)
		}
		var stdout, stderr bytes.Buffer
		status := run(t.Context(), []string{"reset", "--state", path}, program, &stdout, &stderr)
		if status != tt.status || !strings.Contains(stderr.String(), "Type yes") {
			t.Errorf("%q: status %d, %s", tt.answer, status, &stderr)
		}
		if _, err := os.Stat(filepath.Join(path, "identity")); (err == nil) != (tt.status != cli.ExitOK) {
			t.Errorf("%q: the identity: %v", tt.answer, err)
		}
	}
}
