package probe

import "time"

// delivery estimates how much data a path can carry outward, from what the reports say was delivered, as BBR does:
// a sample is the data delivered between two reports over the longer of the time in which it was sent and the time in
// which it arrived (draft-cheng-iccrg-delivery-rate-estimation-02: so neither a burst of sending nor one of arrivals is
// taken for speed), and the estimate is the greatest sample of ten seconds
// (draft-cardwell-iccrg-bbr-congestion-control-02).
//
// A sample says what the path can do only if the path was full. BBR knows of its own sender when it had nothing to send;
// here the senders are others, so a full path is told by its effect: probes wait in a queue, or data is lost. Other
// samples count as limited by the application, and only if they exceed the estimate, as there.
type delivery struct {
	from   deliveryMark
	some   bool
	best   maximum
	latest float64 // bytes a second
	at     instant // of it
}

type deliveryMark struct {
	sent, made instant // when the probe was sent, on our clock, and the report made, on the peer's
	tx, rx     uint32  // bytes
}

const (
	deliveryWindow = 10 * time.Second
	deliverySpan   = 200 * time.Millisecond // least of a sample
	deliveryGap    = 2 * time.Second        // greatest: 32 bits of bytes must not wrap

	// fullLoss is the part lost of the bytes of a sample from which on it is the path that limits.
	fullLoss = 0.05
)

// add takes what was known when a report was made that answers a probe. Queued says that the probe had to wait.
func (d *delivery) add(now instant, m deliveryMark, queued bool) {
	sent, made := m.sent.sub(d.from.sent), m.made.sub(d.from.made)
	if !d.some || sent < 0 || made < 0 || max(sent, made) > deliveryGap {
		d.from, d.some = m, true
		return
	}
	span := max(sent, made)
	if span < deliverySpan {
		return
	}
	tx, rx := float64(m.tx-d.from.tx), float64(m.rx-d.from.rx)
	d.from = m
	if rx > 2*tx+1<<20 { // a counter began anew
		return
	}
	d.latest, d.at = rx/span.Seconds(), now
	rate := int64(d.latest)
	best := d.best.value(now, deliveryWindow)
	if full := queued || rx < (1-fullLoss)*tx; rate > 0 && (full || best > 0 && rate >= best) {
		d.best.add(now, rate, deliveryWindow)
	}
}

// achievable is the estimate in bytes a second; zero if the path was not full in the last ten seconds.
func (d *delivery) achievable(now instant) float64 {
	return float64(d.best.value(now, deliveryWindow))
}

// delivered is the latest sample in bytes a second; zero if it is old.
func (d *delivery) delivered(now instant) float64 {
	if now.sub(d.at) > deliveryGap {
		return 0
	}
	return d.latest
}
