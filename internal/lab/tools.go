package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"overlayd/internal/lab/netns"
)

// tools are the programs under test, and overlaylab beside them, which hostile members need.
type tools struct {
	overlayd, overlayctl, overlaylab string

	manyUses bool // a token may be good more than once
}

// findTools finds the programs in a directory.
func findTools(dir string) (tools, error) {
	t := tools{overlayd: filepath.Join(dir, "overlayd"), overlayctl: filepath.Join(dir, "overlayctl")}
	t.overlaylab = filepath.Join(dir, "overlaylab")
	for _, path := range []string{t.overlayd, t.overlayctl} {
		if _, err := os.Stat(path); err != nil {
			return tools{}, fmt.Errorf(
				"%s is not there: build the programs with `make build`, or name their directory with --bin", path)
		}
	}
	help, err := exec.Command(t.overlayctl, "invite", "--help").Output()
	if err != nil {
		return tools{}, fmt.Errorf("ask %s what it can do: %w", t.overlayctl, err)
	}
	t.manyUses = bytes.Contains(help, []byte("--uses"))
	return t, nil
}

// commandPatience bounds a command that is not a daemon.
const commandPatience = 20 * time.Second

// environ is the environment of every program: nothing of the caller's that could set up a daemon.
func environ(more ...string) []string {
	return append([]string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "NO_COLOR=1"}, more...)
}

// output runs a program in a namespace to its end and returns what it printed on standard output. An error holds what
// it printed on standard error.
func output(ctx context.Context, s *netns.Spawner, in *netns.Namespace, path string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, commandPatience, errors.New("it did not end in time and was killed"))
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr, cmd.Env = &stdout, &stderr, environ()
	if err := s.Run(ctx, in, cmd); err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", filepath.Base(path), strings.Join(args, " "), err,
			strings.TrimSpace(stderr.String()))
	}
	return stdout.Bytes(), nil
}
