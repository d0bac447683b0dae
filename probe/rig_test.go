package probe

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"overlayd/internal/wire"
)

const (
	ms = time.Millisecond
	us = time.Microsecond

	peerOffset = 90 * time.Second // the peer's clock is ahead by this
)

var epoch = time.Unix(1_800_000_000, 0)

// stamp is our clock, one second old at epoch.
func stamp(t time.Time) wire.Stamp { return wire.Stamp(t.Sub(epoch) + time.Second) }

// rig drives one Prober by hand: the test plays network and peer.
type rig struct {
	t    testing.TB
	p    *Prober
	now  time.Duration
	out  []Output
	data map[wire.PathID]*fakeCounts
}

type fakeCounts struct {
	sent, received       uint64
	sentSize, size       uint64
	sentSeq, receivedSeq uint32
	last                 wire.Stamp
}

func (c *fakeCounts) Counts() (sent, received uint64, last wire.Stamp) {
	return c.sent, c.received, c.last
}

func (c *fakeCounts) Bytes() (sent, received uint64) { return c.sentSize, c.size }
func (c *fakeCounts) Seqs() (sent, received uint32)  { return c.sentSeq, c.receivedSeq }

func newRig(t testing.TB) *rig {
	return &rig{
		t: t, p: New(Config{}, stamp, rand.New(rand.NewPCG(1, 2)), rand.NewPCG(3, 4)), data: map[wire.PathID]*fakeCounts{},
	}
}

func (r *rig) wall() time.Time { return epoch.Add(r.now) }

// step gives an input now and collects what comes out.
func (r *rig) step(in Input) {
	r.t.Helper()
	if err := r.p.Step(r.wall(), in); err != nil {
		r.t.Fatalf("%T: %v", in, err)
	}
	r.out = r.p.Drain(r.out)
}

// run ticks until a time, and hands every probe that is sent on the way to answer.
func (r *rig) run(until time.Duration, answer func(SendPing)) {
	r.t.Helper()
	for {
		d, ok := r.p.NextDeadline()
		if !ok || d.Sub(epoch) > until {
			break
		}
		r.now = max(r.now, d.Sub(epoch))
		mark := len(r.out)
		r.step(Tick{})
		for _, o := range r.out[mark:] {
			if ping, ok := o.(SendPing); ok && answer != nil {
				answer(ping)
			}
		}
	}
	r.now = until
}

func (r *rig) add(id wire.PathID, rate Rate) {
	c := &fakeCounts{}
	r.data[id] = c
	r.step(AddPath{ID: id, Rate: rate, Counts: c})
}

// pong answers a probe after rtt, on a path, with reports; the peer takes no time. It moves the time.
func (r *rig) pong(ping SendPing, on wire.PathID, rtt time.Duration, reports ...wire.Report) {
	r.t.Helper()
	sent := time.Duration(ping.Ping.Sent)
	received := wire.Stamp(sent + peerOffset + rtt/2)
	r.now = max(r.now, sent+rtt-time.Second)
	r.echo(reports)
	r.step(PongReceived{On: on, At: r.wall(), Pong: wire.Pong{
		Path: ping.Path, Seq: ping.Ping.Seq, Nonce: ping.Ping.Nonce, Sent: ping.Ping.Sent,
		Received: received, Replied: received, Reports: reports,
	}})
}

// echo enters in reports the nonces of the probes that they name, as an honest peer does.
func (r *rig) echo(reports []wire.Report) {
	for i := range reports {
		if a := r.p.find(reports[i].Path); a != nil {
			if e := a.sent(reports[i].LastSeq); e != nil {
				reports[i].Echo = e.nonce
			}
		}
	}
}

// up adds paths with a round-trip time of 40 ms and keeps them answered until a time.
func (r *rig) up(until time.Duration, rates ...Rate) {
	r.t.Helper()
	for i, rate := range rates {
		r.add(wire.PathID(i+1), rate)
	}
	r.run(until, r.answer)
	for i := range rates {
		if m := r.measure(wire.PathID(i + 1)); m.State != Up {
			r.t.Fatalf("path %d is %s", i+1, m.State)
		}
	}
}

func (r *rig) answer(ping SendPing) { r.pong(ping, ping.Path, 40*ms) }

// ping lets the peer's path theirs, heard on our path, send a probe with reports.
func (r *rig) ping(on, theirs wire.PathID, seq uint32, reports ...wire.Report) {
	r.t.Helper()
	r.echo(reports)
	r.step(PingReceived{On: on, At: r.wall(), Observed: netip.AddrPort{}, Ping: wire.Ping{
		Path: theirs, Seq: seq, Sent: stamp(r.wall()) + wire.Stamp(peerOffset-20*ms), Reports: reports,
	}})
}

func (r *rig) measure(id wire.PathID) Measurement {
	r.t.Helper()
	m, ok := r.p.Measure(id, r.wall())
	if !ok {
		r.t.Fatalf("no path %d", id)
	}
	return m
}

func (r *rig) want(id wire.PathID, s State) {
	r.t.Helper()
	if m := r.measure(id); m.State != s {
		r.t.Errorf("at %v path %d is %s (%s), want %s", r.now, id, m.State, m.Why, s)
	}
}

// take returns the outputs of one kind since the last call, and forgets all others.
func take[T Output](r *rig) (list []T) {
	for _, o := range r.out {
		if o, ok := o.(T); ok {
			list = append(list, o)
		}
	}
	r.out = r.out[:0]
	return list
}

func pingsOn(list []SendPing, id wire.PathID) (n int) {
	for _, p := range list {
		if p.Path == id {
			n++
		}
	}
	return n
}
