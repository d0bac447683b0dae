package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"overlayd/internal/lab"
	"overlayd/internal/lab/judge"
	"overlayd/internal/lab/netns"
	"overlayd/internal/lab/scenario"
	"overlayd/internal/lab/virtual"
)

// errDiffer says that real daemons did something else than the simulation.
var errDiffer = errors.New("the simulation and the real run differ")

// against says how a simulation is compared with real runs.
type against struct {
	real   bool
	repeat int    // real runs
	bin    string // directory of overlayd and overlayctl
}

// agreeAtLeast is how many simulated runs a comparison takes at least.
const agreeAtLeast = 20

// compareAll compares scenarios, one after another.
func (a against) compareAll(
	ctx context.Context, all []*scenario.Scenario, o virtual.Options, out io.Writer, format string,
) error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("--against-real: %w", netns.ErrNotRoot)
	}
	var differ []string
	for _, s := range all {
		agreement, err := a.compare(ctx, s, o)
		if err != nil {
			return err
		}
		if format == formatJSON {
			err = json.NewEncoder(out).Encode(agreement)
		} else {
			agreement.Print(out)
		}
		if err != nil {
			return err
		}
		if !agreement.Agree {
			differ = append(differ, s.Name)
		}
	}
	if len(differ) > 0 {
		return fmt.Errorf("%w: %s", errDiffer, strings.Join(differ, ", "))
	}
	return nil
}

// compare runs one scenario both ways.
func (a against) compare(ctx context.Context, s *scenario.Scenario, o virtual.Options) (judge.Agreement, error) {
	o.Out, o.Repeat = nil, max(o.Repeat, agreeAtLeast)
	simulated, err := virtual.Run(ctx, s, o)
	if err != nil {
		return judge.Agreement{}, err
	}
	real, err := lab.Run(ctx, s, lab.Options{Bin: a.bin, Short: o.Short, Seed: o.Seed, Repeat: a.repeat})
	if err != nil {
		return judge.Agreement{}, err
	}
	return judge.Compare(s, simulated, real), nil
}
