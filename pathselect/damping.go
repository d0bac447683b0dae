package pathselect

import (
	"math"
	"time"
)

// damping makes a path that failed prove itself, the longer the more often it failed lately. As in RFC 2439 every
// failure adds to a penalty that decays exponentially; other than there the penalty sets how long the path must have
// been steady, so that a single failure costs little.
type damping struct {
	penalty float64 // failures, decayed
	at      time.Time
	base    time.Duration // hold after the first failure
	steady  time.Time     // since when the path has been up and, if it was left for loss, clean
	lossy   bool          // it was left for loss
}

const negligiblePenalty = 0.5

// now is the penalty at a time.
func (d *damping) now(now time.Time, cfg *Config) float64 {
	if d.penalty == 0 {
		return 0
	}
	age := float64(now.Sub(d.at)) / float64(cfg.DampHalfLife)
	return d.penalty * math.Exp2(-max(age, 0))
}

// fail counts a failure after which the path must be steady for base, or longer if it failed before.
func (d *damping) fail(now time.Time, base time.Duration, cfg *Config) {
	old := d.now(now, cfg)
	if old < negligiblePenalty {
		d.base = 0
	}
	most := 1 + math.Log2(float64(cfg.DampMax)/float64(cfg.DampHold))
	d.penalty, d.at = min(old+1, most), now
	d.base = max(d.base, base)
	d.steady = now
}

// left is how much longer the path must be steady at a time before it may replace a working one.
func (d *damping) left(now time.Time, cfg *Config) time.Duration {
	penalty := d.now(now, cfg)
	if penalty < negligiblePenalty {
		return 0
	}
	hold := min(time.Duration(float64(d.base)*math.Exp2(penalty-1)), cfg.DampMax)
	return max(0, hold-now.Sub(d.steady))
}
