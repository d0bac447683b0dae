package lab

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"sync"
	"time"

	"overlayd/internal/lab/scenario"
)

// watcher follows the paths of one node through `overlayctl paths --watch`, across restarts of its daemon.
type watcher struct {
	node *node
	seen func(at time.Time, report pathsReport)

	mu   sync.Mutex // guards last
	last pathsReport
}

// watchInterval is how often the paths are looked at. When a selection was made is in the report itself.
const watchInterval = 100 * time.Millisecond

// watchRetry is how long to wait before another try after the daemon has gone.
const watchRetry = 100 * time.Millisecond

// run follows the paths until the context ends.
func (w *watcher) run(ctx context.Context) {
	for ctx.Err() == nil {
		w.follow(ctx)
		pause(ctx, watchRetry)
	}
}

// follow runs one overlayctl until its end.
func (w *watcher) follow(ctx context.Context) {
	out, in, err := os.Pipe()
	if err != nil {
		return
	}
	defer out.Close()
	cmd := exec.Command(w.node.tools.overlayctl, "--socket", w.node.socket(), "-o", "json",
		"paths", "--watch", "--interval", watchInterval.String())
	cmd.Stdout, cmd.Env = in, environ()
	p, err := w.node.spawner.Start(w.node.site.host, cmd)
	in.Close()
	if err != nil {
		return
	}
	defer context.AfterFunc(ctx, func() { _ = p.Signal(os.Kill) })()
	for d := json.NewDecoder(out); ; {
		var report pathsReport
		if d.Decode(&report) != nil {
			break
		}
		w.mu.Lock()
		w.last = report
		w.mu.Unlock()
		w.seen(time.Now(), report)
	}
	p.Kill()
	w.mu.Lock()
	w.last = pathsReport{}
	w.mu.Unlock()
}

// latest is the last report; empty while the daemon does not answer.
func (w *watcher) latest() pathsReport {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last
}

// observe starts a watcher of every node that somebody asks about, whose findings go to the history and the journal.
func (t *trial) observe(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	for _, n := range t.nodes {
		if !t.watched(n.site.name) {
			continue
		}
		w := &watcher{node: n, seen: t.sawPaths}
		t.watchers[n.site.name] = w
		group.Go(func() { w.run(ctx) })
	}
	return func() {
		cancel()
		group.Wait()
	}
}

// sawPaths takes in a report.
func (t *trial) sawPaths(at time.Time, report pathsReport) {
	for pair, s := range t.history.add(report, at) {
		if t.interesting(pair) {
			t.journal.note(s.at, "path", pair.String()+"  "+s.String()+because(s.reason))
		}
	}
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return "  (" + reason + ")"
}

// watched reports whether the paths of a node are followed. In a crowd that is only done where an expectation, traffic
// or an event asks for them: fifty watchers would be most of what there is to see.
func (t *trial) watched(name string) bool {
	if t.scenario.Crowd == nil {
		return true
	}
	var asked []scenario.Pair
	for _, flow := range t.scenario.Traffic {
		asked = append(asked, flow.Flow)
	}
	for _, x := range t.scenario.Expect {
		switch c := x.Check.(type) {
		case scenario.Path:
			asked = append(asked, c.Of)
		case scenario.Switches:
			asked = append(asked, c.Of)
		case scenario.Dead:
			asked = append(asked, c.Of)
		}
	}
	for _, e := range t.scenario.Events {
		switch a := e.Action.(type) {
		case scenario.TCP:
			asked = append(asked, a.Flow)
		case scenario.Kill:
			asked = appendPair(asked, a.Who.RelayOf)
		case scenario.Stop:
			asked = appendPair(asked, a.Who.RelayOf)
		case scenario.Wipe:
			asked = appendPair(asked, a.Who.RelayOf)
		}
	}
	return slices.ContainsFunc(asked, func(p scenario.Pair) bool { return p.From == name || p.To == name })
}

func appendPair(all []scenario.Pair, p *scenario.Pair) []scenario.Pair {
	if p == nil {
		return all
	}
	return append(all, *p)
}

// interesting reports whether traffic or an expectation is about a pair.
func (t *trial) interesting(pair scenario.Pair) bool {
	for _, flow := range t.scenario.Traffic {
		for _, d := range flow.Flow.Directions() {
			if d == pair {
				return true
			}
		}
	}
	for _, e := range t.scenario.Events {
		if tcp, ok := e.Action.(scenario.TCP); ok && tcp.Flow == pair {
			return true
		}
	}
	return t.verbose
}
