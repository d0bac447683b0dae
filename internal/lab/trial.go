package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"overlayd/internal/lab/judge"
	"overlayd/internal/lab/scenario"
)

// trial is one run of a scenario.
type trial struct {
	scenario *scenario.Scenario
	line     scenario.Timeline
	seed     uint64
	tools    tools
	dir      string // of the nodes' states and logs
	verbose  bool
	journal  *judge.Journal

	world    *world
	nodes    map[string]*node
	watchers map[string]*watcher
	history  *judge.History
	epoch    time.Time     // the start of the time line
	pressure time.Duration // on the CPU, at the start
	meters   *meters
	secret   *secret

	strangers *judge.Strangers // nil: nobody asks
	tampered  []tampering

	enrolment judge.Enrolment
	lastJoin  time.Time
	occasions map[string]*occasion // by the name of the event

	mu        sync.Mutex // guards what follows
	transfers map[string]judge.Transfer
	captures  map[string]*capture       // by the name of the expectation
	findings  map[string]judge.Measured // of inquiries, by the name of the expectation
	errs      []error                   // what went wrong beside the expectations
	running   sync.WaitGroup            // transfers and inquiries
}

// The bounds on what must not take for ever.
const (
	joinPatience  = 30 * time.Second
	readyPatience = 30 * time.Second
	pathPatience  = 10 * time.Second
	settle        = time.Second      // after the end, for what is still under way
	transferSlack = 30 * time.Second // beyond a transfer's own time: for setting up, and for what is under way at its end
)

// run runs the trial and returns what it found. An error says that there is no finding.
func (t *trial) run(ctx context.Context, hold func(context.Context)) (result judge.Result, err error) {
	if t.line, err = t.scenario.Timeline(t.seed); err != nil {
		return judge.Result{}, err
	}
	t.world, err = newWorld(t.scenario, t.seed, hold != nil)
	if err != nil {
		return judge.Result{}, err
	}
	if err := t.makeNodes(); err != nil {
		return judge.Result{}, errors.Join(err, t.world.close())
	}
	t.watchStrangers()
	defer func() {
		for _, n := range t.nodes {
			n.kill()
		}
		err = errors.Join(err, t.world.close())
	}()
	if err := t.enrol(ctx); err != nil {
		return judge.Result{}, err
	}
	unwatch := t.observe(ctx)
	defer unwatch()
	// A crowd is watched from the last start on: how its nodes find each other is what is to be seen.
	if t.scenario.Crowd == nil {
		if err := t.awaitPaths(ctx); err != nil {
			return judge.Result{}, err
		}
	}

	if err := t.follow(ctx); err != nil {
		return judge.Result{}, err
	}
	if hold != nil {
		hold(ctx)
	}
	result = t.judge()
	result.Enrolment = t.enrolment
	unwatch()
	result.Nodes = t.shutDown()
	result.Faults = t.faults()
	result.Conclude()
	result.Timeline = t.journal.Sorted()
	return result, nil
}

// makeNodes prepares a node for every site.
func (t *trial) makeNodes() error {
	t.nodes = make(map[string]*node)
	t.watchers = make(map[string]*watcher)
	t.history = judge.NewHistory(time.Now())
	t.secret = newSecret(t.seed)
	t.transfers = make(map[string]judge.Transfer)
	t.captures = make(map[string]*capture)
	t.findings = make(map[string]judge.Measured)
	t.occasions = make(map[string]*occasion)
	for _, e := range t.scenario.Events {
		t.occasions[e.Name] = &occasion{over: make(chan struct{})}
	}
	for _, st := range t.world.order {
		n := newNode(st, t.tools, t.world.spawner, filepath.Join(t.dir, st.name))
		if t.verbose {
			n.level = "debug"
		}
		n.lan = t.lanArguments(st.name)
		t.nodes[st.name] = n
	}
	return t.mountDisks()
}

// awaitPaths waits until every two nodes that run and whose sites have a link have a path. That they have none in time
// is a finding, not a fault: the time line says so and goes on. (Other pairs may look for a relay only when they talk.)
func (t *trial) awaitPaths(ctx context.Context) error {
	deadline := time.Now().Add(pathPatience)
	for _, spec := range t.scenario.Sites {
		n := t.nodes[spec.Name]
		for n.current() != nil {
			missing := t.missingPath(spec)
			if missing == "" {
				break
			}
			if time.Now().After(deadline) {
				t.journal.Note(0, "late", fmt.Sprintf("%s has no path to %s after %v", spec.Name, missing, pathPatience))
				break
			}
			if !n.running() {
				return fmt.Errorf("overlayd of %s has ended: %w", spec.Name, errors.Join(n.current().Err(), n.lastWords()))
			}
			if !pause(ctx, pollInterval) {
				return context.Cause(ctx)
			}
		}
	}
	return nil
}

// missingPath is a site to which a running node should have a path by now and has none.
func (t *trial) missingPath(spec scenario.Site) string {
	up := judge.PeersUp(t.watchers[spec.Name].latest())
	for _, other := range t.scenario.Sites {
		if other.Name != spec.Name && t.nodes[other.Name].running() && !up[other.Name] && t.world.open(spec, other) {
			return other.Name
		}
	}
	return ""
}

// follow goes through the time line.
func (t *trial) follow(ctx context.Context) error {
	t.epoch = time.Now()
	t.pressure = cpuPressure()
	t.history.Begin(t.epoch)
	t.enrolment.LastJoin = t.lastJoin.Sub(t.epoch)
	t.journal.Note(0, "ready", t.enrolment.String())
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t.inquire(ctx)
	var err error
	if t.meters, err = t.startMeters(); err != nil {
		return err
	}
	defer t.meters.close()
	for _, timed := range t.line.Actions {
		if err := t.sleepUntil(ctx, timed.At); err != nil {
			return err
		}
		began := time.Now()
		if err := t.act(ctx, timed); err != nil {
			return fmt.Errorf("event %s: %w", timed.Event, err)
		}
		t.occasions[timed.Event].happened(began)
	}
	if err := t.sleepUntil(ctx, t.scenario.Duration); err != nil {
		return err
	}
	t.meters.stop()
	t.journal.Note(time.Since(t.epoch), "end", "")
	t.noteTampering()
	err = t.sleepUntil(ctx, t.scenario.Duration+settle)
	t.running.Wait()
	return err
}

// sleepUntil sleeps until a time of the time line, or fails when the context ends.
func (t *trial) sleepUntil(ctx context.Context, at time.Duration) error {
	if !pause(ctx, time.Until(t.epoch.Add(at))) {
		return context.Cause(ctx)
	}
	return nil
}

// shutDown stops the nodes that run and returns what they have used.
func (t *trial) shutDown() []judge.Usage {
	var all []judge.Usage
	for _, st := range t.world.order {
		n := t.nodes[st.name]
		all = append(all, n.usage())
		if err := n.stop(); err != nil {
			t.fault(err)
		}
	}
	return all
}

// fault notes that something went wrong beside the expectations.
func (t *trial) fault(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.errs = append(t.errs, err)
}

// faults is everything that went wrong beside the expectations.
func (t *trial) faults() []string {
	var all []string
	t.mu.Lock()
	for _, err := range t.errs {
		all = append(all, err.Error())
	}
	t.mu.Unlock()
	for _, st := range t.world.order {
		all = append(all, t.nodes[st.name].accidents()...)
	}
	return slices.Compact(all)
}

// address is the address of a node on the overlay, of a host on its LAN or, with underlay, of a site's uplink.
func (t *trial) address(name string, underlay bool) netip.Addr {
	if underlay {
		return t.world.sites[name].inside
	}
	if n := t.nodes[name]; n != nil {
		return n.address()
	}
	return t.scenario.LANOf(name).Address(name)
}
