package probe

import (
	"testing"
	"time"

	"overlayd/internal/wire"
)

// traffic sends data on path 1 of a rig, of which the peer gets what arrives says, and answers the probes with reports.
type traffic struct {
	*rig
	arrives func(n uint64) bool
	arrived uint32
	latest  uint32 // its sequence
	probes  uint32
}

func newTraffic(t *testing.T) *traffic {
	r := &traffic{rig: newRig(t), arrives: func(uint64) bool { return true }}
	r.add(1, Selected)
	return r
}

func (r *traffic) send() {
	c := r.data[1]
	c.sent++
	c.sentSize += 100
	c.sentSeq++
	if r.arrives(c.sent) {
		r.arrived++
		r.latest = c.sentSeq
	}
}

// flow sends a packet each interval until a time.
func (r *traffic) flow(every, until time.Duration) {
	for next := r.now; next < until; {
		next += every
		r.run(next, r.reply)
		r.send()
	}
}

func (r *traffic) reply(ping SendPing) {
	r.probes++
	r.pong(ping, 1, 40*ms, wire.Report{
		Path: 1, LastSeq: ping.Ping.Seq, Echo: ping.Ping.Nonce, Probes: r.probes, Data: r.arrived, DataSeq: r.latest,
	})
}

func TestDataThatArrivesIsNotMissing(t *testing.T) {
	for _, every := range []time.Duration{3 * ms, 30 * ms, time.Second} {
		r := newTraffic(t)
		r.flow(every, 20*time.Second)
		p := r.measure(1).Passage
		if p.Missing != 0 || p.Arrived == 0 || p.Settled > p.Arrived+uint64(200*ms/every)+1 {
			t.Errorf("a packet each %v: %+v", every, p)
		}
	}
}

func TestDataOfWhichNoneArrivesIsMissing(t *testing.T) {
	for _, every := range []time.Duration{5 * ms, 50 * ms, time.Second} {
		r := newTraffic(t)
		r.flow(every, 10*time.Second)
		r.arrives = func(uint64) bool { return false }
		from := r.data[1].sent
		r.flow(every, 15*time.Second)
		r.run(15*time.Second+300*ms, r.reply)
		p := r.measure(1).Passage
		sent := int(r.data[1].sent - from)
		if p.Missing < sent-int(130*ms/every)-1 || p.Missing > sent {
			t.Errorf("a packet each %v: %d missing of %d", every, p.Missing, sent)
		}
		if p.Groups < 3 || p.MissingFor < 3*time.Second {
			t.Errorf("a packet each %v: %+v", every, p)
		}
		r.arrives = func(uint64) bool { return true }
		r.flow(every, 16500*ms)
		r.run(17*time.Second, r.reply)
		if p := r.measure(1).Passage; p.Missing != 0 {
			t.Errorf("a packet each %v: %d missing although data arrives again", every, p.Missing)
		}
	}
}

// Whoever saw a packet may send it again: the peer then names an old one as the latest.
func TestAReplayedPacketMakesNothingMissing(t *testing.T) {
	r := newTraffic(t)
	r.flow(20*ms, 3*time.Second)
	r.run(r.now+200*ms, r.reply)
	for range 5 {
		r.arrived, r.latest = r.arrived+1, r.data[1].sentSeq-50
		r.run(r.now+300*ms, r.reply)
		if p := r.measure(1).Passage; p.Missing > 0 {
			t.Fatalf("%+v", p)
		}
	}
}

// A new session counts its packets from zero again.
func TestANewSessionMakesNothingMissing(t *testing.T) {
	for _, every := range []time.Duration{5 * ms, 70 * ms, time.Second} {
		r := newTraffic(t)
		for range 10 {
			r.flow(every, r.now+5*time.Second)
			r.data[1].sentSeq = 0
			for range 20 {
				r.flow(every, r.now+every)
				if p := r.measure(1).Passage; p.Missing > 0 {
					t.Fatalf("a packet each %v: %+v", every, p)
				}
			}
		}
	}
}

func TestAPeerThatBeganAnewMakesNothingMissing(t *testing.T) {
	r := newTraffic(t)
	r.flow(100*ms, 5*time.Second)
	r.step(PeerRestarted{})
	r.arrived, r.probes = 0, 0
	r.flow(100*ms, 10*time.Second)
	if p := r.measure(1).Passage; p.Missing != 0 {
		t.Errorf("%+v", p)
	}
}

// A peer tells our paths apart by where they come from, so it may count what comes on one to the other.
func TestDataThatIsCountedOnAnotherPathIsNotMissing(t *testing.T) {
	r := newTraffic(t)
	r.add(2, Selected)
	r.flow(100*ms, 5*time.Second)
	other := uint32(0)
	answer := func(ping SendPing) {
		if ping.Path == 1 {
			r.reply(ping)
			return
		}
		r.pong(ping, 2, 40*ms, wire.Report{
			Path: 2, LastSeq: ping.Ping.Seq, Echo: ping.Ping.Nonce, Probes: ping.Ping.Seq, Data: other,
		})
	}
	r.arrives = func(uint64) bool { other++; return false }
	for next := r.now; next < 10*time.Second; {
		next += 100 * ms
		r.run(next, answer)
		r.send()
	}
	if p := r.measure(1).Passage; p.Missing > 2 {
		t.Errorf("%+v", p)
	}
}
