// Command overlayctl shows and controls a running overlayd through its socket.
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
	"overlayd/internal/control"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Environ(), os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// run is the whole command: it returns the exit status, one of package cli. An error is one sentence on stderr.
func run(ctx context.Context, args, environ []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot(&session{screen: newScreen(stdout, environ), stdin: stdin, stderr: stderr}, environ)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return cli.ExitOK
	}
	if !errors.Is(err, errSilent) {
		_, _ = fmt.Fprintf(stderr, "overlayctl: %s\n", clean(err.Error()))
	}
	return exitStatus(err)
}

// exitStatus is the exit status for an error, which may be one of the API.
func exitStatus(err error) int {
	for _, row := range []struct {
		of     error
		status int
	}{
		{control.ErrNotRunning, cli.ExitNotRunning},
		{control.ErrPermission, cli.ExitPermission},
		{control.ErrNotAdmin, cli.ExitPermission},
		{control.ErrNotRoot, cli.ExitPermission},
		{control.ErrUnknownPeer, cli.ExitUnknown},
		{control.ErrUnknownInvite, cli.ExitUnknown},
		{control.ErrUnknownRoute, cli.ExitUnknown},
		{control.ErrNoPath, cli.ExitNoPath},
	} {
		if errors.Is(err, row.of) {
			return row.status
		}
	}
	return cli.Status(err)
}

// errSilent fails a command that has already said why.
var errSilent = errors.New("failed")

// session is what every subcommand works with, once the flags are parsed.
type session struct {
	socket string
	format string
	client *control.Client
	screen *screen
	stdin  io.Reader
	stderr io.Writer
}

const (
	formatTable = "table"
	formatJSON  = "json"
)

func (s *session) json() bool { return s.format == formatJSON }

func newRoot(s *session, environ []string) *cobra.Command {
	root := &cobra.Command{
		Use:           "overlayctl",
		Short:         "Show and control a running overlayd",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return cli.Usagef("unknown command %q: see overlayctl --help", args[0])
			}
			return cmd.Help()
		},
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if s.format != formatTable && s.format != formatJSON {
				return cli.Usagef("--output %q is neither table nor json", s.format)
			}
			s.client = control.NewClient(s.socket)
			return nil
		},
		PersistentPostRun: func(*cobra.Command, []string) { s.client.Close() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return cli.Usagef("%w: %s --help lists the flags", err, cmd.CommandPath())
	})
	root.CompletionOptions.DisableDefaultCmd = true
	cli.SetUsage(root)
	flags := root.PersistentFlags()
	flags.StringVar(&s.socket, "socket", defaultSocket(environ), "`path` of the daemon's control socket")
	flags.StringVarP(&s.format, "output", "o", formatTable, "`form` of what is printed: table or json")
	root.AddCommand(newStatus(s), newPeers(s), newPaths(s), newPing(s), newDown(s))
	root.AddCommand(newMembers(s), newInvite(s), newRevoke(s), newReinstate(s), newRevoked(s), newLeave(s))
	root.AddCommand(newRoute(s), newHistory(s), newWhatIf(s))
	root.AddCommand(newAdmin(s), newSubnet(s), newRootKey(s))
	return root
}

// defaultSocket lets OVERLAYD_SOCKET stand in for --socket, as it does for overlayd up.
func defaultSocket(environ []string) string {
	socket := config.DefaultSocket
	for _, entry := range environ {
		const prefix = "OVERLAYD_SOCKET="
		if len(entry) > len(prefix) && entry[:len(prefix)] == prefix {
			socket = entry[len(prefix):]
		}
	}
	return socket
}

// args is cobra.RangeArgs as a usage error that names what is wanted.
func args(least, most int, wanted string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least || len(args) > most {
			return cli.Usagef("%s takes %s, and was given %d arguments", cmd.CommandPath(), wanted, len(args))
		}
		return nil
	}
}
