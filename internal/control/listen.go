package control

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

const (
	socketMode = 0o660
	dirMode    = 0o755

	// Group is the group that the socket is given to if it exists on the host; its members may use overlayctl.
	Group = "overlayd"

	dialTimeout = 2 * time.Second
)

// Listen opens the control socket, and makes its directory. What a daemon that is gone left behind is replaced; if one
// still answers there, the error wraps ErrInUse. Closing the listener removes the socket.
func Listen(path string) (net.Listener, error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return nil, fmt.Errorf("control socket: %w: choose another path with --socket", err)
	}
	// Two daemons that start at once must not each find the other's socket stale.
	unlock, err := lockDir(dir)
	if err != nil {
		return nil, fmt.Errorf("control socket: lock %s: %w", dir, err)
	}
	defer unlock()
	if err := removeStale(path); err != nil {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if err := restrict(path); err != nil {
		l.Close()
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return l, nil
}

func lockDir(dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

// removeStale removes a socket that nobody listens on.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("control socket: %w", err)
	case info.Mode()&fs.ModeSocket == 0:
		return fmt.Errorf("control socket: %s exists and is no socket: move it away, or choose another path with --socket", path)
	}
	c, err := net.DialTimeout("unix", path, dialTimeout)
	switch {
	case err == nil:
		c.Close()
		return fmt.Errorf("%w: another overlayd answers on %s: stop it with `overlayctl --socket %s down`, "+
			"or choose another path with --socket", ErrInUse, path, path)
	case !errors.Is(err, unix.ECONNREFUSED):
		return fmt.Errorf("%w: %s: %w", ErrInUse, path, err)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("control socket left behind: %w", err)
	}
	return nil
}

// restrict gives the socket its mode and, where there is one and we may, its group.
func restrict(path string) error {
	if g, err := user.LookupGroup(Group); err == nil && os.Geteuid() == 0 {
		gid, err := strconv.Atoi(g.Gid)
		if err != nil {
			return fmt.Errorf("group %s: %w", Group, err)
		}
		if err := os.Lchown(path, -1, gid); err != nil {
			return err
		}
	}
	return os.Chmod(path, socketMode)
}
