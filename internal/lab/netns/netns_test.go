package netns

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// helperVar makes the test program a lab that starts a child, says which, and waits to be killed.
const helperVar = "NETNS_TEST_HELPER"

func TestMain(m *testing.M) {
	if os.Getenv(helperVar) == "" {
		os.Exit(m.Run())
	}
	ns, err := New()
	if err == nil {
		var p *Process
		if p, err = NewSpawner().Start(ns, exec.Command("/bin/sleep", "60")); err == nil {
			fmt.Println(p.PID())
			select {}
		}
	}
	fmt.Println(err)
	os.Exit(1)
}

func newNamespace(t *testing.T) *Namespace {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	ns, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ns.Close(); err != nil {
			t.Error(err)
		}
	})
	return ns
}

// within waits for a channel to close.
func within(t *testing.T, d time.Duration, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(d):
		t.Fatalf("%s: not within %v", what, d)
	}
}

func TestNamespaceHasOnlyItsOwnDevices(t *testing.T) {
	ns := newNamespace(t)
	err := ns.Do(func() error {
		all, err := net.Interfaces()
		if err == nil && (len(all) != 1 || all[0].Name != "lo" || all[0].Flags&net.FlagUp == 0) {
			err = fmt.Errorf("the devices are %v", all)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestDoLeavesOtherGoroutinesWhereTheyAre(t *testing.T) {
	ns := newNamespace(t)
	before, _ := os.Readlink("/proc/thread-self/ns/net")
	for range 20 {
		inside := ""
		_ = ns.Do(func() (err error) { inside, err = os.Readlink("/proc/thread-self/ns/net"); return err })
		after, _ := os.Readlink("/proc/thread-self/ns/net")
		if inside == before || after != before {
			t.Fatalf("before %s, inside %s, after %s", before, inside, after)
		}
	}
}

func TestConnectedNamespacesReachEachOther(t *testing.T) {
	a, b := newNamespace(t), newNamespace(t)
	err := errors.Join(
		Connect(a, "to-b", b, "to-a", 1500),
		a.AddAddress("to-b", netip.MustParsePrefix("10.9.0.1/24")),
		b.AddAddress("to-a", netip.MustParsePrefix("10.9.0.2/24")),
	)
	if err != nil {
		t.Fatal(err)
	}
	var listener net.Listener
	if err := b.Do(func() (err error) { listener, err = net.Listen("tcp", "10.9.0.2:0"); return err }); err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	err = a.Do(func() error {
		conn, err := net.DialTimeout("tcp", listener.Addr().String(), 5*time.Second)
		if err == nil {
			conn.Close()
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestCommandRunsInTheNamespace(t *testing.T) {
	ns := newNamespace(t)
	s := NewSpawner()
	defer s.Close()
	var out strings.Builder
	cmd := exec.Command("/bin/cat", "/proc/self/net/dev")
	cmd.Stdout = &out
	if err := s.Run(t.Context(), ns, cmd); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "lo:") || strings.Contains(out.String(), "eth0:") {
		t.Errorf("it sees\n%s", &out)
	}
}

func TestContextEndsACommand(t *testing.T) {
	ns := newNamespace(t)
	s := NewSpawner()
	defer s.Close()
	cause := errors.New("enough")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, cause)
	defer cancel()
	if err := s.Run(ctx, ns, exec.Command("/bin/sleep", "60")); !errors.Is(err, cause) {
		t.Errorf("got %v", err)
	}
}

func TestStopKillsWhatDoesNotListen(t *testing.T) {
	ns := newNamespace(t)
	s := NewSpawner()
	defer s.Close()
	ready, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer ready.Close()
	cmd := exec.Command("/bin/sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done")
	cmd.Stdout = in
	p, err := s.Start(ns, cmd)
	in.Close()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(ready).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(100 * time.Millisecond); err == nil || !strings.Contains(err.Error(), "was killed") {
		t.Errorf("got %v", err)
	}
}

func TestChildrenEndWithTheSpawner(t *testing.T) {
	ns := newNamespace(t)
	s := NewSpawner()
	p, err := s.Start(ns, exec.Command("/bin/sleep", "60"))
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	within(t, 5*time.Second, "the child's end", p.Done())
}

func TestChildrenEndWithAProcessThatIsKilled(t *testing.T) {
	newNamespace(t) // or skip
	lab := exec.Command(os.Args[0])
	lab.Env = append(os.Environ(), helperVar+"=1")
	out, err := lab.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := lab.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	child, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatalf("the helper says %q", line)
	}
	pidfd, err := unix.PidfdOpen(child, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pidfd)
	if err := lab.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = lab.Wait()
	fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	if n, err := unix.Poll(fds, 5000); err != nil || n != 1 {
		t.Errorf("the child outlives its parent: %d, %v", n, err)
	}
}
