package cli

import (
	"testing"
	"time"
)

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"1d":       24 * time.Hour,
		"90d":      90 * 24 * time.Hour,
		"89d23h":   90*24*time.Hour - time.Hour,
		"1w2d":     9 * 24 * time.Hour,
		"1.5d":     36 * time.Hour,
		"2h":       2 * time.Hour,
		"1h30m":    90 * time.Minute,
		"250ms":    250 * time.Millisecond,
		"1d0h":     24 * time.Hour,
		"0d":       0,
		"0":        0,
		"-1h":      -time.Hour,
		"-2d":      -48 * time.Hour,
		"23h59m":   24*time.Hour - time.Minute,
		"1d2h3m5s": 26*time.Hour + 3*time.Minute + 5*time.Second,
	} {
		if got, err := ParseDuration(text); err != nil || got != want {
			t.Errorf("%s: got %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "d", "1", "soon", "1dd", "1d1", "d1", "1h1d", "1d-1h", "--1d", "..d", "9999999999999d", "1e9d", "-"} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("%q is taken for %v", text, got)
		}
	}
}

func TestFormatDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		24 * time.Hour: "24h", 90 * time.Minute: "1h30m", time.Minute: "1m", 30 * time.Second: "30s", 0: "0s",
		time.Hour + 30*time.Second: "1h0m30s", 10 * time.Minute: "10m",
	} {
		if got := FormatDuration(d); got != want {
			t.Errorf("%d: got %s, want %s", d, got, want)
		}
	}
}
