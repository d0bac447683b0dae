// Command overlaylab runs scenarios: sites in network namespaces, real daemons, an emulated wide-area network, and a
// meter that tells what an application would see.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := newRoot().ExecuteContext(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "overlaylab: %v\n", err)
		stop()
		if errors.Is(err, errLeftOut) {
			os.Exit(2)
		}
		os.Exit(1)
	}
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "overlaylab",
		Short:         "Try overlayd out on an emulated wide-area network",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(newRun(), newSim(), newChaos(), newBench(), newWireGuard(), newHostileNode())
	return root
}
