package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

const day = 24 * time.Hour

// ParseDuration is time.ParseDuration that also takes days and weeks, as in 90d, 1d12h and 2w, since that is how long
// times are printed.
func ParseDuration(text string) (time.Duration, error) {
	rest, negative := strings.CutPrefix(text, "-")
	var sum float64 // ns of days and weeks
	for {
		end := strings.IndexFunc(rest, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
		if end <= 0 || rest[end] != 'd' && rest[end] != 'w' {
			break
		}
		n, err := strconv.ParseFloat(rest[:end], 64)
		if err != nil {
			return 0, durationError(text)
		}
		unit := day
		if rest[end] == 'w' {
			unit = 7 * day
		}
		sum += n * float64(unit)
		rest = rest[end+1:]
	}
	var d time.Duration
	if rest != "" || sum == 0 && !strings.ContainsAny(text, "dw") {
		var err error
		if d, err = time.ParseDuration(rest); err != nil || d < 0 {
			return 0, durationError(text)
		}
	}
	if total := sum + float64(d); total > 0x1p62 {
		return 0, durationError(text)
	}
	d += time.Duration(sum)
	if negative {
		d = -d
	}
	return d, nil
}

func durationError(text string) error {
	return fmt.Errorf("%q is not a time: write a number with a unit, such as 90d, 24h, 15m or 30s", text)
}

// Duration is a time as a flag: in the form that ParseDuration takes. It implements pflag.Value.
type Duration time.Duration

// String implements pflag.Value; zero is empty, so that help shows no default.
func (d *Duration) String() string {
	if *d == 0 {
		return ""
	}
	return FormatDuration(time.Duration(*d))
}

// Set implements pflag.Value.
func (d *Duration) Set(text string) error {
	v, err := ParseDuration(text)
	*d = Duration(v)
	return err
}

// Type implements pflag.Value.
func (d *Duration) Type() string { return "duration" }

// FormatDuration is d without units that are zero: 24h, not 24h0m0s.
func FormatDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
