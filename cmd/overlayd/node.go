package main

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime/debug"

	"github.com/coreos/go-systemd/v22/daemon"

	"overlayd/config"
	"overlayd/internal/control"
	"overlayd/internal/node"
	"overlayd/internal/state"
	"overlayd/tunnel/osnet"
	"overlayd/tunnel/udp"
)

// version is set by the linker.
var version = "unversioned"

// gcPercent keeps the garbage below a quarter of what lives. Most of that are packet buffers of 64 KB without pointers,
// which cost the collector nothing, but the default would let as much garbage again become resident before it begins:
// 49 MB instead of 22 in ten minutes of two transfers.
const gcPercent = 25

// runNode runs the node and answers on its control socket until ctx ends or somebody asks it to stop.
func runNode(
	ctx context.Context, cfg config.Config, dir *state.Dir, listener net.Listener, log *slog.Logger,
) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	n, err := afterPredecessor(ctx, log, func() (*node.Node, error) { return node.Open(cfg, dir, version, log) })
	if err != nil {
		return err
	}
	defer n.Close()
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

// rehearse makes what a node needs of the system, and takes it away again: the sockets, and the interface with a route
// to the network's addresses.
func rehearse(cfg config.Config, prefix netip.Prefix) error {
	sockets, err := udp.Listen(cfg.Listen)
	if err != nil {
		return err
	}
	for _, s := range sockets {
		_ = s.Close()
	}
	device, err := osnet.Open(cfg.Interface, cfg.MTU)
	if err != nil {
		return err
	}
	defer func() { _ = device.Close() }()
	_, err = osnet.Configure(cfg.Interface, nil, []osnet.Route{{Prefix: prefix}})
	return err
}
