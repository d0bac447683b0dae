package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"overlayd/internal/control"
	"overlayd/internal/state"
	"overlayd/tunnel/osnet"
	"overlayd/tunnel/udp"
)

func TestUpWaitsForADaemonThatIsEnding(t *testing.T) {
	other := errors.New("something else")
	for _, tt := range []struct {
		name  string
		err   error
		holds time.Duration // how long open fails with it
		want  error
		after time.Duration
	}{
		{"state", state.ErrLocked, time.Second, nil, time.Second},
		{"socket", control.ErrInUse, time.Second, nil, time.Second},
		{"port", udp.ErrPortInUse, time.Second, nil, time.Second},
		{"interface", osnet.ErrNameInUse, time.Second, nil, time.Second},
		{"one that goes on", state.ErrLocked, time.Hour, state.ErrLocked, predecessorFor},
		{"what does not pass", other, time.Hour, other, 0},
		{"nothing", nil, 0, nil, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				got, err := afterPredecessor(t.Context(), slog.New(slog.DiscardHandler), func() (string, error) {
					if time.Since(begin) < tt.holds {
						return "", fmt.Errorf("wrapped: %w", tt.err)
					}
					return "open", nil
				})
				if !errors.Is(err, tt.want) || (err == nil) != (got == "open") {
					t.Errorf("got %q, %v, want %v", got, err, tt.want)
				}
				if after := time.Since(begin); after < tt.after || after > tt.after+predecessorTry {
					t.Errorf("after %v, want %v", after, tt.after)
				}
			})
		})
	}
}

func TestWaitingForADaemonEndsWithTheCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, stop)
		begin := time.Now()
		_, err := afterPredecessor(ctx, slog.New(slog.DiscardHandler), func() (int, error) { return 0, state.ErrLocked })
		if after := time.Since(begin); !errors.Is(err, state.ErrLocked) || after > time.Second {
			t.Errorf("%v after %v", err, after)
		}
	})
}

// The daemon before, which was killed, has the state for a moment longer.
func TestADaemonStartsOnceTheOneBeforeHasEnded(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	d := b.node("belmont", b.ns)
	held, err := state.Open(d.state)
	b.must(err)
	released := time.AfterFunc(predecessorFor/3, func() { _ = held.Close() })
	defer released.Stop()
	d.startCommand(d.command("overlayd", d.flags()...))
	if s := d.status(); s.Node != "belmont" {
		t.Errorf("it runs as %q", s.Node)
	}
}
