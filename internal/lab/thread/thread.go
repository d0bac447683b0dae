// Package thread makes instruments punctual. Go's own timers may be a millisecond late and stand in line behind other
// goroutines, and on a busy machine a thread waits for others. A real-time thread that sleeps in the kernel is some
// tens of microseconds late. But the runtime hands goroutines from thread to thread, and a real-time thread that waits for
// an ordinary one is no better than that: so the whole process gets the priority (Prioritize), and only the children
// that it starts are ordinary (Ordinary).
package thread

import (
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// spare is how many threads may run Go code beyond the number of cores: a thread that comes back from sleeping in the
// kernel must not wait for a goroutine that computes.
const spare = 6

// heapLimit is when a prioritized process collects garbage, in bytes: a collection would have the priority too.
const heapLimit = 1 << 30

// Prioritize gives every thread of the process, and those to come, precedence over ordinary ones. The process must
// sleep nearly all the time. It returns a function that undoes it. Without the right to do so it only loses precision.
func Prioritize() (undo func()) {
	procs := runtime.GOMAXPROCS(runtime.NumCPU() + spare)
	percent := debug.SetGCPercent(-1)
	limit := debug.SetMemoryLimit(heapLimit)
	scheduleAll(unix.SCHED_RR)
	return func() {
		scheduleAll(unix.SCHED_NORMAL)
		debug.SetMemoryLimit(limit)
		debug.SetGCPercent(percent)
		runtime.GOMAXPROCS(procs)
	}
}

// Ordinary makes the calling thread an ordinary one. The caller has locked it.
func Ordinary() { schedule(0, unix.SCHED_NORMAL) }

// scheduleAll sets the policy of every thread. A thread that starts meanwhile has it from the one that starts it, which
// may not have been reached yet: the second round finds it.
func scheduleAll(policy uint32) {
	for range 2 {
		entries, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return
		}
		for _, e := range entries {
			if tid, err := strconv.Atoi(e.Name()); err == nil {
				schedule(tid, policy)
			}
		}
	}
}

func schedule(tid int, policy uint32) {
	attr := unix.SchedAttr{Size: uint32(unsafe.Sizeof(unix.SchedAttr{})), Policy: policy}
	if policy == unix.SCHED_RR {
		attr.Priority = 1
	}
	_ = unix.SchedSetAttr(tid, &attr, 0) // without it we are only less precise
}

// Own runs f on a thread of its own that sleeps precisely, and returns when f does.
func Own(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()                             // never unlocked: the thread ends with the goroutine
		_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) // nanoseconds; the default is 50,000
		f()
	}()
	<-done
}

// SleepUntil sleeps in the kernel until the given time, which needs a monotonic reading.
func SleepUntil(t time.Time) {
	for {
		left := time.Until(t)
		if left <= 0 {
			return
		}
		ts := unix.NsecToTimespec(int64(left))
		_ = unix.Nanosleep(&ts, nil) // interrupted by a signal: go round
	}
}
