package main

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"overlayd/config"
	"overlayd/internal/control"
	"overlayd/internal/lab"
	"overlayd/internal/lab/hostile"
	"overlayd/internal/lab/scenario"
	"overlayd/internal/member"
	"overlayd/internal/node"
	"overlayd/internal/state"
	"overlayd/internal/wire"
)

// hostileNode is what the command hostile-node was asked for.
type hostileNode struct {
	does   string
	seed   uint64
	others []string // addresses
}

// newHostileNode is the command that the lab starts in place of overlayd up, with the same flags and more.
func newHostileNode() *cobra.Command {
	var h hostileNode
	cmd := &cobra.Command{
		Use:    lab.HostileCommand,
		Short:  "Run a hostile member from the state of an honest one",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(cmd.Flags(), os.Environ())
			if err != nil {
				return err
			}
			options := &slog.HandlerOptions{Level: cfg.Log.Level}
			return h.run(cmd.Context(), cfg, slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), options)))
		},
	}
	f := cmd.Flags()
	f.StringVar(&h.does, "does", "", "what it does, as in a scenario")
	f.Uint64Var(&h.seed, "seed", 0, "of what it says")
	f.StringSliceVar(&h.others, "others", nil, "addresses of others")
	config.Flags(f)
	return cmd
}

// run runs the node until ctx ends.
func (h hostileNode) run(ctx context.Context, cfg config.Config, log *slog.Logger) error {
	debug.SetGCPercent(25) // as overlayd does
	dir, err := state.Open(cfg.State)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	identity, err := dir.Identity()
	if err != nil {
		return err
	}
	listener, err := control.Listen(cfg.Socket)
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }()
	speech, often, err := h.ways(identity)
	if err != nil {
		return err
	}
	n, err := node.Open(cfg, dir, "hostile", log, func(c *node.CoreConfig) { c.Speech = speech })
	if err != nil {
		return err
	}
	defer n.Close()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	served := make(chan error, 1)
	go func() { served <- control.NewServer(n, log).Serve(ctx, listener) }()
	go every(ctx, hostile.WakeEvery, n, often)
	err = n.Run(ctx, func() { log.Info("hostile", "does", h.does) })
	stop()
	if serveErr := <-served; err == nil {
		err = serveErr
	}
	return err
}

// ways are what the node says in place of what it should, and what it does again and again.
func (h hostileNode) ways(identity member.Identity) (speech node.Speech, often func(*node.Core, time.Time), err error) {
	random := rand.New(rand.NewPCG(h.seed, 0))
	switch scenario.Mischief(h.does) {
	case scenario.OpensCircuits:
		known := []wire.NodeID{identity.ID()}
		anybody := func() wire.NodeID { return known[random.IntN(len(known))] }
		often := func(c *node.Core, now time.Time) {
			known = append(known[:1], c.Members().IDs()...)
			wakeAll(c, now, identity.ID())
		}
		return hostile.OpensCircuits(identity.ID(), hostile.CircuitsEach, anybody, random), often, nil
	case scenario.FloodsAddresses:
		var others []netip.Addr
		for _, text := range h.others {
			addr, err := netip.ParseAddr(text)
			if err != nil {
				return nil, nil, fmt.Errorf("--others: %w", err)
			}
			others = append(others, addr)
		}
		where := hostile.Elsewhere(others, random)
		often := func(c *node.Core, now time.Time) {
			_ = hostile.Publish(c, now, identity, where, random)
			wakeAll(c, now, identity.ID())
		}
		return hostile.Points(where, random), often, nil
	}
	return nil, nil, fmt.Errorf("--does is %s or %s, not %q", scenario.OpensCircuits, scenario.FloodsAddresses, h.does)
}

// wakeAll has something to say to all members.
func wakeAll(c *node.Core, now time.Time, self wire.NodeID) {
	for _, id := range c.Members().IDs() {
		if id != self {
			_ = c.Step(now, node.Wake{Peer: id})
		}
	}
}

// every lets f use the core of a node again and again, until ctx or the node ends.
func every(ctx context.Context, d time.Duration, n *node.Node, f func(*node.Core, time.Time)) {
	for ticker := time.NewTicker(d); ; {
		select {
		case <-ctx.Done():
			ticker.Stop()
			return
		case <-ticker.C:
			if n.Do(ctx, f) != nil {
				return
			}
		}
	}
}
