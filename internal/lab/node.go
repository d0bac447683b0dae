package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"overlayd/internal/control"
	"overlayd/internal/lab/netns"
)

// node is the overlayd of one site. One goroutine at a time starts and ends it; any may ask whether it runs.
type node struct {
	site    *site
	tools   tools
	spawner *netns.Spawner
	client  *control.Client
	dir     string   // state, socket and log
	level   string   // of the log
	lan     []string // more arguments of overlayd up
	disk    bool     // its state is on a disk of its own
	covered bool     // by a read-only view
	hostile []string // arguments of overlaylab in place of "up" of overlayd; nil: an honest daemon

	mu      sync.Mutex // guards what follows
	process *netns.Process
	overlay netip.Addr // its IPv4 address on the overlay
	member  bool       // it has joined, and has neither left nor been revoked
	spent   time.Duration
}

// networkName is the name of every network that the lab makes.
const networkName = "lab"

// stopPatience is how long a daemon may take to end when asked.
const stopPatience = 5 * time.Second

func (n *node) stateDir() string { return filepath.Join(n.dir, "state") }
func (n *node) socket() string   { return filepath.Join(n.dir, "overlayd.sock") }
func (n *node) logFile() string  { return filepath.Join(n.dir, "overlayd.log") }

// newNode is the node of a site, not yet a member; it keeps what it has in dir.
func newNode(st *site, programs tools, spawner *netns.Spawner, dir string) *node {
	n := &node{site: st, tools: programs, spawner: spawner, dir: dir, level: "info"}
	n.client = control.NewClient(n.socket())
	return n
}

// found makes a network.
func (n *node) found(ctx context.Context) error {
	_, err := output(ctx, n.spawner, n.site.host, n.tools.overlayd,
		"init", "--name", n.site.name, "--network", networkName, "--state", n.stateDir())
	n.setMember(err == nil)
	return err
}

// invite makes a token, with more arguments of overlayctl invite.
func (n *node) invite(ctx context.Context, more ...string) (token string, err error) {
	// A node that has just started may not know its own address yet.
	err = n.poll(ctx, readyPatience, func(ctx context.Context) error {
		b, err := n.ctl(ctx, append([]string{"invite"}, more...)...)
		token = strings.TrimSpace(string(b))
		return err
	})
	return token, err
}

// join becomes a member by a token.
func (n *node) join(ctx context.Context, token string) error {
	_, err := output(ctx, n.spawner, n.site.host, n.tools.overlayd,
		"join", token, "--name", n.site.name, "--state", n.stateDir())
	n.setMember(err == nil)
	return err
}

// enter becomes a member by a token and starts the daemon.
func (n *node) enter(ctx context.Context, token string) error {
	if err := n.join(ctx, token); err != nil {
		return err
	}
	return n.start()
}

// wipe ends the daemon with SIGKILL and deletes what it knew.
func (n *node) wipe() error {
	n.kill()
	n.setMember(false)
	return n.spawner.Do(func() error {
		if !n.disk {
			return os.RemoveAll(n.stateDir())
		}
		all, err := filepath.Glob(filepath.Join(n.stateDir(), "*"))
		for _, file := range all {
			err = errors.Join(err, os.RemoveAll(file))
		}
		return err
	})
}

// current is the daemon; nil if it was not started, or was ended.
func (n *node) current() *netns.Process {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.process
}

// end takes the daemon away from the node, before it is ended, and notes what it has used.
func (n *node) end() *netns.Process {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.process
	if p != nil {
		n.spent += cpuTime(p.PID())
	}
	n.process = nil
	return p
}

func (n *node) setMember(member bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.member = member
}

// address is the node's IPv4 address on the overlay; not valid before it has joined.
func (n *node) address() netip.Addr {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.overlay
}

// setAddress takes the first IPv4 address of a list.
func (n *node) setAddress(all []netip.Addr) {
	for _, addr := range all {
		if addr.Is4() {
			n.mu.Lock()
			n.overlay = addr
			n.mu.Unlock()
			return
		}
	}
}

// ready waits until the daemon answers, and learns the node's address from it.
func (n *node) ready(ctx context.Context) error {
	return n.poll(ctx, readyPatience, func(ctx context.Context) error {
		s, err := n.client.Status(ctx)
		if err == nil {
			n.setAddress(s.Addresses)
		}
		return err
	})
}

// running reports whether the daemon runs.
func (n *node) running() bool {
	p := n.current()
	if p == nil {
		return false
	}
	select {
	case <-p.Done():
		return false
	default:
		return true
	}
}

// counts reports whether the node is one of those that must know what there is to know.
func (n *node) counts() bool {
	n.mu.Lock()
	member := n.member
	n.mu.Unlock()
	return member && n.running()
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
	program, args := n.tools.overlayd, []string{"up"}
	if n.hostile != nil {
		program, args = n.tools.overlaylab, slices.Clone(n.hostile)
	}
	args = append(args, "--config", os.DevNull, "--state", n.stateDir(), "--socket", n.socket())
	cmd := exec.Command(program, append(args, n.lan...)...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = environ("OVERLAYD_LOG_LEVEL=" + n.level)
	cmd.Dir = n.dir
	p, err := n.spawner.Start(n.site.host, cmd)
	if err != nil {
		return err
	}
	n.mu.Lock()
	n.process = p
	n.mu.Unlock()
	return nil
}

// kill ends the daemon with SIGKILL.
func (n *node) kill() {
	if n.running() {
		n.end().Kill()
	}
}

// stop ends the daemon with SIGTERM. It is an error if a member's daemon had ended before, or if any ends badly.
func (n *node) stop() error {
	p := n.current()
	if p == nil {
		return nil
	}
	if !n.running() {
		n.mu.Lock()
		defer n.mu.Unlock()
		if !n.member {
			return nil // it was told to go; what it must not print is looked for in its log
		}
		return fmt.Errorf("overlayd of %s had ended by itself: %w", n.site.name, errors.Join(p.Err()))
	}
	if err := n.end().Stop(stopPatience); err != nil {
		return fmt.Errorf("overlayd of %s: %w", n.site.name, err)
	}
	return nil
}

// ctl runs overlayctl on the node's socket.
func (n *node) ctl(ctx context.Context, args ...string) ([]byte, error) {
	return output(ctx, n.spawner, n.site.host, n.tools.overlayctl, append([]string{"--socket", n.socket()}, args...)...)
}

// paths is what `overlayctl paths` says now.
func (n *node) paths(ctx context.Context) (control.Paths, error) {
	var r control.Paths
	b, err := n.ctl(ctx, "-o", "json", "paths")
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	return r, err
}

// poll calls f until it succeeds, and gives up with its last error after the given time, or when the daemon has ended.
func (n *node) poll(ctx context.Context, patience time.Duration, f func(context.Context) error) error {
	p := n.current()
	if p == nil {
		return fmt.Errorf("overlayd of %s does not run", n.site.name)
	}
	deadline := time.After(patience)
	for {
		err := f(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-time.After(pollInterval):
		case <-p.Done():
			return fmt.Errorf("overlayd of %s has ended: %w", n.site.name, errors.Join(p.Err(), n.lastWords()))
		case <-deadline:
			return fmt.Errorf("%s is not ready after %v: %w", n.site.name, patience, err)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

const pollInterval = 100 * time.Millisecond
