package pathselect

import "overlayd/internal/wire"

// Balanced prices a path for traffic of all kinds:
//
//	cost = RTT + deviation + loss penalty
//
// The deviation stands for what a receiver must wait to smooth the jitter out. The loss penalty is the time that TCP
// loses to retransmission timeouts per packet, by J. Padhye, V. Firoiu, D. Towsley, J. Kurose, "Modeling TCP
// Throughput: A Simple Model and its Empirical Validation", SIGCOMM 1998, equation 30:
//
//	penalty = T0 · min(1, 3·sqrt(3bp/8)) · p · (1 + 32p²)        b = 2, T0 = 3 s
//
// where p is the loss rate that is exceeded with confidence, so that a few lost probes are not 10%. It is the shape
// that is wanted: some loss is a nuisance, much of it makes a path useless. 1% costs 8 ms, 2% 22 ms, 5% 94 ms,
// 10% 0.33 s, 30% 3.5 s. T0 is the initial timeout of RFC 1122; a smaller one would make 30% worth less than a detour
// through another continent.
func Balanced() Algorithm {
	return Priced("balanced", "round-trip time, jitter and loss together", func(p *Path, _ wire.TrafficClass) Cost {
		c := Cost{Terms: make([]Term, 0, 6)}
		c.add("rtt", millis(p.RTT))
		c.add("jitter", millis(p.Deviation))
		c.add("loss", lossPenalty(p.LossOutLow))
		return c
	})
}
