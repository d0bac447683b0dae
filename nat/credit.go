package nat

import "time"

// credit is a token bucket.
type credit struct {
	left float64
	at   time.Time // when it last grew; zero: it is full
}

// take draws a token of a bucket that grows by rate a second, to depth at most, and reports whether there was one.
func (c *credit) take(now time.Time, rate, depth float64) bool {
	if c.at.IsZero() {
		c.left = depth
	} else if since := now.Sub(c.at); since > 0 {
		c.left = min(depth, c.left+since.Seconds()*rate)
	}
	c.at = now
	if c.left < 1 {
		return false
	}
	c.left--
	return true
}
