package netns

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"overlayd/internal/lab/thread"
)

// Spawner starts processes inside namespaces. The kernel kills a child whose parent *thread* ends, so all of them are
// started from one thread that lives as long as the Spawner.
type Spawner struct {
	jobs chan func()
}

// NewSpawner starts the thread.
func NewSpawner() *Spawner {
	s := &Spawner{jobs: make(chan func())}
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with Close
		thread.Ordinary()      // children have their priority from it
		for job := range s.jobs {
			job()
		}
	}()
	return s
}

// PrivateMounts gives the processes that are started from now on, and what Do runs, mounts of their own: what is mounted
// there is seen by nobody else, and is gone with the last of them.
func (s *Spawner) PrivateMounts() error {
	return s.Do(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("make a mount namespace: %w", err)
		}
		return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	})
}

// Do runs f on the thread from which processes are started.
func (s *Spawner) Do(f func() error) error {
	done := make(chan error)
	s.jobs <- func() { done <- f() }
	return <-done
}

// Close ends the thread, and with it every process that still runs.
func (s *Spawner) Close() { close(s.jobs) }

// Process is a running child.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // of Wait; read it after done
}

// Start starts the command in the namespace, or in the caller's if in is nil. The child is in a process group of its
// own, so that an interrupt from the terminal reaches only the lab, which then ends its children in order.
func (s *Spawner) Start(in *Namespace, cmd *exec.Cmd) (*Process, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	cmd.SysProcAttr.Setpgid = true
	started := make(chan error)
	s.jobs <- func() { started <- startIn(in, cmd) }
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	p := &Process{cmd: cmd, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// startIn starts the command with the calling thread inside the namespace, and returns the thread to where it was.
func startIn(in *Namespace, cmd *exec.Cmd) error {
	if in == nil {
		return cmd.Start()
	}
	home, err := netns.Get()
	if err != nil {
		return err
	}
	defer home.Close()
	if err := netns.Set(in.handle); err != nil {
		return err
	}
	err = cmd.Start()
	return errors.Join(err, netns.Set(home))
}

// PID is the process's identifier.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err is how the process ended: nil means exit status 0. It waits for the end.
func (p *Process) Err() error {
	<-p.done
	return p.err
}

// Kill ends the process with SIGKILL and waits until it has gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // an error says that it has ended already
	<-p.done
}

// Signal sends a signal.
func (p *Process) Signal(sig os.Signal) error { return p.cmd.Process.Signal(sig) }

// Stop asks the process to end with SIGTERM, and kills it if it has not within the given time. It returns how the
// process ended.
func (p *Process) Stop(patience time.Duration) error {
	if err := p.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.done:
		return p.err
	case <-time.After(patience):
		p.Kill()
		return fmt.Errorf("did not end within %v of SIGTERM and was killed", patience)
	}
}

// Run starts the command in the namespace and waits for its end, which the context may hasten.
func (s *Spawner) Run(ctx context.Context, in *Namespace, cmd *exec.Cmd) error {
	p, err := s.Start(in, cmd)
	if err != nil {
		return err
	}
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		p.Kill()
		return context.Cause(ctx)
	}
}
