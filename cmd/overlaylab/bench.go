package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"overlayd/internal/lab"
	"overlayd/internal/lab/netns"
)

func newBench() *cobra.Command {
	var o lab.BenchOptions
	var format string
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure throughput against wireguard-go alone, and what a relay spends",
		Long: `Measure, between network namespaces with forwarding in the kernel and without the emulator, in one run:
TCP with wireguard-go alone and with overlayd's direct path, in turns; TCP through a relay, and the CPU time that
the relay spends on it; TCP without any tunnel.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			if o.Rounds < 1 || o.For < 2*time.Second {
				return fmt.Errorf("--rounds is at least 1 and --for at least 2s: the first second of a transfer does not count")
			}
			if os.Geteuid() != 0 {
				return netns.ErrNotRoot
			}
			if format == formatTable {
				o.Out = cmd.OutOrStdout()
			}
			var err error
			if o.Self, err = os.Executable(); err != nil {
				return err
			}
			report, err := lab.Bench(cmd.Context(), o)
			if err != nil {
				return err
			}
			if format == formatJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(report)
			}
			report.Print(cmd.OutOrStdout())
			return nil
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.Rounds, "rounds", 5, "measure each `N` times")
	f.DurationVar(&o.For, "for", 5*time.Second, "`length` of each transfer")
	f.StringVar(&o.Bin, "bin", besideUs(), "directory of overlayd and overlayctl")
	addFormat(cmd, &format)
	return cmd
}

// newWireGuard is what bench starts at each end of a tunnel of wireguard-go alone.
func newWireGuard() *cobra.Command {
	var mtu int
	cmd := &cobra.Command{
		Use:    lab.WireGuardCommand,
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return lab.RunWireGuard(ctx, os.Stdin, os.Stdout, mtu)
		},
	}
	cmd.Flags().IntVar(&mtu, "mtu", 1420, "MTU of the device in bytes")
	return cmd
}
