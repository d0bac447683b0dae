package cli

import (
	"errors"
	"fmt"
	"testing"
)

func TestStatus(t *testing.T) {
	cause := errors.New("cause")
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, ExitOK},
		{cause, ExitFailed},
		{Usage(cause), ExitUsage},
		{Usage(nil), ExitOK},
		{Configf("no network"), ExitConfig},
		{Exit(ExitNoPath, cause), ExitNoPath},
		{fmt.Errorf("wrapped: %w", Usagef("--flag: %w", cause)), ExitUsage},
	} {
		if got := Status(c.err); got != c.want {
			t.Errorf("%v: status %d, want %d", c.err, got, c.want)
		}
	}
	if !errors.Is(Usage(cause), cause) {
		t.Error("the cause is lost")
	}
}

func TestStatusesAreDistinct(t *testing.T) {
	seen := map[int]bool{2: true} // that of a panic
	for _, status := range []int{ExitOK, ExitFailed, ExitNotRunning, ExitPermission, ExitUnknown, ExitNoPath, ExitUsage, ExitConfig} {
		if seen[status] {
			t.Errorf("status %d means two things", status)
		}
		seen[status] = true
	}
}

func TestCleanLeavesNothingThatATerminalObeys(t *testing.T) {
	for text, want := range map[string]string{
		"boston":                      "boston",
		"Zürich, 東京":                  "Zürich, 東京",
		"\x1b]0;title\x07red\x1b[31m": "]0;titlered[31m",
		"a\r\nb\tc\x00\u009b1m":       "abc1m",
		"\u202egnp.exe\u2028\u2066x":  "gnp.exex",
	} {
		if got := Clean(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}
