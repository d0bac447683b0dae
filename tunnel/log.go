package tunnel

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.zx2c4.com/wireguard/device"
)

// logInterval bounds what wireguard-go may log: it reports an error for each batch that it cannot write.
const logInterval = time.Second

// limitedLog passes on one line an interval and counts the others.
type limitedLog struct {
	to *slog.Logger

	mu      sync.Mutex // guards what follows
	next    time.Time
	skipped int
}

func (l *limitedLog) errorf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if now.Before(l.next) {
		l.skipped++
		return
	}
	l.next = now.Add(logInterval)
	l.to.Warn("wireguard: "+fmt.Sprintf(format, args...), "skipped", l.skipped)
	l.skipped = 0
}

func deviceLogger(log *slog.Logger) *device.Logger {
	limited := &limitedLog{to: log}
	return &device.Logger{Verbosef: device.DiscardLogf, Errorf: limited.errorf}
}
