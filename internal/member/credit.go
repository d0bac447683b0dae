package member

import "time"

// Credit is how much more somebody may ask for at once. It grows with the time.
type Credit struct {
	Left float64
	At   time.Time // when it last grew
}

// Take lets c grow by rate a second, to burst at most, and takes cost from it; false if it has not so much.
func (c *Credit) Take(now time.Time, rate, burst, cost float64) bool {
	if since := now.Sub(c.At); since > 0 {
		c.Left, c.At = min(burst, c.Left+since.Seconds()*rate), now
	}
	if c.Left < cost {
		return false
	}
	c.Left -= cost
	return true
}
