package controltest

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"overlayd/internal/control"
)

// Serve answers for a backend on a socket of its own until the test ends, and returns the socket's path. The returned
// function ends it earlier, as often as one likes.
func Serve(t testing.TB, b control.Backend) (socket string, stop func()) {
	t.Helper()
	// t.TempDir makes paths of the test's name, which may be too long for a socket
	dir, err := os.MkdirTemp("", "control")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket = filepath.Join(dir, "o.sock")
	l, err := control.Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- control.NewServer(b, slog.New(slog.DiscardHandler)).Serve(ctx, l) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("server: %v", err)
		}
	})
	t.Cleanup(stop)
	return socket, stop
}
