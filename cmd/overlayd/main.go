// Command overlayd is the daemon: it makes or joins a network, and runs a node of it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"overlayd/config"
	"overlayd/internal/cli"
	"overlayd/internal/state"
)

func main() {
	// A log that nobody reads any more must not end the daemon: writing to it fails, and that is all. Nor must a signal that
	// means nothing here.
	signal.Ignore(syscall.SIGPIPE, syscall.SIGUSR1, syscall.SIGUSR2)
	// Until the end of main: a second signal must not cut short what the first one began.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// run is the whole command: it returns the exit status, one of package cli. An error is one sentence on stderr.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return cli.ExitOK
	}
	_, _ = fmt.Fprintf(stderr, "overlayd: %s\n", cli.Clean(err.Error()))
	if errors.Is(err, config.ErrInvalid) || errors.Is(err, state.ErrUnusable) {
		return cli.ExitConfig
	}
	return cli.Status(err)
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "overlayd",
		Short:         "A network between sites that finds its own way around broken paths",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return cli.Usagef("unknown command %q: see overlayd --help", args[0])
			}
			return cmd.Help()
		},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return cli.Usagef("%w: %s --help lists the flags", err, cmd.CommandPath())
	})
	root.CompletionOptions.DisableDefaultCmd = true
	cli.SetUsage(root)
	root.AddCommand(newInit(), newJoin(), newUp(), newReset())
	return root
}

// noArgs refuses arguments as a usage error.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return cli.Usagef("%s takes no argument, and was given %q", cmd.CommandPath(), args[0])
	}
	return nil
}
