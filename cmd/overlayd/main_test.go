package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"overlayd/internal/cli"
	"overlayd/internal/join"
	"overlayd/internal/member"
	"overlayd/internal/state"
)

// call runs the command and returns its status, standard output and standard error.
func call(t *testing.T, args ...string) (int, string, string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	status := run(t.Context(), args, strings.NewReader(""), &stdout, &stderr)
	return status, stdout.String(), stderr.String()
}

// refused runs the command, which must fail with the status and one sentence that holds want.
func refused(t *testing.T, status int, want string, args ...string) {
	t.Helper()
	got, stdout, stderr := call(t, args...)
	if got != status || !strings.Contains(stderr, want) || strings.Count(stderr, "\n") != 1 || stdout != "" {
		t.Errorf("overlayd %q: status %d, %q, %q; want %d and %q", args, got, stdout, stderr, status, want)
	}
}

// host is a node that was made by init, answering joins on a loopback socket.
type host struct {
	addr netip.AddrPort

	mu        sync.Mutex
	set       *member.Set       // guarded by mu
	registrar *member.Registrar // guarded by mu
	door      *join.Door        // guarded by mu
}

func (h *host) token(t *testing.T) string {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	text, signed, err := join.Invite(time.Now(), h.registrar, rand.Reader, member.Offer{TTL: time.Hour}, []string{h.addr.String()})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.set.Step(time.Now(), member.Learn{Items: signed}); err != nil {
		t.Fatal(err)
	}
	return text
}

// newHost runs init in a directory, opens what it stored, and serves joins; the first lose replies are lost.
func newHost(t *testing.T, lose int) *host {
	t.Helper()
	path := filepath.Join(t.TempDir(), "founder")
	if status, _, stderr := call(t, "init", "--name", "belmont", "--state", path); status != 0 {
		t.Fatal(stderr)
	}
	dir, err := state.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dir.Close() })
	id, err := dir.Identity()
	if err != nil {
		t.Fatal(err)
	}
	root, err := dir.RootKey()
	if err != nil {
		t.Fatal(err)
	}
	m, err := dir.Network()
	if err != nil {
		t.Fatal(err)
	}
	items, err := dir.Items()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	cert, err := m.Network.VerifyCertificate(m.Certificate, now)
	if err != nil {
		t.Fatal(err)
	}
	set := member.NewSet(m.Network, id, cert, mathrand.New(mathrand.NewPCG(1, 2)))
	if err := set.Step(now, member.Load{Items: items}); err != nil {
		t.Fatal(err)
	}
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	registrar := member.NewRegistrar(set, id, root)
	h := &host{
		addr: conn.LocalAddr().(*net.UDPAddr).AddrPort(),
		set:  set, registrar: registrar, door: join.NewDoor(set, registrar, rand.Reader, "v1.0"),
	}
	done := make(chan struct{})
	t.Cleanup(func() { _ = conn.Close(); <-done })
	go func() {
		defer close(done)
		h.serve(conn, lose)
	}()
	return h
}

func (h *host) serve(conn *net.UDPConn, lose int) {
	buf := make([]byte, 2048)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		answer, err := h.receive(from, buf[:n])
		if err != nil {
			continue
		}
		if lose > 0 {
			lose--
			continue
		}
		_, _ = conn.WriteToUDPAddrPort(answer.Frame, from)
	}
}

func (h *host) receive(from netip.AddrPort, frame []byte) (join.Answer, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	answer, err := h.door.Receive(time.Now(), from, nil, frame, nil)
	if err == nil {
		err = h.set.Step(time.Now(), member.Learn{Items: answer.Learn})
	}
	return answer, err
}

func TestInitMakesANetworkOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	status, stdout, stderr := call(t, "init", "--name", "belmont", "--network", "lab", "--prefix", "10.9.0.0/24", "--state", path)
	if status != 0 || stderr != "" || !strings.Contains(stdout, "10.9.0.1") {
		t.Fatalf("status %d, %q, %q", status, stdout, stderr)
	}
	before, err := os.ReadFile(filepath.Join(path, "network"))
	if err != nil {
		t.Fatal(err)
	}
	refused(t, 1, "already", "init", "--name", "boston", "--state", path)
	refused(t, 1, "this is no token", "join", "x", "--name", "boston", "--state", path)
	after, err := os.ReadFile(filepath.Join(path, "network"))
	if err != nil || !bytes.Equal(before, after) {
		t.Error("the network was changed")
	}
}

func TestJoinOverLoopback(t *testing.T) {
	h := newHost(t, 0)
	token, path := h.token(t), filepath.Join(t.TempDir(), "boston")
	status, stdout, stderr := call(t, "join", token, "--name", "boston", "--state", path)
	if status != 0 || !strings.Contains(stdout, "10.71.0.2") {
		t.Fatalf("status %d, %q, %q", status, stdout, stderr)
	}
	refused(t, 1, "already", "join", token, "--name", "boston", "--state", path)
	refused(t, 1, "used already", "join", token, "--name", "cambridge", "--state", t.TempDir())
	refused(t, 1, "another node has this name", "join", h.token(t), "--name", "boston", "--state", t.TempDir())

	dir, err := state.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = dir.Close() }()
	if items, err := dir.Items(); err != nil || len(items) != 2 {
		t.Errorf("%d items, %v", len(items), err)
	}
	if m, err := dir.Network(); err != nil || m.Network.Name != defaultNetwork {
		t.Errorf("network: %v", err)
	}
}

func TestJoinThatLosesRepliesIsRepeated(t *testing.T) {
	h := newHost(t, 2)
	if status, _, stderr := call(t, "join", h.token(t), "--name", "boston", "--state", t.TempDir()); status != 0 {
		t.Fatal(stderr)
	}
}

func TestInterruptedJoinWorksTheSecondTime(t *testing.T) {
	h := newHost(t, 0)
	token, path := h.token(t), t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stderr bytes.Buffer
	if status := run(ctx, []string{"join", token, "--name", "boston", "--state", path}, &stderr, &stderr, &stderr); status != 1 {
		t.Fatalf("status %d, %s", status, &stderr)
	}
	if status, _, stderr := call(t, "join", token, "--name", "boston", "--state", path); status != 0 {
		t.Fatal(stderr)
	}
}

func TestWrongCallsAreRefusedInOneSentence(t *testing.T) {
	dir := t.TempDir()
	h := newHost(t, 0)
	token := h.token(t)
	refused(t, cli.ExitUsage, "--name", "init", "--state", dir)
	refused(t, cli.ExitUsage, "--name", "init", "--name", "Bad Name", "--state", dir)
	refused(t, cli.ExitUsage, "--prefix", "init", "--name", "a", "--prefix", "banana", "--state", dir)
	refused(t, cli.ExitUsage, "--prefix", "init", "--name", "a", "--prefix", "10.0.0.0/31", "--state", dir)
	refused(t, cli.ExitUsage, "no argument", "init", "a")
	refused(t, cli.ExitUsage, "--wrong", "up", "--wrong")
	refused(t, cli.ExitUsage, "unknown command", "frobnicate")
	refused(t, cli.ExitUsage, "one token", "join", "--name", "a")
	refused(t, cli.ExitUsage, "--name", "join", token)
	refused(t, 1, "incomplete", "join", token[:len(token)-5], "--name", "a", "--state", dir)
	refused(t, 1, "altered", "join", token[:len(token)-1]+"!", "--name", "a", "--state", dir)
	refused(t, 1, "state directory", "init", "--name", "a", "--state", "/dev/null/x")
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("a wrong call left %v behind", entries)
	}
}

func TestSecondDaemonOnOneStateIsRefused(t *testing.T) {
	path := t.TempDir()
	dir, err := state.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = dir.Close() }()
	refused(t, 1, "in use", "init", "--name", "a", "--state", path)
}

func testLogger(w *bytes.Buffer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }
