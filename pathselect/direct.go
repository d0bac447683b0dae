package pathselect

import "overlayd/internal/wire"

// Direct prices every relay at a second, so that relays are used only where the direct path does not work.
func Direct() Algorithm {
	return Priced("direct", "relays only where no direct path works", func(p *Path, _ wire.TrafficClass) Cost {
		c := Cost{Terms: make([]Term, 0, 5)}
		c.add("rtt", millis(p.RTT))
		c.add("detour", 1000*float64(len(p.Via)))
		return c
	})
}
