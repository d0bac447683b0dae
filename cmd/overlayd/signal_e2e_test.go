package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"overlayd/internal/control"
)

// A signal ends the daemon with a goodbye, or does not end it.
func TestSignalsDoNotKillTheDaemon(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	d := b.node("belmont", b.ns)
	file := b.path("overlayd.yaml")
	b.must(os.WriteFile(file, []byte("log:\n  level: info\n"), 0o600))
	d.startCommand(d.command("overlayd", "up", "--config", file, "--state", d.state, "--socket", d.socket,
		"--interface", d.device, "--name", d.name))
	before := d.status()

	b.must(os.WriteFile(file, []byte("log:\n  level: debug\nmtu: 1300\n"), 0o600))
	d.signal(syscall.SIGHUP)
	b.eventually(readyPatience, func() error { return d.logs("new values of mtu", "log_level=DEBUG") })
	b.must(os.WriteFile(file, []byte("nonsense: 1\n"), 0o600))
	d.signal(syscall.SIGHUP)
	b.eventually(readyPatience, func() error { return d.logs("stays as it is", "nonsense") })
	for _, s := range []syscall.Signal{syscall.SIGPIPE, syscall.SIGUSR1, syscall.SIGUSR2} {
		d.signal(s)
	}
	if after := d.status(); after.PID != before.PID || !after.Started.Equal(before.Started) {
		t.Errorf("it is another daemon: %+v", after)
	}

	for range 3 {
		d.signal(syscall.SIGTERM)
	}
	if err := d.process.Stop(stopPatience); err != nil {
		t.Errorf("after three SIGTERM: %v", err)
	}
	if exists(d.socket) {
		t.Error("the socket is still there: it ended without cleaning up")
	}
}

// Both ends say why a daemon has stopped: its own log, and the paths and the log of its peers.
func TestAStoppedDaemonIsShownWithTheReason(t *testing.T) {
	t.Parallel()
	r := newRegion(t)
	sites := r.network("belmont", "boston")
	belmont, boston := sites[0], sites[1]
	for _, c := range []struct {
		why  string
		stop func()
	}{
		{`why="terminated signal received"`, func() { boston.signal(syscall.SIGTERM) }},
		{`why="asked to by overlayctl down"`, func() { boston.does("down") }},
	} {
		said := strings.Count(belmont.log(), "the peer shut down")
		c.stop()
		r.eventually(soon, func() error {
			p := belmont.paths()["boston"]
			if p.State != control.StateDead || !strings.Contains(p.Reason, "no path works: direct path dead: the peer shut down") {
				return fmt.Errorf("boston is %s: %s", p.State, p.Reason)
			}
			return nil
		})
		b := belmont.log()
		if !strings.Contains(b, `msg="peer down" peer=boston why="no path works: direct path dead: the peer shut down"`) ||
			strings.Count(b, "the peer shut down") == said {
			t.Error("belmont's log does not say that boston shut down")
		}
		<-boston.process.Done()
		r.must(boston.process.Err())
		r.must(boston.logs("msg=stopped node=boston " + c.why))
		boston.start()
		r.meet(belmont, boston)
	}
}

// A log that nobody reads any more does not end the daemon.
func TestBrokenLogPipeDoesNotKillTheDaemon(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	d := b.node("belmont", b.ns)
	r, w, err := os.Pipe()
	b.must(err)
	cmd := d.command("overlayd", d.flags()...)
	cmd.Stdout, cmd.Stderr = w, w
	d.process, err = b.spawner.Start(d.ns, cmd)
	b.must(err)
	b.Cleanup(d.process.Kill)
	b.must(w.Close())
	b.eventually(readyPatience, func() error {
		_, err := d.client.Status(d.Context())
		return err
	})
	b.must(r.Close())
	d.does("route", "hops", "2") // is logged
	d.does("route", "remove", "--all")
	d.signal(syscall.SIGHUP) // as well
	<-time.After(100 * time.Millisecond)
	if _, err := d.client.Paths(t.Context(), control.PathsQuery{}); err != nil {
		t.Errorf("after its log was closed: %v", err)
	}
	d.stop()
}

func (d *service) signal(s syscall.Signal) {
	d.Helper()
	if err := d.process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		d.Fatal(err)
	}
}

// logs is an error that names what the log lacks.
func (d *service) logs(words ...string) error {
	for _, word := range words {
		if !strings.Contains(d.log(), word) {
			return &missing{word}
		}
	}
	return nil
}

type missing struct{ word string }

func (m *missing) Error() string { return "the log lacks " + m.word }

// A unit makes no network: what it waits for may still come, and nothing is left behind that would be in its way.
func TestUnitMakesNoNetwork(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	d := b.node("belmont", b.ns)
	for _, how := range []string{"NOTIFY_SOCKET=/nonexistent/notify", "OVERLAYD_CREATE_NETWORK=never"} {
		cmd := d.command("overlayd", d.flags()...)
		cmd.Env = append(cmd.Env, how)
		d.refusesToStart(cmd, "not a member of a network", d.state, "mount", "overlayd join", "overlayd init")
	}
	d.start() // by hand
	if s := d.status(); !s.Root || len(s.Members) != 1 {
		t.Errorf("by hand: %+v", s)
	}
	b.must(d.logs("overlayctl invite"))
}
