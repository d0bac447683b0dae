package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"overlayd/internal/lab"
	"overlayd/internal/lab/judge"
	"overlayd/internal/lab/netns"
)

func newRun() *cobra.Command {
	var o lab.Options
	var seed uint64
	var format string
	cmd := &cobra.Command{
		Use:   "run FILE…",
		Short: "Run scenarios with real daemons, and tell what came of it",
		Long: `Run scenarios, one after another, with real daemons in network namespaces. It prints a time line of
what happened and a table of what was expected, and exits with 0 if all of it came about. docs/scenarios.md
describes the files.`,
		Example: `  sudo overlaylab run scripts/scenarios/boston.yaml
  sudo overlaylab run --repeat 20 scripts/scenarios/boston.yaml
  sudo overlaylab run --keep -v scripts/scenarios/nat.yaml`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			if cmd.Flags().Changed("seed") {
				o.Seed = &seed
			}
			if o.Keep && o.Repeat > 1 {
				return errors.New("--keep waits at the end of a run, so it goes with one repetition only")
			}
			return runFiles(cmd, files, o, format)
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.Repeat, "repeat", 1, "run each scenario `N` times, each with the next seed, and print distributions")
	f.Uint64Var(&seed, "seed", 0, "use this seed instead of the scenario's")
	f.BoolVar(&o.Short, "short", false, "run the short form")
	f.BoolVar(&o.Keep, "keep", false, "name the namespaces in /run/netns, and at the end wait for an interrupt")
	f.BoolVarP(&o.Verbose, "verbose", "v", false, "let the daemons log at the level debug, and tell of every path change")
	f.StringVar(&o.Bin, "bin", besideUs(), "directory of overlayd and overlayctl")
	f.StringVar(&o.Logs, "logs", "", "keep the daemons' logs and states in this directory")
	addFormat(cmd, &format)
	return cmd
}

// runFiles runs the scenarios in files. All are read before the first is run.
func runFiles(cmd *cobra.Command, files []string, o lab.Options, format string) error {
	if err := checkFormat(format); err != nil {
		return err
	}
	all, err := loadAll(files, o.Short)
	if err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return netns.ErrNotRoot
	}
	out := cmd.OutOrStdout()
	if format == formatTable {
		o.Out = out
	}
	var failed []string
	for _, s := range all {
		report, err := lab.Run(cmd.Context(), s, o)
		if err != nil {
			return err
		}
		if err := printReport(out, report, format); err != nil {
			return err
		}
		if !report.Pass {
			failed = append(failed, s.Name)
		}
	}
	if len(failed) > 0 {
		return fmt.Errorf("%w: %s", lab.ErrFailed, strings.Join(failed, ", "))
	}
	return nil
}

func printReport(out io.Writer, r judge.Report, format string) error {
	if format == formatJSON {
		return json.NewEncoder(out).Encode(r)
	}
	r.Print(out)
	return nil
}

// The forms of output.
const (
	formatTable = "table"
	formatJSON  = "json"
)

func addFormat(cmd *cobra.Command, format *string) {
	cmd.Flags().StringVarP(format, "output", "o", formatTable, "`form` of the output: table or json")
}

func checkFormat(format string) error {
	if format != formatTable && format != formatJSON {
		return fmt.Errorf("-o is %s or %s, not %q", formatTable, formatJSON, format)
	}
	return nil
}

// besideUs is the directory of this program.
func besideUs() string {
	path, err := os.Executable()
	if err != nil {
		return "."
	}
	return filepath.Dir(path)
}
