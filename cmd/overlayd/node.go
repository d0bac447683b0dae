package main

import (
	"context"
	"errors"
	"log/slog"

	"overlayd/config"
	"overlayd/internal/state"
)

// runNode runs the node until ctx ends.
func runNode(_ context.Context, _ config.Config, _ *state.Dir, _ *slog.Logger) error {
	return errors.New("the node's run-time is not built yet")
}
