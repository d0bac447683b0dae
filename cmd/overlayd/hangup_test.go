package main

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"overlayd/config"
)

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
