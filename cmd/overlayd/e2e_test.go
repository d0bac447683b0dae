package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"overlayd/config"
	"overlayd/internal/control"
	"overlayd/internal/lab/netns"
)

// The end-to-end tests run the programs as processes of their own in network namespaces that they make, so they need
// root. They touch nothing outside a temporary directory.

const (
	commandPatience = 30 * time.Second // of a command that is not a daemon; a join asks for 10 s
	readyPatience   = 15 * time.Second
	stopPatience    = 10 * time.Second
	pollEvery       = 20 * time.Millisecond
)

// programs are the binaries under test, built once for all tests.
var programs = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "overlayd-e2e-")
	if err != nil {
		return "", err
	}
	programsDir = dir
	if err := os.Chmod(dir, 0o755); err != nil { // some of them run as another user
		return "", err
	}
	build := exec.Command("go", "build", "-o", dir+"/", "overlayd/cmd/overlayd", "overlayd/cmd/overlayctl")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the programs: %w: %s", err, out)
	}
	return dir, nil
})

// programsDir is what TestMain removes in the end.
var programsDir string

func TestMain(m *testing.M) {
	status := m.Run()
	if programsDir != "" {
		_ = os.RemoveAll(programsDir)
	}
	os.Exit(status)
}

// bench is where one test runs programs: a directory of its own, and processes that end with the test.
type bench struct {
	testing.TB
	dir     string // short, since it holds sockets, and open to other users
	bin     string
	spawner *netns.Spawner
	ns      *netns.Namespace // where programs run if nothing else is said
}

// newBench skips the test if the machine does not allow it.
func newBench(t testing.TB) *bench {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("end-to-end tests make network namespaces, which needs root: left out")
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		t.Skipf("end-to-end tests make TUN interfaces, which this machine has not (%v): left out", err)
	}
	b := &bench{TB: t, spawner: netns.NewSpawner()}
	t.Cleanup(b.spawner.Close)
	var err error
	if b.bin, err = programs(); err != nil {
		t.Fatal(err)
	}
	if b.dir, err = os.MkdirTemp("", "e2e-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(b.dir) })
	if err := os.Chmod(b.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	b.ns = b.namespace()
	return b
}

func (b *bench) namespace() *netns.Namespace {
	b.Helper()
	ns, err := netns.New()
	if errors.Is(err, netns.ErrNotRoot) {
		b.Skipf("%v: left out", err)
	}
	b.must(err)
	b.Cleanup(func() { _ = ns.Close() })
	return ns
}

func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (b *bench) path(elem ...string) string {
	return filepath.Join(append([]string{b.dir}, elem...)...)
}

// result is what came of a program.
type result struct {
	status         int
	stdout, stderr string
}

func (r result) String() string {
	return fmt.Sprintf("status %d\nstandard output: %s\nstandard error: %s", r.status, r.stdout, r.stderr)
}

// command is a program to be run, with no setting of whoever runs the tests.
func (b *bench) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(b.bin, program), args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "NO_COLOR=1"}
	cmd.Dir = b.dir
	return cmd
}

// run runs a command to its end.
func (b *bench) run(cmd *exec.Cmd) result {
	b.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	ctx, cancel := context.WithTimeout(b.Context(), commandPatience)
	defer cancel()
	err := b.spawner.Run(ctx, b.ns, cmd)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		b.Fatalf("%v: %v\n%s", cmd.Args, err, &stderr)
	}
	return result{status: cmd.ProcessState.ExitCode(), stdout: stdout.String(), stderr: stderr.String()}
}

func (b *bench) overlayd(args ...string) result {
	b.Helper()
	return b.run(b.command("overlayd", args...))
}

// works runs a program that must succeed, and returns its standard output.
func (b *bench) works(r result) string {
	b.Helper()
	if r.status != 0 {
		b.Fatalf("failed: %v", r)
	}
	return r.stdout
}

// logLine is a line of the log, which is not a sentence for the person who started the program.
var logLine = regexp.MustCompile(`^time=\S+ level=`)

// refused holds the result of a program that must fail with one sentence on standard error that has every word in it.
func (b *bench) refused(r result, words ...string) {
	b.Helper()
	lines := strings.Split(strings.TrimSuffix(r.stderr, "\n"), "\n")
	var sentences []string
	for _, line := range lines {
		if !logLine.MatchString(line) {
			sentences = append(sentences, line)
		}
	}
	last := lines[len(lines)-1]
	switch {
	case r.status <= 0 || r.status == 2: // killed, or ended by the Go runtime
		b.Errorf("not refused, or killed: %v", r)
	case r.stdout != "":
		b.Errorf("it prints an error on standard output: %v", r)
	case len(sentences) != 1 || last != sentences[0]:
		b.Errorf("not one sentence in the end: %v", r)
	case !strings.HasPrefix(last, "overlayd: ") && !strings.HasPrefix(last, "overlayctl: "):
		b.Errorf("the sentence does not say whose it is: %v", r)
	case len(last) > 500 || strings.Contains(last, "%!") || strings.Contains(last, "0x"):
		b.Errorf("not a sentence for people: %v", r)
	}
	for _, word := range words {
		if !strings.Contains(last, word) {
			b.Errorf("%q is missing in the sentence: %s", word, last)
		}
	}
	b.Logf("refused with %d: %s", r.status, last)
}

// expectedErrors are lines of the log that tell of what a test has done, and of no fault.
var expectedErrors = regexp.MustCompile(`level=ERROR msg="this node was revoked by `)

// service is one overlayd up.
type service struct {
	*bench
	name    string
	ns      *netns.Namespace
	device  string
	listen  string
	state   string
	socket  string
	process *netns.Process
	client  *control.Client

	tolerates string // errors in the log that the test causes, as a regular expression; empty: none
}

// node is a daemon that is not started yet, in a namespace.
func (b *bench) node(name string, in *netns.Namespace) *service {
	d := &service{
		bench: b, name: name, ns: in, device: config.DefaultInterface, listen: fmt.Sprintf(":%d", config.DefaultPort),
		state: b.path(name), socket: b.path(name + ".sock"),
	}
	d.client = control.NewClient(d.socket)
	b.Cleanup(d.client.Close)
	return d
}

// flags are those of overlayd up.
func (d *service) flags(more ...string) []string {
	return append([]string{
		"up", "--config", os.DevNull, "--state", d.state, "--socket", d.socket, "--listen", d.listen,
		"--interface", d.device, "--name", d.name,
	}, more...)
}

func (d *service) logFile() string { return d.path(d.name + ".log") }

// start starts the daemon and waits until it answers. It is stopped at the end of the test.
func (d *service) start(more ...string) *service {
	d.Helper()
	d.startCommand(d.command("overlayd", d.flags(more...)...))
	return d
}

// startAt starts the daemon with another control socket.
func (d *service) startAt(socket string) {
	d.Helper()
	d.socket, d.client = socket, control.NewClient(socket)
	d.Cleanup(d.client.Close)
	d.start()
}

func (d *service) startCommand(cmd *exec.Cmd) {
	d.Helper()
	log, err := os.OpenFile(d.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	d.must(err)
	defer func() { _ = log.Close() }()
	cmd.Stdout, cmd.Stderr = log, log
	d.process, err = d.spawner.Start(d.ns, cmd)
	d.must(err)
	p := d.process
	d.Cleanup(func() {
		if d.Failed() {
			d.describe()
		}
		p.Kill()
		text := expectedErrors.ReplaceAllString(d.log(), "")
		if d.tolerates != "" {
			text = regexp.MustCompile(d.tolerates).ReplaceAllString(text, "")
		}
		for _, sign := range []string{"WARNING: DATA RACE", "panic:", "fatal error:", "level=ERROR"} {
			if strings.Contains(text, sign) {
				d.Errorf("the log of %s says %s", d.name, sign)
			}
		}
		if d.Failed() {
			d.Logf("log of %s:\n%s", d.name, d.log())
		}
	})
	d.eventually(readyPatience, func() error {
		select {
		case <-p.Done():
			d.Fatalf("%s has ended: %v\n%s", d.name, p.Err(), d.log())
		default:
		}
		_, err := d.client.Status(d.Context())
		return err
	})
}

// describe logs what the daemon says of itself, if it still runs.
func (d *service) describe() {
	d.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if s, err := d.client.Status(ctx); err == nil {
		d.Logf("%s counts %v", d.name, s.Counters)
	}
	if list, err := d.client.Peers(ctx); err == nil {
		d.Logf("%s has the peers %+v", d.name, list)
	}
}

func (d *service) log() string {
	text, err := os.ReadFile(d.logFile())
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// stop ends the daemon as systemd does. It must end well.
func (d *service) stop() {
	d.Helper()
	if err := d.process.Stop(stopPatience); err != nil {
		d.Fatalf("stop %s: %v\n%s", d.name, err, d.log())
	}
}

// status is the daemon's own word on itself. It must run.
func (d *service) status() control.Status {
	d.Helper()
	s, err := d.client.Status(d.Context())
	d.must(err)
	return s
}

// paths is the daemon's word on its paths.
func (d *service) paths() map[string]control.PeerPaths {
	d.Helper()
	p, err := d.client.Paths(d.Context(), control.PathsQuery{})
	d.must(err)
	byPeer := make(map[string]control.PeerPaths, len(p.Peers))
	for _, peer := range p.Peers {
		byPeer[peer.Peer] = peer
	}
	return byPeer
}

// invite makes a token for a newcomer who reaches the daemon at an endpoint.
func (d *service) invite(endpoint string, more ...string) string {
	d.Helper()
	return strings.TrimSpace(d.does(append([]string{"invite", "--endpoint", endpoint}, more...)...))
}

// eventually repeats f until it succeeds, and fails the test with its last error.
func (b *bench) eventually(patience time.Duration, f func() error) {
	b.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			b.Fatalf("not within %v: %v", patience, err)
		}
		<-time.After(pollEvery)
	}
}

// asNobody makes a command run as a user without rights.
func asNobody(cmd *exec.Cmd) *exec.Cmd {
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	return cmd
}

const nobody = 65534

// snapshot is the content of the files in a state directory, but for the count of starts.
func (b *bench) snapshot(dir string) map[string]string {
	b.Helper()
	files := map[string]string{}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return files
	}
	b.must(err)
	for _, e := range entries {
		if e.IsDir() {
			continue // the journal, which grows by itself, or a backup
		}
		if e.Name() == "lock" || strings.HasPrefix(e.Name(), "epoch") {
			continue
		}
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		b.must(err)
		files[e.Name()] = string(content)
	}
	return files
}

// unchanged holds the files of a directory against an earlier snapshot.
func (b *bench) unchanged(dir string, before map[string]string) {
	b.Helper()
	after := b.snapshot(dir)
	for name, content := range before {
		if after[name] != content {
			b.Errorf("%s/%s was changed", dir, name)
		}
	}
	for name := range after {
		if _, known := before[name]; !known {
			b.Errorf("%s/%s was made", dir, name)
		}
	}
}

// listenUDP opens a UDP socket in a namespace.
func (b *bench) listenUDP(in *netns.Namespace, at string) *net.UDPConn {
	b.Helper()
	var conn *net.UDPConn
	b.must(in.Do(func() (err error) {
		conn, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(at)))
		return err
	}))
	b.Cleanup(func() { _ = conn.Close() })
	return conn
}
