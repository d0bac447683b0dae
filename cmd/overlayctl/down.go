package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"overlayd/internal/control"
)

// downTimeout bounds how long down waits for the daemon to end.
const downTimeout = 10 * time.Second

func newDown(s *session) *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "Stop the daemon, and wait until it has ended",
		Args:  args(0, 0, "no argument"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := s.untilItEnds(cmd.Context(), func() error { return s.client.Down(cmd.Context()) })
			return err
		},
	}
}

// untilItEnds asks the daemon for something that makes it stop, and waits until it has. It returns what the node was.
func (s *session) untilItEnds(ctx context.Context, ask func() error) (control.Status, error) {
	status, err := s.client.Status(ctx)
	if err != nil {
		return status, err
	}
	// The process is held by a descriptor before it is asked to end, so that no other can take its number.
	process, err := unix.PidfdOpen(status.PID, 0)
	if err == nil {
		defer unix.Close(process)
	}
	if askErr := ask(); askErr != nil {
		return status, askErr
	}
	if err != nil {
		return status, nil // it runs where it cannot be seen, such as in another container
	}
	return status, waitForEnd(process, status.PID)
}

// waitForEnd returns when a process has ended: its descriptor is then readable (pidfd_open(2)).
func waitForEnd(process, pid int) error {
	deadline := time.Now().Add(downTimeout)
	for {
		left := time.Until(deadline)
		if left <= 0 {
			return fmt.Errorf("overlayd (process %d) still runs %v after it agreed to stop: see its log", pid, downTimeout)
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(process), Events: unix.POLLIN}}, int(left.Milliseconds())+1)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return fmt.Errorf("wait for overlayd to end: %w", err)
		case n > 0:
			return nil
		}
	}
}
