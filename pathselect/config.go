package pathselect

import "time"

// Config tunes a Selector. A zero field takes its default.
type Config struct {
	Margin time.Duration // by which a better path must be cheaper than the selected one, at least: 3 ms
	Ratio  float64       // and by this part of the selected path's cost: 0.1

	HoldMin, HoldMax time.Duration // how long it must have been better: between 1 s and 1.5 s
	SlowMargin       time.Duration // Margin where it was cheaper on the average for long: 1 ms
	SlowRatio        float64       // Ratio there: 0.04
	SlowAfter        time.Duration // how long that is: 30 s

	LossMin, LossMax time.Duration // the same where the selected path loses much: between 300 ms and 500 ms
	HeavyLoss        float64       // what "much" is: surely more than 0.05

	MinSamples int // of each of the two paths: 5
	Fresh      int // samples of the better one since it became so: 5, or 3 where the selected path loses much

	TroubleFor time.Duration // how long trouble near an end counts as such after its last sign: 10 s

	DampHold     time.Duration // how long a path that died must have been up again, after one death: 2 s
	DampLoss     time.Duration // how long a path that was left for loss must have been clean: 10 s
	DampMax      time.Duration // bound of both, which double with each repetition: 5 min
	DampHalfLife time.Duration // of what is remembered of them: 5 min
}

func (c Config) withDefaults() Config {
	set := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	set(&c.Margin, 3*time.Millisecond)
	set(&c.HoldMin, time.Second)
	set(&c.HoldMax, 3*c.HoldMin/2)
	set(&c.SlowMargin, time.Millisecond)
	set(&c.SlowAfter, 30*time.Second)
	set(&c.TroubleFor, 10*time.Second)
	set(&c.LossMin, 300*time.Millisecond)
	set(&c.LossMax, 5*c.LossMin/3)
	set(&c.DampHold, 2*time.Second)
	set(&c.DampLoss, 10*time.Second)
	set(&c.DampMax, 5*time.Minute)
	set(&c.DampHalfLife, 5*time.Minute)
	if c.Ratio <= 0 {
		c.Ratio = 0.1
	}
	if c.SlowRatio <= 0 {
		c.SlowRatio = 0.04
	}
	if c.HeavyLoss <= 0 {
		c.HeavyLoss = 0.05
	}
	if c.MinSamples <= 0 {
		c.MinSamples = 5
	}
	if c.Fresh <= 0 {
		c.Fresh = 5
	}
	return c
}

const (
	maxPaths    = 128
	maxStandbys = 2
	freshLossy  = 3
	validated   = 3 // samples of a standby
)
