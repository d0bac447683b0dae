package control_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"overlayd/internal/control"
	"overlayd/internal/control/controltest"
)

// leftBehind makes a socket that nobody listens on.
func leftBehind(t testing.TB, path string) {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
}

func TestSocketIsForOwnerAndGroup(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "o.sock")
	l, err := control.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	l.Close()
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket stays behind: %v", err)
	}
}

func TestStaleSocketIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "o.sock")
	leftBehind(t, path)
	l, err := control.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}

func TestLiveDaemonKeepsItsSocket(t *testing.T) {
	socket, _ := controltest.Serve(t, &controltest.Backend{})
	_, err := control.Listen(socket)
	if !errors.Is(err, control.ErrInUse) || !strings.Contains(err.Error(), "another overlayd answers on "+socket) {
		t.Errorf("got %v", err)
	}
	if _, err := control.NewClient(socket).Status(t.Context()); err != nil {
		t.Errorf("the first daemon no longer answers: %v", err)
	}
}

func TestFileInTheWayIsNotRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "o.sock")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := control.Listen(path); err == nil || !strings.Contains(err.Error(), "is no socket") {
		t.Errorf("got %v", err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "precious" {
		t.Errorf("the file is now %q, %v", text, err)
	}
}
