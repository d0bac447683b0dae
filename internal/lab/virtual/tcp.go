package virtual

import (
	"fmt"
	"slices"
	"time"

	"overlayd/internal/lab/judge"
	"overlayd/internal/lab/meter"
	"overlayd/internal/lab/scenario"
)

// tcp is a TCP transfer, simply modelled: whole segments, CUBIC, loss detection by time (RACK, RFC 8985), selective
// acknowledgements of everything, one of them for every second segment. There is no handshake, no limit on the receiver's
// buffer, and no cost of a CPU: what bounds it is the network.
type tcp struct {
	carry   func(packet int, back bool, arrived func()) // sends an IP packet of so many bytes, there or back
	after   func(time.Duration, func())
	now     func() time.Duration
	segment int   // bytes of content in a segment
	total   int64 // segments to send; 0: no end
	until   time.Duration
	done    func()

	window   window
	flying   []transmission // in the order of their numbers, from the first that is neither acknowledged nor lost
	first    int64          // the number of flying[0]
	pipe     int            // of them neither acknowledged nor lost
	again    []int64        // segments to send again, the first first
	next     int64          // the segment to send next
	latest   time.Duration  // when the latest was sent that has been acknowledged
	recovery int64          // losses of transmissions below this number were dealt with
	rtt, dev time.Duration  // smoothed (RFC 6298); rtt 0: not measured
	backoff  int
	alarm    time.Duration // when the retransmission timer goes off; 0: never
	ringing  bool          // a timer is set
	heard    int           // entries of arrivals that the sender knows of

	arrivals  []int64        // numbers of the transmissions that have arrived
	unordered map[int64]bool // segments beyond read
	read      int64          // segments that the application has
	unsaid    int            // arrivals since the last acknowledgement
	goodput   meter.Goodput
	start     time.Duration
}

// transmission is one sending of a segment.
type transmission struct {
	segment int64
	sent    time.Duration
	over    bool // acknowledged or lost
}

const (
	tcpHeaders   = 52 // of a segment with time stamps, over IPv4
	ackSize      = 52 // of a packet, in bytes
	delayedAck   = 40 * time.Millisecond
	leastTimeout = 200 * time.Millisecond
	mostTimeout  = 2 * time.Minute
	overlayMTU   = 1400
	underlayMTU  = 1500
)

// send sends what the window allows.
func (c *tcp) send() {
	for float64(c.pipe) < c.window.size {
		var segment int64
		switch {
		case len(c.again) > 0:
			segment = c.again[0]
			c.again = c.again[1:]
		case c.now() >= c.until || c.total > 0 && c.next == c.total:
			return
		default:
			segment = c.next
			c.next++
		}
		number := c.first + int64(len(c.flying))
		c.flying = append(c.flying, transmission{segment: segment, sent: c.now()})
		c.pipe++
		c.carry(c.segment+tcpHeaders, false, func() { c.arrive(number, segment) })
		if c.alarm == 0 {
			c.wind()
		}
	}
}

// arrive is at the receiver.
func (c *tcp) arrive(number, segment int64) {
	c.arrivals = append(c.arrivals, number)
	if segment >= c.read {
		c.unordered[segment] = true
	}
	for c.unordered[c.read] {
		delete(c.unordered, c.read)
		c.read++
		if at := c.now(); at <= c.until {
			c.goodput.Bytes += int64(c.segment)
			c.goodput.Took = at - c.start
		}
	}
	if c.unsaid++; c.unsaid >= 2 || len(c.unordered) > 0 {
		c.acknowledge()
		return
	}
	c.after(delayedAck, func() {
		if c.unsaid > 0 {
			c.acknowledge()
		}
	})
}

// acknowledge tells the sender of all that has arrived.
func (c *tcp) acknowledge() {
	c.unsaid = 0
	known := len(c.arrivals)
	c.carry(ackSize, true, func() { c.learn(known) })
}

// learn is at the sender: so many arrivals are known.
func (c *tcp) learn(known int) {
	for ; c.heard < known; c.heard++ {
		at := c.arrivals[c.heard] - c.first
		if at < 0 || c.flying[at].over {
			continue // it was taken for lost
		}
		t := &c.flying[at]
		t.over = true
		c.pipe--
		c.latest = max(c.latest, t.sent)
		c.measure(c.now() - t.sent)
		c.window.acked(c.now(), c.now()-t.sent)
		c.backoff = 0
	}
	c.findLost()
	c.wind()
	c.send()
	if c.total > 0 && c.read == c.total && c.done != nil {
		c.done()
		c.done = nil
	}
}

// measure takes in a round trip (RFC 6298).
func (c *tcp) measure(rtt time.Duration) {
	if c.rtt == 0 {
		c.rtt, c.dev = rtt, rtt/2
		return
	}
	c.dev += ((c.rtt - rtt).Abs() - c.dev) / 4
	c.rtt += (rtt - c.rtt) / 8
}

// findLost takes for lost what was sent well before something that has arrived.
func (c *tcp) findLost() {
	end := c.first + int64(len(c.flying))
	for len(c.flying) > 0 {
		t := c.flying[0]
		if !t.over {
			if t.sent+c.window.least/4 >= c.latest {
				return
			}
			c.pipe--
			c.resend(t.segment)
			if c.first >= c.recovery {
				c.window.lost()
				c.recovery = end
			}
		}
		c.flying = c.flying[1:]
		c.first++
	}
}

func (c *tcp) resend(segment int64) {
	if segment >= c.read && !c.unordered[segment] { // what has come after all need not be sent: the sender knows by then
		c.again = append(c.again, segment)
	}
}

// wind sets the retransmission timer anew.
func (c *tcp) wind() {
	if c.pipe == 0 {
		c.alarm = 0
		return
	}
	timeout := time.Second // RFC 6298, before anything was measured
	if c.rtt > 0 {
		timeout = max(c.rtt+4*c.dev, leastTimeout)
	}
	c.alarm = c.now() + min(timeout<<min(c.backoff, 10), mostTimeout)
	c.ring()
}

// ring makes sure that a timer is set.
func (c *tcp) ring() {
	if c.ringing || c.alarm == 0 {
		return
	}
	c.ringing = true
	c.after(c.alarm-c.now(), func() {
		c.ringing = false
		if c.alarm == 0 || c.now() < c.alarm {
			c.ring()
			return
		}
		c.backoff++
		c.window.silent()
		for _, t := range c.flying {
			if !t.over {
				c.resend(t.segment)
			}
		}
		c.first += int64(len(c.flying))
		c.flying, c.pipe, c.recovery, c.alarm = c.flying[:0], 0, c.first, 0
		slices.Sort(c.again)
		c.send()
		c.ring()
	})
}

// transfer starts a TCP transfer.
func (t *trial) transfer(name string, a scenario.TCP) {
	there, back := a.Flow, scenario.Pair{From: a.Flow.To, To: a.Flow.From}
	mtu, what := overlayMTU, "over the overlay"
	if a.Underlay {
		mtu, what = underlayMTU, "without overlayd"
	}
	c := &tcp{
		after: func(d time.Duration, f func()) { t.net.After(d, f) }, now: t.now, start: t.now(), until: t.now() + a.For,
		segment: mtu - tcpHeaders, window: newWindow(), unordered: make(map[int64]bool),
		carry: func(packet int, isBack bool, arrived func()) {
			d := there
			if isBack {
				d = back
			}
			if a.Underlay {
				t.underlay.Carry(t.byName[d.From].site, t.byName[d.To].site, packet, arrived)
				return
			}
			t.post(d, packet, arrived)
		},
	}
	t.note("tcp", fmt.Sprintf("%s: %v %s", name, a.Flow, what))
	finish := func() {
		if a.For > 0 && a.Bytes == 0 {
			c.goodput.Took = a.For
		}
		t.note("tcp", fmt.Sprintf("%s: %.2f Mbit/s, %.1f MB", name, c.goodput.Rate()/1e6, float64(c.goodput.Bytes)/1e6))
		t.transfers[name] = judge.Transfer{Goodput: c.goodput}
	}
	if a.Bytes > 0 {
		c.total, c.done = (a.Bytes+int64(c.segment)-1)/int64(c.segment), finish
		if a.For == 0 {
			c.until = t.scenario.Duration + settle
		}
	} else {
		t.net.After(a.For, finish)
	}
	c.send()
}
