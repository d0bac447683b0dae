package lab

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"overlayd/internal/lab/judge"
)

// usage is what the daemon has used until now.
func (n *node) usage() judge.Usage {
	n.mu.Lock()
	u := judge.Usage{Node: n.site.name, CPU: n.spent}
	n.mu.Unlock()
	if n.running() {
		u.CPU += cpuTime(n.current().PID())
		u.Resident, u.Peak = memory(n.current().PID())
	}
	return u
}

// cpuTime is the processor time that a process has used, all its threads together; 0 if it is not there.
func cpuTime(pid int) time.Duration {
	const schedClock = 2 // CPUCLOCK_SCHED, see clock_getcpuclockid(3)
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|schedClock), &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// memory is the resident memory of a process, and its highest so far, in bytes.
func memory(pid int) (now, peak int64) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0
	}
	field := func(name string) int64 {
		_, rest, _ := strings.Cut(string(b), "\n"+name+":")
		line, _, _ := strings.Cut(rest, " kB")
		kB, _ := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
		return kB << 10
	}
	return field("VmRSS"), field("VmHWM")
}

// cpuPressure is for how long some task has waited for a CPU since the machine started; 0 if the kernel does not tell.
func cpuPressure() time.Duration {
	b, err := os.ReadFile("/proc/pressure/cpu")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(b), "total=")
	line, _, _ := strings.Cut(rest, "\n")
	micros, _ := strconv.ParseInt(line, 10, 64)
	return time.Duration(micros) * time.Microsecond
}
