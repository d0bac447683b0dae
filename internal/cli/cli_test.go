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
		{nil, 0},
		{cause, 1},
		{Usage(cause), 2},
		{fmt.Errorf("wrapped: %w", Usagef("--flag: %w", cause)), 2},
	} {
		if got := Status(c.err); got != c.want {
			t.Errorf("%v: status %d, want %d", c.err, got, c.want)
		}
	}
	if !errors.Is(Usage(cause), cause) {
		t.Error("the cause is lost")
	}
}
