package main

import (
	"encoding/json"

	"github.com/spf13/cobra"

	"overlayd/internal/lab/study"
)

func newStudy() *cobra.Command {
	var o study.Options
	var seed uint64
	var format, plots string
	cmd := &cobra.Command{
		Use:   "study FILE",
		Short: "Hold path-selection algorithms against the best paths of a measured network",
		Long: `Run a study in the simulator: production cores on an underlay with measured round-trip times. It tells by how
much the paths in use are worse than the best ones, how often they change, and what it costs. docs/algorithms.md
describes the files.`,
		Example: `  overlaylab study scripts/studies/planetlab-sample.yaml`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			if cmd.Flags().Changed("seed") {
				o.Seed = &seed
			}
			o.Progress = cmd.ErrOrStderr()
			report, err := study.Run(cmd.Context(), args[0], o)
			if err != nil {
				return err
			}
			if plots != "" {
				if err := report.Plot(plots); err != nil {
					return err
				}
			}
			if format == formatJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(report)
			}
			report.Print(cmd.OutOrStdout())
			return nil
		},
	}
	cmd.Flags().Uint64Var(&seed, "seed", 0, "use this seed instead of the study's")
	cmd.Flags().StringVar(&plots, "plots", "", "draw the regret into SVG files in this `directory`")
	addFormat(cmd, &format)
	return cmd
}
