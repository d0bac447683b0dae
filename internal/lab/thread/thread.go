// Package thread gives an instrument a thread that wakes when it should. Go's own timers are a millisecond late at
// worst and stand in line behind other goroutines; a thread with real-time priority that sleeps in the kernel is
// some tens of microseconds late, on a busy machine too.
package thread

import (
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// RealTime runs f on a thread of its own with real-time priority, and returns when f does. Without the right to that
// priority f runs on an ordinary thread. Only instruments that sleep nearly all the time may use it.
func RealTime(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread, and its priority, ends with the goroutine
		attr := unix.SchedAttr{
			Size:     uint32(unsafe.Sizeof(unix.SchedAttr{})),
			Policy:   unix.SCHED_RR,
			Priority: 1,
			Flags:    unix.SCHED_FLAG_RESET_ON_FORK,
		}
		_ = unix.SchedSetAttr(0, &attr, 0)                 // without it we are only less precise
		_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) // nanoseconds; the default is 50,000
		f()
	}()
	<-done
}

// SpareProcessors lets the runtime run more goroutines than the machine has cores, so that a thread that comes back
// from sleeping in the kernel never waits for a goroutine that computes: the kernel decides who runs.
func SpareProcessors() { runtime.GOMAXPROCS(runtime.NumCPU() + 8) }

// SleepUntil sleeps in the kernel until the given time, which needs a monotonic reading. It is for RealTime threads.
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
