package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"overlayd/internal/lab/judge"
	"overlayd/internal/lab/scenario"
	"overlayd/internal/lab/thread"
)

// Options say how scenarios are run.
type Options struct {
	Bin     string    // directory of overlayd and overlayctl
	Logs    string    // where the daemons' logs go; empty: to a temporary directory, kept only after a failure
	Short   bool      // run the short forms
	Repeat  int       // how often each is run, each time with the next seed
	Seed    *uint64   // instead of the scenario's own
	Keep    bool      // bind the namespaces to /run/netns, and after the last event wait for an interrupt
	Verbose bool      // the daemons log at the level debug; every path change is told
	Out     io.Writer // the time line, as it grows; nil: none
}

// ErrFailed says that an expectation was not met, or that a program misbehaved.
var ErrFailed = errors.New("failed")

// Run runs the repetitions of one scenario, one after another. The error says that a run broke off; whether what was
// expected came about is in the report.
func Run(ctx context.Context, s *scenario.Scenario, o Options) (judge.Report, error) {
	programs, err := findTools(o.Bin)
	if err != nil {
		return judge.Report{}, err
	}
	defer thread.Prioritize()()
	report := judge.Report{Scenario: s.Name, Description: s.Description, Short: o.Short}
	err = judge.Repeat(&report, s, o.Seed, o.Repeat, func(seed uint64) (judge.Result, error) {
		return o.once(ctx, s, programs, seed)
	})
	return report, err
}

// once runs one repetition.
func (o Options) once(ctx context.Context, s *scenario.Scenario, programs tools, seed uint64) (_ judge.Result, err error) {
	dir, done, err := o.directory(s.Name, seed)
	if err != nil {
		return judge.Result{}, err
	}
	t := &trial{
		scenario: s, seed: seed, tools: programs, dir: dir, verbose: o.Verbose, journal: judge.NewJournal(o.Out),
	}
	if o.Out != nil {
		fmt.Fprintf(o.Out, "%s, seed %d: %s\n", s.Name, seed, s.Description)
	}
	var hold func(context.Context)
	if o.Keep {
		hold = o.hold
	}
	result, err := t.run(ctx, hold)
	result.Short = o.Short
	bad := ctx.Err() == nil && (err != nil || !result.Pass)
	if bad && o.Out != nil {
		t.printLogs(o.Out)
	}
	return result, errors.Join(err, done(bad))
}

// hold waits for the end of the context, so that a person can look at what there is.
func (o Options) hold(ctx context.Context) {
	if o.Out != nil {
		fmt.Fprintf(o.Out, "everything stays up: see `ip netns list`; interrupt to end\n")
	}
	<-ctx.Done()
}

// directory makes the directory of a run. The second value is called at its end, with whether to keep a temporary one.
func (o Options) directory(name string, seed uint64) (string, func(keep bool) error, error) {
	if o.Logs != "" {
		dir, err := filepath.Abs(filepath.Join(o.Logs, fmt.Sprintf("%s-%d", name, seed)))
		if err == nil {
			err = os.RemoveAll(dir) // of an earlier run: a state that exists cannot be founded again
		}
		if err == nil {
			err = os.MkdirAll(dir, 0o700)
		}
		return dir, func(bool) error { return nil }, err
	}
	dir, err := os.MkdirTemp("", "overlaylab-")
	return dir, func(keep bool) error {
		if !keep {
			return os.RemoveAll(dir)
		}
		if o.Out != nil {
			fmt.Fprintf(o.Out, "logs and states are kept in %s\n", dir)
		}
		return nil
	}, err
}

// tailLines is how much of each log is shown after a failure.
const tailLines = 15

// printLogs prints the end of every daemon's log; of a crowd, only of those that ended by themselves.
func (t *trial) printLogs(out io.Writer) {
	for _, spec := range t.scenario.Sites {
		n := t.nodes[spec.Name]
		if n == nil || t.scenario.Crowd != nil && (n.current() == nil || n.running()) {
			continue
		}
		fmt.Fprintf(out, "--- end of the log of %s\n", spec.Name)
		for _, line := range n.tail(tailLines) {
			fmt.Fprintf(out, "    %s\n", line)
		}
	}
}
