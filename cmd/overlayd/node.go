package main

import (
	"context"
	"log/slog"

	"github.com/coreos/go-systemd/v22/daemon"

	"overlayd/config"
	"overlayd/internal/control"
	"overlayd/internal/node"
	"overlayd/internal/state"
)

// version is set by the linker.
var version = "unversioned"

// runNode runs the node and its control socket until ctx ends or somebody asks it to stop.
func runNode(ctx context.Context, cfg config.Config, dir *state.Dir, log *slog.Logger) error {
	n, err := node.Open(cfg, dir, version, log)
	if err != nil {
		return err
	}
	defer n.Close()
	listener, err := control.Listen(cfg.Socket)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() { served <- control.NewServer(n, log).Serve(ctx, listener) }()
	err = n.Run(ctx, func() {
		_, _ = daemon.SdNotify(false, daemon.SdNotifyReady)
	})
	_, _ = daemon.SdNotify(false, daemon.SdNotifyStopping)
	stop()
	if serveErr := <-served; err == nil {
		err = serveErr
	}
	return err
}
