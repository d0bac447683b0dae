package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"time"

	"github.com/spf13/cobra"

	"overlayd/config"
	"overlayd/internal/cli"
	"overlayd/internal/control"
	"overlayd/internal/member"
	"overlayd/internal/state"
)

func newUp() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run this node in the foreground",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(cmd.Flags(), os.Environ())
			if err != nil {
				return err
			}
			return up(cmd.Context(), cfg, logger(cfg.Log, cmd.ErrOrStderr()))
		},
	}
	config.Flags(cmd.Flags())
	return cmd
}

func logger(c config.Log, w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.Level}
	if c.Format == config.LogJSON {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// up runs a node until ctx ends, in a network of its own if it has none yet.
func up(ctx context.Context, cfg config.Config, log *slog.Logger) error {
	dir, err := state.Open(cfg.State)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	// The socket comes first: whoever is beside another daemon finds out before touching interfaces and routes.
	listener, err := control.Listen(cfg.Socket)
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }()
	canRun := func(prefix netip.Prefix) error { return rehearse(cfg, prefix) }
	if err := ensureNetwork(dir, cfg.Name, canRun, log); err != nil {
		return err
	}
	return runNode(ctx, cfg, dir, listener, log)
}

// ensureNetwork makes a network of one if there is none, and if this machine can run it: who has to put something right
// first may then still join another network instead. Who has left a network is not to find itself in a new one, such as
// after the next boot.
func ensureNetwork(dir *state.Dir, name string, canRun func(netip.Prefix) error, log *slog.Logger) error {
	if _, err := dir.Network(); !errors.Is(err, state.ErrAbsent) {
		return err
	}
	if dir.Ran() {
		return cli.Usagef("this node is in no network any more: enter one with overlayd join TOKEN --name NODE%[1]s, or make a "+
			"new one with overlayd init --name NODE%[1]s", stateFlag(dir.Path()))
	}
	if name == "" {
		host, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("this machine has no host name: name the node with --name: %w", err)
		}
		name = member.NameFrom(host)
	}
	f, err := newFounding(name, defaultNetwork, member.DefaultPrefix)
	if err != nil {
		return err
	}
	if err := canRun(f.prefix); err != nil {
		return err
	}
	cert, err := found(dir, f, time.Now())
	if err != nil {
		return err
	}
	log.Info("made a new network; invite the next node with: overlayctl invite",
		"network", f.network, "node", cert.Name, "ipv4", cert.IPv4, "ipv6", cert.IPv6)
	return nil
}
