package main

import (
	"fmt"
	"strings"
	"time"

	"overlayd/internal/control"
)

// none stands where nothing is known.
const none = "-"

// age is how long ago t was, in its two largest units.
func age(now, t time.Time) string {
	if t.IsZero() {
		return none
	}
	return short(now.Sub(t))
}

// short is a time in its two largest units.
func short(d time.Duration) string {
	d = max(d, 0)
	const day = 24 * time.Hour
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	case d < day:
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	default:
		return fmt.Sprintf("%dd%02dh", d/day, d%day/time.Hour)
	}
}

func millis(m *control.Millis) string {
	switch {
	case m == nil:
		return none
	case *m < 10:
		return fmt.Sprintf("%.2f ms", *m)
	default:
		return fmt.Sprintf("%.1f ms", *m)
	}
}

func percent(f *control.Fraction) string {
	switch {
	case f == nil:
		return none
	case *f == 0:
		return "0%"
	default:
		return fmt.Sprintf("%.1f%%", *f*100)
	}
}

func cost(c *control.Cost) string {
	if c == nil {
		return none
	}
	return fmt.Sprintf("%.1f", *c)
}

// size is a count of bytes in binary units, as ip -s and ls -h count.
func size(n uint64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n)/1024, 0
	for value >= 1024 && unit < len(units)-1 {
		value /= 1024
		unit++
	}
	return fmt.Sprintf("%.1f %ciB", value, units[unit])
}

func yes(v bool) string {
	if v {
		return "yes"
	}
	return "no"
}

// join lists values that print themselves.
func join[T fmt.Stringer](list []T, separator string) string {
	if len(list) == 0 {
		return none
	}
	words := make([]string, len(list))
	for i, v := range list {
		words[i] = v.String()
	}
	return strings.Join(words, separator)
}
