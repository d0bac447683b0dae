package virtual

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"overlayd/internal/control"
	"overlayd/internal/lab/judge"
	"overlayd/internal/lab/meter"
	"overlayd/internal/lab/scenario"
	"overlayd/internal/lab/sim"
	"overlayd/internal/lab/wan"
)

// trial is one run of a scenario.
type trial struct {
	scenario *scenario.Scenario
	line     scenario.Timeline
	seed     uint64
	verbose  bool
	journal  *judge.Journal

	net       *sim.Net
	founder   *sim.Founder
	underlay  *sim.Underlay
	nodes     []*node // in the order of the sites
	byName    map[string]*node
	history   *judge.History
	epoch     time.Duration // the start of the time line, on the clock of the simulation
	began     bool
	enrolment judge.Enrolment

	records   map[scenario.Pair]*meter.Record
	underWay  map[flight]func() // what to do when a packet arrives
	occasions map[string]time.Duration
	inquiries []*inquiry
	transfers map[string]judge.Transfer
	strangers *judge.Strangers
	omitted   omissions
	faults    []string
}

// The bounds on what must not take for ever, as in real runs.
const (
	joinPatience  = 30 * time.Second
	pathPatience  = 10 * time.Second
	settle        = time.Second            // after the end, for what is still under way
	watchInterval = 100 * time.Millisecond // between two looks at the paths, as in real runs
	glanceEvery   = 500 * time.Millisecond // if no expectation asks when paths change: looks cost an eighth of the CPU time
	pollInterval  = 100 * time.Millisecond // between two looks at what is waited for
)

// newTrial makes the sites of a scenario, and nodes that are not members yet.
func newTrial(s *scenario.Scenario, seed uint64, journal *judge.Journal, verbose bool) (*trial, error) {
	line, err := s.Timeline(seed)
	if err != nil {
		return nil, err
	}
	t := &trial{
		scenario: s, line: line, seed: seed, verbose: verbose, journal: journal, net: sim.New(seed),
		byName: make(map[string]*node), records: make(map[scenario.Pair]*meter.Record), underWay: make(map[flight]func()),
		occasions: make(map[string]time.Duration), transfers: make(map[string]judge.Transfer), omitted: omit(s, line),
		strangers: judge.NewStrangers(),
	}
	t.history = judge.NewHistory(t.clock())
	t.founder = t.net.Found()
	var addresses [][]netip.Addr
	for i, spec := range s.Sites {
		n := &node{spec: spec, site: wan.Site(i), ports: [2]wan.Port{wan.Port(spec.Uplink), wan.Port(spec.Downlink)}}
		t.nodes = append(t.nodes, n)
		t.byName[spec.Name] = n
		addresses = append(addresses, spec.Addresses())
	}
	t.underlay = t.net.Over(addresses...)
	t.underlay.Seen = t.see
	for _, n := range t.nodes {
		t.underlay.SetPorts(n.site, n.ports[0], n.ports[1])
	}
	for _, d := range s.Underlay(seed) {
		t.underlay.SetLink(t.byName[d.Pair.From].site, t.byName[d.Pair.To].site, d.Link)
	}
	return t, nil
}

// run runs the trial and returns what it found.
func (t *trial) run(ctx context.Context) (judge.Result, error) {
	if err := t.enrol(); err != nil {
		return judge.Result{}, err
	}
	t.net.Every(t.lookEvery(), func() bool { t.look(); return true })
	if t.scenario.Crowd == nil {
		t.awaitPaths()
	}
	if err := t.follow(ctx); err != nil {
		return judge.Result{}, err
	}
	e := judge.Evidence{
		Scenario: t.scenario, Line: t.line, Series: make(map[scenario.Pair]meter.Series), History: t.history,
		Strangers: t.strangers, Transfers: t.transfers, Findings: make(map[string]judge.Measured), LeftOut: t.omitted.expectations,
	}
	for d, record := range t.records {
		e.Series[d] = record.Series()
	}
	for _, q := range t.inquiries {
		e.Findings[q.name] = q.found
	}
	outcomes, err := e.Judge()
	if err != nil {
		return judge.Result{}, err
	}
	r := judge.Result{
		Scenario: t.scenario.Name, Seed: t.seed, Simulated: true, Enrolment: t.enrolment, Outcomes: outcomes,
		Flows: e.Flows(), Faults: t.faults, Timeline: t.journal.Sorted(),
	}
	r.Conclude()
	return r, nil
}

// follow goes through the time line.
func (t *trial) follow(ctx context.Context) error {
	t.epoch, t.began = t.net.Now(), true
	t.history.Begin(t.clock())
	t.enrolment.LastJoin -= t.epoch
	t.journal.Note(0, "ready", t.enrolment.String())
	t.inquire()
	if err := t.startTraffic(); err != nil {
		return err
	}
	for _, timed := range t.line.Actions {
		if err := t.until(ctx, timed.At); err != nil {
			return err
		}
		began := t.now()
		if err := t.act(timed); err != nil {
			return fmt.Errorf("event %s: %w", timed.Event, err)
		}
		if _, again := t.occasions[timed.Event]; !again {
			t.occasions[timed.Event] = began
		}
	}
	if err := t.until(ctx, t.scenario.Duration); err != nil {
		return err
	}
	t.note("end", "")
	return t.until(ctx, t.scenario.Duration+settle)
}

// until lets the time pass until a time of the time line, or fails when the context ends.
func (t *trial) until(ctx context.Context, at time.Duration) error {
	const step = time.Second // how often the context is looked at
	for left := at - t.now(); left > 0; left = at - t.now() {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		t.net.Run(min(left, step))
	}
	return nil
}

// now is the time since the start.
func (t *trial) now() time.Duration { return t.net.Now() - t.epoch }

// clock is the time on the clocks of all nodes.
func (t *trial) clock() time.Time { return t.net.Clock() }

// note adds to the time line what happens now.
func (t *trial) note(kind, text string) { t.journal.Note(t.now(), kind, text) }

// blame notes the failure of an event as a fault.
func (t *trial) blame(event string, err error) {
	if err != nil {
		t.faults = append(t.faults, fmt.Sprintf("event %s: %v", event, err))
		t.note("fault", err.Error())
	}
}

// lookEvery is how often the paths are looked at.
func (t *trial) lookEvery() time.Duration {
	if judge.AsksWhen(t.scenario) {
		return watchInterval
	}
	return glanceEvery
}

// look notes the paths of the nodes that are followed.
func (t *trial) look() {
	for _, n := range t.nodes {
		if !judge.Follows(t.scenario, n.spec.Name) || !n.running() {
			continue
		}
		for _, c := range t.history.Add(t.paths(n), t.clock()) {
			if t.verbose || judge.Carries(t.scenario, c.Pair) {
				t.journal.Tell(c)
			}
		}
	}
}

// paths is what `overlayctl paths` would say.
func (t *trial) paths(n *node) control.Paths {
	return control.Paths{Node: n.spec.Name, Time: t.clock(), Peers: n.host.Core.Paths(t.clock())}
}

// awaitPaths waits, as a real run does, until every two nodes that run and whose sites have a link have a path.
func (t *trial) awaitPaths() {
	deadline := t.net.Now() + pathPatience
	for _, n := range t.nodes {
		for n.running() {
			missing := t.missingPath(n)
			if missing == "" {
				break
			}
			if t.net.Now() >= deadline {
				t.journal.Note(0, "late", fmt.Sprintf("%s has no path to %s after %v", n.spec.Name, missing, pathPatience))
				break
			}
			t.net.Run(pollInterval)
		}
	}
}

// missingPath is a site to which a running node should have a path by now and has none.
func (t *trial) missingPath(n *node) string {
	up := judge.PeersUp(t.paths(n))
	at := slices.IndexFunc(t.nodes, func(other *node) bool {
		return other != n && other.running() && !up[other.spec.Name] && t.open(n, other)
	})
	if at < 0 {
		return ""
	}
	return t.nodes[at].spec.Name
}

// open reports whether two sites have a link, and a host at least that the other can reach unasked.
func (t *trial) open(a, b *node) bool {
	_, there := t.underlay.Link(a.site, b.site)
	_, back := t.underlay.Link(b.site, a.site)
	return there && back && (a.spec.NAT == scenario.NoNAT || b.spec.NAT == scenario.NoNAT)
}
