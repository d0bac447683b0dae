package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"overlayd/internal/lab/emulator"
	"overlayd/internal/lab/judge"
	"overlayd/internal/lab/scenario"
	"overlayd/internal/lab/wan"
)

// actOnHosts does what an event says that breaks a host. It reports whether the event is one of those.
func (t *trial) actOnHosts(timed scenario.Timed) (bool, error) {
	switch a := timed.Action.(type) {
	case scenario.Move:
		return true, t.move(a.Site)
	case scenario.Clone:
		t.note(time.Now(), "clone", fmt.Sprintf("of %s on %s", a.Of, a.On))
		return true, t.nodes[a.On].becomeCloneOf(t.nodes[a.Of])
	case scenario.Disk:
		for _, name := range t.scenario.Nodes(a.Who) {
			t.note(time.Now(), "disk", fmt.Sprintf("of %s is %s", name, a.Is))
			if err := t.nodes[name].setDisk(a.Is); err != nil {
				return true, err
			}
		}
		return true, nil
	case scenario.Hostile:
		return true, t.turnHostile(a)
	case scenario.Clock:
		return true, fmt.Errorf("no daemon of %v can have a clock of its own, since all processes share the host's: run the scenario in "+
			"simulation, with overlaylab sim", t.scenario.Nodes(a.Who))
	}
	return false, nil
}

// move gives a site's uplink the next addresses.
func (t *trial) move(site string) error {
	at := slices.IndexFunc(t.scenario.Sites, func(s scenario.Site) bool { return s.Name == site })
	st := t.world.sites[site]
	old := t.scenario.Sites[at]
	for range st.moves {
		old = old.Moved()
	}
	moved := old.Moved()
	st.moves++
	t.note(time.Now(), "move", fmt.Sprintf("%s to %v", site, moved.Addresses()))
	for i, to := range moved.Addresses() {
		from := old.Addresses()[i]
		t.world.wan.Readdress(st.index, from, to)
		// The new one first: the kernel drops the routes of a device that has lost its last address.
		if err := errors.Join(
			st.host.AddAddress(uplinkName, netip.PrefixFrom(to, to.BitLen())),
			st.host.RemoveAddress(uplinkName, netip.PrefixFrom(from, from.BitLen())),
		); err != nil {
			return err
		}
	}
	st.public, st.inside = moved.Addresses()[0], moved.Addresses()[0]
	return nil
}

// diskSize is the size of a disk that may fail, in bytes: enough for a state, and quickly filled.
const diskSize = 4 << 20

// needsDisk reports whether the disk of a node fails in a scenario.
func needsDisk(s *scenario.Scenario, name string) bool {
	return slices.ContainsFunc(s.Events, func(e scenario.Event) bool {
		disk, is := e.Action.(scenario.Disk)
		return is && slices.Contains(s.Nodes(disk.Who), name)
	})
}

// mountDisks gives the nodes whose disks fail disks of their own.
func (t *trial) mountDisks() error {
	var some []*node
	for _, st := range t.world.order {
		if needsDisk(t.scenario, st.name) {
			some = append(some, t.nodes[st.name])
		}
	}
	if len(some) == 0 {
		return nil
	}
	if err := t.world.spawner.PrivateMounts(); err != nil {
		return err
	}
	for _, n := range some {
		if err := n.mountDisk(); err != nil {
			return err
		}
	}
	return nil
}

// mountDisk gives the node a disk of its own, which nobody sees but the daemons, and which ends with the lab.
func (n *node) mountDisk() error {
	n.disk = true
	return n.spawner.Do(func() error {
		if err := os.MkdirAll(n.stateDir(), 0o700); err != nil {
			return err
		}
		options := fmt.Sprintf("size=%d,mode=0700", diskSize)
		if err := unix.Mount("tmpfs", n.stateDir(), "tmpfs", 0, options); err != nil {
			return fmt.Errorf("mount a disk for %s: %w", n.site.name, err)
		}
		return nil
	})
}

// filler is the file that fills a disk.
const filler = "full-of-it"

// setDisk makes the node's disk full or read-only, or well again.
func (n *node) setDisk(is scenario.DiskState) error {
	return n.spawner.Do(func() error {
		switch is {
		case scenario.DiskFull:
			return fill(filepath.Join(n.stateDir(), filler))
		case scenario.DiskReadOnly:
			// The daemon has files open for writing, so that what is there cannot be made read-only, but a view of it can.
			if n.covered {
				return nil
			}
			n.covered = true
			return errors.Join(
				unix.Mount(n.stateDir(), n.stateDir(), "", unix.MS_BIND, ""),
				unix.Mount("", n.stateDir(), "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""),
			)
		}
		if n.covered {
			n.covered = false
			if err := unix.Unmount(n.stateDir(), unix.MNT_DETACH); err != nil {
				return err
			}
		}
		if err := os.Remove(filepath.Join(n.stateDir(), filler)); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
}

// fill writes a file until the disk is full.
func fill(file string) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return ignoreFull(err)
	}
	defer f.Close()
	block := make([]byte, 4096)
	for range 2 * diskSize / len(block) {
		if _, err := f.Write(block); err != nil {
			return ignoreFull(err)
		}
	}
	return fmt.Errorf("%s fills no disk", file)
}

func ignoreFull(err error) error {
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EROFS) {
		return nil
	}
	return err
}

// becomeCloneOf starts a daemon with a copy of another one's state.
func (n *node) becomeCloneOf(of *node) error {
	err := n.spawner.Do(func() error {
		if err := os.MkdirAll(n.dir, 0o700); err != nil {
			return err
		}
		if err := os.RemoveAll(n.stateDir()); err != nil {
			return err
		}
		return copyState(n.stateDir(), of.stateDir())
	})
	if err != nil {
		return fmt.Errorf("copy the state of %s: %w", of.site.name, err)
	}
	return n.start()
}

// copyState copies a state directory, for its owner alone as it was.
func copyState(to, from string) error {
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return err
	}
	return filepath.WalkDir(to, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		return os.Chmod(path, 0o600)
	})
}

// watchStrangers notes what sites send to addresses that have sent them nothing, if an expectation asks for it.
func (t *trial) watchStrangers() {
	asked := slices.ContainsFunc(t.scenario.Expect, func(x scenario.Expectation) bool {
		_, is := x.Check.(scenario.Unanswered)
		return is
	})
	if !asked {
		return
	}
	t.strangers = judge.NewStrangers()
	for _, st := range t.world.order {
		t.world.wan.AddTap(st.index, func(out bool, b []byte) {
			if h, from, to := emulator.Examine(b); out && wan.AllUDP.Has(h.Content) {
				t.strangers.Sent(st.name, from, to, time.Now(), h.Content == wan.Transport)
			}
		})
	}
}
