package config

import (
	"log/slog"
	"slices"
	"testing"
	"time"
)

func TestChangedNamesTheKeys(t *testing.T) {
	a, b := defaults(), defaults()
	if got := Changed(a, b); len(got) > 0 {
		t.Errorf("of equal ones: %v", got)
	}
	b.File, b.Interface, b.Labels = "elsewhere", "overlay1", map[string]string{"site": "boston"}
	b.Log.Level, b.Probe.Idle = slog.LevelDebug, time.Second
	if got, want := Changed(a, b), []string{"interface", "labels", "log.level", "probe.idle"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestEverySettingIsCompared(t *testing.T) {
	known := map[string]bool{}
	for _, s := range settings() {
		known[dotted(s.key)] = true
	}
	var zero Config
	for _, key := range Changed(defaults(), zero) {
		if !known[key] {
			t.Errorf("%s is not a setting", key)
		}
	}
}
