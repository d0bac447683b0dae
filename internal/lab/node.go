package lab

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"overlayd/internal/lab/netns"
)

// node is the overlayd of one site. It is used by one goroutine, but for its socket.
type node struct {
	site    *site
	tools   tools
	spawner *netns.Spawner
	dir     string // state, socket and log
	level   string // of the log
	process *netns.Process
	overlay netip.Addr // its IPv4 address on the overlay
	spent   time.Duration
}

// networkName is the name of every network that the lab makes.
const networkName = "lab"

// stopPatience is how long a daemon may take to end when asked.
const stopPatience = 5 * time.Second

func (n *node) stateDir() string { return filepath.Join(n.dir, "state") }
func (n *node) socket() string   { return filepath.Join(n.dir, "overlayd.sock") }
func (n *node) logFile() string  { return filepath.Join(n.dir, "overlayd.log") }

// found makes a network.
func (n *node) found(ctx context.Context) error {
	_, err := output(ctx, n.spawner, n.site.host, n.tools.overlayd,
		"init", "--name", n.site.name, "--network", networkName, "--state", n.stateDir())
	return err
}

// join becomes a member by the invitation of another node, which runs.
func (n *node) join(ctx context.Context, inviter *node) error {
	var token []byte
	// A node that has just started may not know its own address yet.
	err := inviter.poll(ctx, readyPatience, func(ctx context.Context) (err error) {
		token, err = inviter.ctl(ctx, "invite", "--name", n.site.name)
		return err
	})
	if err != nil {
		return err
	}
	_, err = output(ctx, n.spawner, n.site.host, n.tools.overlayd,
		"join", strings.TrimSpace(string(token)), "--name", n.site.name, "--state", n.stateDir())
	return err
}

// running reports whether the daemon runs.
func (n *node) running() bool {
	if n.process == nil {
		return false
	}
	select {
	case <-n.process.Done():
		return false
	default:
		return true
	}
}

// start starts the daemon and does not wait until it is ready.
func (n *node) start() error {
	if n.running() {
		return fmt.Errorf("%s runs already", n.site.name)
	}
	log, err := os.OpenFile(n.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(n.tools.overlayd, "up", "--config", os.DevNull, "--state", n.stateDir(), "--socket", n.socket())
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = environ("OVERLAYD_LOG_LEVEL=" + n.level)
	cmd.Dir = n.dir
	n.process, err = n.spawner.Start(n.site.host, cmd)
	return err
}

// kill ends the daemon with SIGKILL.
func (n *node) kill() {
	if n.running() {
		n.spent += cpuTime(n.process.PID())
		n.process.Kill()
		n.process = nil
	}
}

// stop ends the daemon with SIGTERM. It is an error if the daemon had ended before, or ends badly.
func (n *node) stop() error {
	if n.process == nil {
		return nil
	}
	if !n.running() {
		return fmt.Errorf("overlayd of %s had ended by itself: %w", n.site.name, errors.Join(n.process.Err()))
	}
	n.spent += cpuTime(n.process.PID())
	err := n.process.Stop(stopPatience)
	n.process = nil
	if err != nil {
		return fmt.Errorf("overlayd of %s: %w", n.site.name, err)
	}
	return nil
}

// ctl runs overlayctl on the node's socket.
func (n *node) ctl(ctx context.Context, args ...string) ([]byte, error) {
	return output(ctx, n.spawner, n.site.host, n.tools.overlayctl, append([]string{"--socket", n.socket()}, args...)...)
}

// status is what the lab reads of `overlayctl status -o json`.
type status struct {
	Members []struct {
		Name      string       `json:"name"`
		Addresses []netip.Addr `json:"addresses"`
	} `json:"members"`
}

func (n *node) status(ctx context.Context) (status, error) {
	var s status
	b, err := n.ctl(ctx, "-o", "json", "status")
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	return s, err
}

// paths is what `overlayctl paths` says now.
func (n *node) paths(ctx context.Context) (pathsReport, error) {
	var r pathsReport
	b, err := n.ctl(ctx, "-o", "json", "paths")
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	return r, err
}

// poll calls f until it succeeds, and gives up with its last error after the given time, or when the daemon has ended.
func (n *node) poll(ctx context.Context, patience time.Duration, f func(context.Context) error) error {
	deadline := time.After(patience)
	for {
		err := f(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-time.After(pollInterval):
		case <-n.process.Done():
			return fmt.Errorf("overlayd of %s has ended: %w", n.site.name, errors.Join(n.process.Err(), n.lastWords()))
		case <-deadline:
			return fmt.Errorf("%s is not ready after %v: %w", n.site.name, patience, err)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

const pollInterval = 100 * time.Millisecond

// lastWords is the last line of the log as an error.
func (n *node) lastWords() error {
	lines := n.tail(1)
	if len(lines) == 0 {
		return nil
	}
	return errors.New(lines[0])
}

// tail is the last lines of the log.
func (n *node) tail(lines int) []string {
	const most = 64 << 10
	f, err := os.Open(n.logFile())
	if err != nil {
		return nil
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > most {
		_, _ = f.Seek(-most, 2)
	}
	var all []string
	for s := bufio.NewScanner(f); s.Scan(); {
		all = append(all, s.Text())
	}
	return all[max(0, len(all)-lines):]
}

// accidents are the lines of the log that no daemon may ever print.
func (n *node) accidents() []string {
	b, err := os.ReadFile(n.logFile())
	if err != nil {
		return nil
	}
	var found []string
	for line := range bytes.Lines(b) {
		for _, sign := range []string{"WARNING: DATA RACE", "panic:", "fatal error:"} {
			if bytes.Contains(line, []byte(sign)) {
				found = append(found, fmt.Sprintf("%s: %s", n.site.name, bytes.TrimSpace(line)))
			}
		}
	}
	return found
}
