package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"overlayd/config"
	"overlayd/internal/cli"
	"overlayd/internal/control"
	"overlayd/internal/member"
	"overlayd/internal/state"
	"overlayd/tunnel/osnet"
)

func newUp() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run this node in the foreground",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			hangups := catchHangups()
			load := func() (config.Config, error) { return config.Load(cmd.Flags(), os.Environ()) }
			cfg, err := load()
			if err != nil {
				return err
			}
			log, level := logger(cfg.Log, cmd.ErrOrStderr())
			ctx, stop := context.WithCancel(cmd.Context())
			defer stop()
			go hangups.serve(ctx, stop, reloader(cfg, load, level, log))
			return up(ctx, cfg, log)
		},
	}
	config.Flags(cmd.Flags())
	for flag, choices := range config.Choices() {
		// it fails only for a flag that does not exist, or that has one already
		_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(choices, cobra.ShellCompDirectiveNoFileComp))
	}
	return cmd
}

// logger logs to w; its level can be changed.
func logger(c config.Log, w io.Writer) (*slog.Logger, *slog.LevelVar) {
	level := new(slog.LevelVar)
	level.Set(c.Level)
	options := &slog.HandlerOptions{Level: level}
	if c.Format == config.LogJSON {
		return slog.New(slog.NewJSONHandler(w, options)), level
	}
	return slog.New(slog.NewTextHandler(w, options)), level
}

// up runs a node until ctx ends, in a network of its own if it has none yet.
func up(ctx context.Context, cfg config.Config, log *slog.Logger) error {
	dir, err := afterPredecessor(ctx, log, func() (*state.Dir, error) { return state.Open(cfg.State) })
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	// The socket comes first: whoever is beside another daemon finds out before touching interfaces and routes.
	listener, err := afterPredecessor(ctx, log, func() (net.Listener, error) { return control.Listen(cfg.Socket) })
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }()
	attached, err := osnet.Attached(cfg.Interface)
	if err != nil {
		log.Warn("cannot list the networks that this host is attached to", "err", err)
	}
	e := entry{
		dir: dir, name: cfg.Name, create: mayCreate(cfg.Create), attached: attached, log: log,
		canRun: func(prefix netip.Prefix) error { return rehearse(cfg, prefix) },
	}
	err = e.ensureNetwork(ctx)
	logNotices(dir, log)
	if err != nil {
		return err
	}
	return runNode(ctx, cfg, dir, listener, log)
}

// mayCreate reports whether up may make a network of its own. Under a service manager nobody looks: there, a join that is
// still to come, or a file system that is not mounted, must not end in a network of one.
func mayCreate(mode config.CreateMode) bool {
	switch mode {
	case config.CreateAlways:
		return true
	case config.CreateNever:
		return false
	}
	stderr, _ := os.Stderr.Stat()
	return isTerminal(os.Stdin) || !managed(os.LookupEnv, os.Getpid(), os.Getppid(), stderr)
}

// managed reports whether a service manager started this process, by what systemd.exec(5) says of its environment: what it
// starts inherits the variables, so that INVOCATION_ID alone says nothing. The first process of a container counts as well.
func managed(env func(string) (string, bool), pid, ppid int, stderr os.FileInfo) bool {
	_, notified := env("NOTIFY_SOCKET")
	_, invoked := env("INVOCATION_ID")
	journal, _ := env("JOURNAL_STREAM")
	logged := false
	if stderr != nil {
		if at, ok := stderr.Sys().(*syscall.Stat_t); ok {
			logged = journal == fmt.Sprintf("%d:%d", at.Dev, at.Ino)
		}
	}
	return notified || logged || invoked && ppid == 1 || pid == 1
}

// entry is how a node gets into a network before it runs.
type entry struct {
	dir      *state.Dir
	name     string // of the node, if it makes a network; empty: that of the host
	create   bool   // it may make one
	attached []member.Attached
	canRun   func(netip.Prefix) error
	log      *slog.Logger
}

// ensureNetwork completes a join that has not completed, or makes a network of one if there is none, and if this machine
// can run it: who has to put something right first may then still join another network instead. Who has left a network is
// not to find itself in a new one, such as after the next boot.
func (e entry) ensureNetwork(ctx context.Context) error {
	m, err := e.dir.Network()
	if err == nil {
		if list := member.Overlapping(m.Network.Prefix, e.attached); len(list) > 0 {
			e.log.Warn(overlapText(m.Network.Prefix, list))
		}
		_ = e.dir.RemovePending() // of a join that was killed when it was complete
		return nil
	}
	if !errors.Is(err, state.ErrAbsent) {
		return err
	}
	if p, err := e.dir.Pending(); err == nil {
		return e.completeJoin(ctx, p)
	} else if !errors.Is(err, state.ErrAbsent) {
		return err
	}
	flag := stateFlag(e.dir.Path())
	if e.dir.Ran() {
		return cli.Configf("this node is no longer a member of a network: join one with overlayd join --token-file FILE --name NODE%[1]s, or "+
			"create one with overlayd init --name NODE%[1]s", flag)
	}
	if !e.create {
		return cli.Configf("this node is not a member of a network, and %[2]s is empty: mount the file system that it belongs on, or join a "+
			"network with overlayd join --token-file FILE --name NODE%[1]s, or create one with overlayd init --name NODE%[1]s", flag, e.dir.Path())
	}
	return e.found()
}

// found makes a network of one.
func (e entry) found() error {
	name := e.name
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
	if err := e.canRun(f.prefix); err != nil {
		return err
	}
	if err := outside(f.prefix, e.attached); err != nil {
		return err
	}
	cert, err := found(e.dir, f, time.Now())
	if err != nil {
		return err
	}
	e.log.Info("made a new network; invite the next node with: overlayctl invite",
		"network", f.network, "node", cert.Name, "ipv4", cert.IPv4, "ipv6", cert.IPv6)
	return nil
}
