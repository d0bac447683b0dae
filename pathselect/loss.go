package pathselect

import "overlayd/internal/wire"

// Loss prices a path by what it loses; the delay hardly counts:
//
//	cost = 100 ms for each percent + (RTT + deviation) / 10
func Loss() Algorithm {
	return Priced("loss", "as little loss as possible; delay hardly counts", func(p *Path, _ wire.TrafficClass) Cost {
		c := Cost{Terms: make([]Term, 0, 5)}
		c.add("loss", 100*100*p.LossOutLow)
		c.add("delay", millis(p.RTT+p.Deviation)/10)
		return c
	})
}
