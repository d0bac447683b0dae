package probe

import "time"

// calm is what a path is like without a queue: its least round-trip time, and the noise that is always there. It looks
// back ten minutes, so that a queue that stands for a while does not become the norm.
//
// Round trips are compared, not delays outward: over minutes the two clocks drift apart by more than a short queue. So a
// queue on the way back counts as well, and some evidence is lost with it; nobody is accused by it.
type calm struct {
	base  minimum
	noise time.Duration // of the round trip around its mean, smoothed over the last calmSamples
	least minimum       // of the noise
	n     int
}

const (
	calmWindow  = 10 * time.Minute
	calmSamples = 32
	leastQueue  = 3 * time.Millisecond
	queueNoise  = 6 // a queue is so much more than the noise
)

// add takes a round-trip time and the mean of those before it.
func (c *calm) add(now instant, rtt, mean time.Duration) {
	c.base.add(now, rtt, calmWindow)
	c.n++
	if c.n == 1 {
		return
	}
	diff := rtt - mean
	c.noise += (max(diff, -diff) - c.noise) / time.Duration(min(c.n-1, calmSamples))
	if c.n >= calmSamples {
		c.least.add(now, c.noise, calmWindow)
	}
}

// queued reports whether a round trip is so long that the probe, or its answer, must have waited in a queue.
func (c *calm) queued(rtt time.Duration) bool {
	if c.n == 0 {
		return false
	}
	noise := c.noise
	if c.n >= calmSamples {
		noise = c.least.value()
	}
	return rtt-c.base.value() > max(leastQueue, queueNoise*noise)
}
