package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"overlayd/config"
)

// hangups are what SIGHUP means: the configuration is to be read again; where the terminal that the daemon was started at
// is gone, that the daemon is to end.
type hangups struct {
	signals  chan os.Signal
	terminal *os.File // nil: none
}

// catchHangups begins to catch SIGHUP, unless it is ignored, as under nohup.
func catchHangups() hangups {
	h := hangups{signals: make(chan os.Signal, 1)}
	for _, f := range []*os.File{os.Stderr, os.Stdin} {
		if isTerminal(f) {
			h.terminal = f
		}
	}
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(h.signals, syscall.SIGHUP)
	}
	return h
}

// serve answers each SIGHUP until ctx ends.
func (h hangups) serve(ctx context.Context, stop, reload func()) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.signals:
			if h.terminal != nil && !isTerminal(h.terminal) {
				stop()
				return
			}
			reload()
		}
	}
}

// isTerminal reports whether f is a terminal that still has its other end.
func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// reloader reads the configuration again and takes from it what a running daemon can: the level of the log.
func reloader(running config.Config, load func() (config.Config, error), level *slog.LevelVar, log *slog.Logger) func() {
	return func() {
		next, err := load()
		if err != nil {
			log.Warn("the configuration cannot be read again, and stays as it is", "err", err)
			return
		}
		level.Set(next.Log.Level)
		running.Log.Level = next.Log.Level
		if keys := config.Changed(running, next); len(keys) > 0 {
			log.Warn("the configuration was read again: start overlayd again to use the new values of "+strings.Join(keys, ", "),
				"log_level", next.Log.Level)
			return
		}
		log.Info("the configuration was read again", "log_level", next.Log.Level)
	}
}
