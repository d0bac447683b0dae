// Package virtual runs scenarios in simulation: the production cores of every node (package sim) on a virtual clock, on
// the same model of a wide-area network as real runs, with the same time line, judged by the same code. It needs no root,
// and equal seeds give equal runs.
//
//	scenario ─▶ Underlay: uplinks, links, downlinks ◀── sim.Host: node.Core ◀── events
//	                                                        │ arrivals, paths, members
//	                                                        ▼
//	                                                  judge.Evidence
//
// What it cannot do is not judged: see omissions.go.
package virtual

import (
	"context"
	"fmt"
	"io"
	"runtime/debug"

	"overlayd/internal/lab/judge"
	"overlayd/internal/lab/scenario"
)

// Options say how scenarios are run.
type Options struct {
	Short   bool      // the scenario is in its short form
	Repeat  int       // how often each is run, each time with the next seed
	Seed    *uint64   // instead of the scenario's own
	Verbose bool      // every path change is told
	Out     io.Writer // the time line, as it grows; nil: none
}

// Run runs the repetitions of one scenario, one after another. The error says that a run broke off; whether what was
// expected came about is in the report.
func Run(ctx context.Context, s *scenario.Scenario, o Options) (judge.Report, error) {
	report := judge.Report{Scenario: s.Name, Description: s.Description, Short: o.Short, Simulated: true}
	err := judge.Repeat(&report, s, o.Seed, o.Repeat, func(seed uint64) (judge.Result, error) {
		if o.Out != nil {
			fmt.Fprintf(o.Out, "%s in simulation, seed %d: %s\n", s.Name, seed, s.Description)
		}
		result, err := once(ctx, s, seed, o)
		result.Short = o.Short
		return result, err
	})
	return report, err
}

// once runs one repetition. What is wrong in a core or in the simulation is a panic there, and an error here.
func once(ctx context.Context, s *scenario.Scenario, seed uint64, o Options) (result judge.Result, err error) {
	defer func() {
		if wrong := recover(); wrong != nil {
			err = fmt.Errorf("the simulation broke off: %v\n%s", wrong, debug.Stack())
		}
	}()
	t, err := newTrial(s, seed, judge.NewJournal(o.Out), o.Verbose)
	if err != nil {
		return judge.Result{}, err
	}
	return t.run(ctx)
}
