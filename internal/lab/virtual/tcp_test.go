package virtual

import (
	"fmt"
	"testing"
	"time"

	"overlayd/internal/lab/judge"
)

// carried runs a transfer a -> b without overlayd over a link with these properties, and returns what it carried.
func carried(t testing.TB, link, port, event, more string) judge.Result {
	t.Helper()
	r := run(t, fmt.Sprintf(`
name: transfer
duration: 20s
sites: {a: {uplink: {%s}}, b: {}}
links: {a -- b: {%s}}
events:
  fill: {at: 1s, tcp: a -> b, underlay: true, %s}
  bare: {at: 1s, tcp: a -> b, underlay: true, %s}
  %s
expect: {itself: {goodput: fill, of: bare, at_least: 0%%}}
`, port, link, event, event, more), 1)
	return r.Results[0]
}

func TestTwoTransfersShareTheRateOfAnUplink(t *testing.T) {
	r := carried(t, "rtt: 40ms", "rate: 20mbit, queue: 100ms", "for: 18s", "")
	var fill, bare float64
	if _, err := fmt.Sscanf(r.Outcomes[0].Note, "%f and %f Mbit/s", &fill, &bare); err != nil {
		t.Fatal(err)
	}
	most := 20 * 1448.0 / 1500
	if sum := fill + bare; sum > most || sum < 0.95*most {
		t.Errorf("%.2f and %.2f Mbit/s, and headers leave %.2f in all", fill, bare, most)
	}
	if fill < bare/2 || bare < fill/2 {
		t.Errorf("%.2f and %.2f Mbit/s: one has more than twice as much", fill, bare)
	}
}

func TestATransferGetsThroughLossesAndACut(t *testing.T) {
	for _, test := range []struct{ name, link, more string }{
		{"losses", "rtt: 40ms, loss: 3%", ""},
		{"reordering", "rtt: 40ms, jitter: 20ms, reorder: true", ""},
		{"a cut", "rtt: 40ms", "cut: {at: 1100ms, cut: a -- b}\n  restore: {at: 3s, restore: a -- b}"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := carried(t, test.link, "rate: 50mbit, queue: 100ms", "bytes: 1MB", test.more)
			if o := r.Outcomes[0]; o.Missing || o.Value == 0 {
				t.Errorf("it did not arrive: %+v", o)
			}
		})
	}
}

func TestTheWindowIsBackWhereItWasAfterTheTimeThatCubicTakes(t *testing.T) {
	const rtt = 100 * time.Millisecond
	w := newWindow()
	w.size, w.threshold = 1000, 1000
	w.lost()
	if w.size != 700 {
		t.Fatalf("after a loss it is %v, want 0.7 of it (RFC 9438, section 4.6)", w.size)
	}
	took := time.Duration(0)
	for ; w.size < 1000 && took < time.Minute; took += rtt {
		for range int(w.size) {
			w.acked(took, rtt)
		}
	}
	// K = cbrt(1000 * 0.3 / 0.4) = 9.1 s
	if took < 8*time.Second || took > 11*time.Second {
		t.Errorf("it took %v, want 9.1 s", took)
	}
}
