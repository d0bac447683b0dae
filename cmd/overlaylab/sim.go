package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"overlayd/internal/lab"
	"overlayd/internal/lab/scenario"
	"overlayd/internal/lab/study"
	"overlayd/internal/lab/virtual"
)

// errLeftOut says that nothing failed, but that not all that was expected could be judged.
var errLeftOut = errors.New("nothing failed, but not all of it was simulated")

func newSim() *cobra.Command {
	var o virtual.Options
	var a against
	var seed uint64
	var format, plots string
	cmd := &cobra.Command{
		Use:   "sim FILE…",
		Short: "Run scenarios in simulation, and tell what came of it",
		Long: `Run scenarios, one after another, in simulation: what decides in the daemon runs as it is, on a virtual
clock and an emulated network. It needs no root, and the same seed gives the same run. It prints a time line
of what happened and a table of what was expected. The exit status is 0 if all of it came about, 1 if
something did not, and 2 if nothing failed but a simulation cannot tell of all of it: the table says of what.
A file with a matrix is a study: algorithms side by side on measured round-trip times, held against the best
paths there are (docs/algorithms.md).
With --against-real each scenario is also run with real daemons, as overlaylab run does, and what came of
it is compared.`,
		Example: `  overlaylab sim scripts/scenarios/boston.yaml
  overlaylab sim --repeat 200 scripts/scenarios/boston.yaml
  overlaylab sim --plots /tmp scripts/studies/planetlab-sample.yaml
  sudo overlaylab sim --against-real --short scripts/scenarios/boston.yaml`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			if cmd.Flags().Changed("seed") {
				o.Seed = &seed
			}
			if a.repeat < 1 {
				return errors.New("--real is at least 1")
			}
			measured, err := studies(files)
			if err != nil {
				return err
			}
			if measured {
				if err := checkFormat(format); err != nil {
					return err
				}
				s := study.Options{Seed: o.Seed, Progress: cmd.ErrOrStderr()}
				return runStudies(cmd.Context(), files, s, plots, format, cmd.OutOrStdout())
			}
			return simulateFiles(cmd, files, o, a, format)
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.Repeat, "repeat", 1, "run each scenario `N` times, each with the next seed, and print distributions")
	f.Uint64Var(&seed, "seed", 0, "use this seed instead of the scenario's")
	f.BoolVar(&o.Short, "short", false, "run the short form")
	f.BoolVarP(&o.Verbose, "verbose", "v", false, "tell of every path change")
	f.StringVar(&plots, "plots", "", "draw what a study finds into SVG files in this `directory`")
	f.BoolVar(&a.real, "against-real", false, "compare with real daemons; needs root")
	f.IntVar(&a.repeat, "real", 3, "with --against-real, run real daemons `N` times")
	f.StringVar(&a.bin, "bin", besideUs(), "with --against-real, directory of overlayd and overlayctl")
	addFormat(cmd, &format)
	return cmd
}

// simulateFiles runs the scenarios in files. All are read before the first is run.
func simulateFiles(cmd *cobra.Command, files []string, o virtual.Options, a against, format string) error {
	if err := checkFormat(format); err != nil {
		return err
	}
	all, err := loadAll(files, o.Short)
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if a.real {
		return a.compareAll(cmd.Context(), all, o, out, format)
	}
	if format == formatTable {
		o.Out = out
	}
	var failed, leftOut []string
	for _, s := range all {
		report, err := virtual.Run(cmd.Context(), s, o)
		if err != nil {
			return err
		}
		if err := printReport(out, report, format); err != nil {
			return err
		}
		if report.Failed() {
			failed = append(failed, s.Name)
		}
		if len(report.LeftOut) > 0 {
			leftOut = append(leftOut, fmt.Sprintf("%s (%s)", s.Name, strings.Join(report.LeftOut, ", ")))
		}
	}
	switch {
	case len(failed) > 0:
		return fmt.Errorf("%w: %s", lab.ErrFailed, strings.Join(failed, ", "))
	case len(leftOut) > 0:
		return fmt.Errorf("%w: %s", errLeftOut, strings.Join(leftOut, "; "))
	}
	return nil
}

// loadAll reads scenarios.
func loadAll(files []string, short bool) ([]*scenario.Scenario, error) {
	var all []*scenario.Scenario
	for _, file := range files {
		s, err := scenario.Load(file, short)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}
