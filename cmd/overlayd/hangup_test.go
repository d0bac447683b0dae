package main

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"overlayd/config"
)

// TestHangupOfTheTerminalEndsTheDaemon holds what SIGHUP means with a terminal, and once it is gone.
func TestHangupOfTheTerminalEndsTheDaemon(t *testing.T) {
	person, program := newTerminal(t)
	h := hangups{signals: make(chan os.Signal), terminal: program}
	reloads, stopped := make(chan struct{}), make(chan struct{})
	go h.serve(t.Context(), func() { close(stopped) }, func() { reloads <- struct{}{} })
	for range 2 {
		h.signals <- syscall.SIGHUP
		<-reloads
	}
	if err := person.Close(); err != nil {
		t.Fatal(err)
	}
	h.signals <- syscall.SIGHUP
	<-stopped
}

func TestReloadChangesTheLogLevelAndNamesTheRest(t *testing.T) {
	running := config.Config{Interface: "overlay0", MTU: 1400, Log: config.Log{Level: slog.LevelInfo, Format: config.LogText}}
	next := running
	var failure error
	var text bytes.Buffer
	log, level := logger(running.Log, &text)
	reload := reloader(running, func() (config.Config, error) { return next, failure }, level, log)

	next.Log.Level = slog.LevelDebug
	reload()
	if !log.Enabled(t.Context(), slog.LevelDebug) || !strings.Contains(text.String(), "level=INFO") {
		t.Errorf("the level is %v; %s", level.Level(), &text)
	}
	text.Reset()
	next.MTU, next.Log.Level = 1300, slog.LevelInfo
	reload()
	if log.Enabled(t.Context(), slog.LevelDebug) || !strings.Contains(text.String(), "new values of mtu") {
		t.Errorf("the level is %v; %s", level.Level(), &text)
	}
	text.Reset()
	failure = errors.New("no such key")
	reload()
	if !strings.Contains(text.String(), "stays as it is") || !strings.Contains(text.String(), "no such key") {
		t.Errorf("a bad configuration: %s", &text)
	}
}

// newTerminal is a terminal: the end of the person, and that of the program.
func newTerminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	t.Cleanup(func() { _ = person.Close() })
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err := errors.Join(err, unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0)); err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	t.Cleanup(func() { _ = program.Close() })
	return person, program
}
