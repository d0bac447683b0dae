package lab

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"sync"
	"time"

	"overlayd/internal/control"
	"overlayd/internal/lab/judge"
)

// watcher follows the paths of one node through `overlayctl paths --watch`, across restarts of its daemon.
type watcher struct {
	node *node
	seen func(at time.Time, report control.Paths)

	mu   sync.Mutex // guards last
	last control.Paths
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
		var report control.Paths
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
	w.last = control.Paths{}
	w.mu.Unlock()
}

// latest is the last report; empty while the daemon does not answer.
func (w *watcher) latest() control.Paths {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last
}

// observe starts a watcher of every node that somebody asks about, whose findings go to the history and the journal.
func (t *trial) observe(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	for _, n := range t.nodes {
		if !judge.Follows(t.scenario, n.site.name) {
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
func (t *trial) sawPaths(at time.Time, report control.Paths) {
	for _, c := range t.history.Add(report, at) {
		if t.verbose || judge.Carries(t.scenario, c.Pair) {
			t.journal.Tell(c)
		}
	}
}
