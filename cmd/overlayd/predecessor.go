package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"overlayd/internal/control"
	"overlayd/internal/state"
	"overlayd/tunnel/osnet"
	"overlayd/tunnel/udp"
)

// A daemon that was killed holds its state directory, socket, port and interface until the kernel has ended all of its
// threads, which takes a while on a busy machine: of 30 daemons killed and started again at once, 25 found their state in
// use. So up waits for what is in use before it refuses to start.
const (
	predecessorFor = 3 * time.Second
	predecessorTry = 100 * time.Millisecond
)

// inUse reports whether an error says that another overlayd has what this one needs.
func inUse(err error) bool {
	return slices.ContainsFunc(
		[]error{state.ErrLocked, control.ErrInUse, udp.ErrPortInUse, osnet.ErrNameInUse},
		func(target error) bool { return errors.Is(err, target) },
	)
}

// afterPredecessor opens something, and tries again for a while if it is in use.
func afterPredecessor[T any](ctx context.Context, log *slog.Logger, open func() (T, error)) (T, error) {
	for end := time.Now().Add(predecessorFor); ; {
		v, err := open()
		if !inUse(err) || !time.Now().Before(end) {
			return v, err
		}
		log.Debug("waiting for another overlayd to end", "err", err)
		select {
		case <-ctx.Done():
			return v, err
		case <-time.After(predecessorTry):
		}
	}
}
