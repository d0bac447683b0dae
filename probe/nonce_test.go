package probe

import (
	"testing"
	"time"

	"overlayd/internal/wire"
)

// guess answers a probe that the peer has not received, as who knows of it all but the nonce.
func (r *rig) guess(ping SendPing, on wire.PathID, nonce uint64, reports ...wire.Report) {
	r.t.Helper()
	received := ping.Ping.Sent + wire.Stamp(peerOffset+20*ms)
	r.now += 40 * ms
	r.step(PongReceived{On: on, At: r.wall(), Pong: wire.Pong{
		Path: ping.Path, Seq: ping.Ping.Seq, Nonce: nonce, Sent: ping.Ping.Sent, Received: received, Replied: received,
		Reports: reports,
	}})
}

func TestAnAnswerWithoutTheNonceMakesNoPathUp(t *testing.T) {
	r := newRig(t)
	r.add(1, Selected)
	r.run(2*time.Second, func(ping SendPing) {
		for _, nonce := range []uint64{0, 1, ping.Ping.Nonce + 1, ping.Ping.Nonce ^ 1<<63} {
			r.guess(ping, 1, nonce)
		}
	})
	if m := r.measure(1); m.State != Candidate || m.Samples != 0 {
		t.Errorf("%s after %d samples", m.State, m.Samples)
	}
	r.run(3*time.Second, r.answer)
	r.want(1, Up)
}

func TestAReportWithoutTheNonceProvesNoDelivery(t *testing.T) {
	for _, echo := range []uint64{0, 1} {
		r := newRig(t)
		r.up(5*time.Second, Selected, Standby)
		took := time.Duration(0)
		for start := r.now; took == 0 && r.now < start+5*time.Second; {
			report := wire.Report{Path: 1, LastSeq: r.p.find(1).seq, Probes: r.p.find(1).seq, Echo: echo}
			r.run(r.now+10*ms, func(ping SendPing) {
				if ping.Path == 2 {
					received := ping.Ping.Sent + wire.Stamp(peerOffset+20*ms)
					r.now += 40 * ms
					r.step(PongReceived{On: 2, At: r.wall(), Pong: wire.Pong{
						Path: 2, Seq: ping.Ping.Seq, Nonce: ping.Ping.Nonce, Sent: ping.Ping.Sent,
						Received: received, Replied: received, Reports: []wire.Report{report},
					}})
				}
			})
			if r.measure(1).State == Dead {
				took = r.now - start
			}
		}
		if took == 0 || took > 2*time.Second {
			t.Errorf("echo %d: a path that delivers nothing is dead after %v; zero is never", echo, took)
		}
	}
}

func TestNoncesOfProbesDiffer(t *testing.T) {
	r := newRig(t)
	r.up(5*time.Second, Selected, Standby)
	seen := map[uint64]bool{}
	for _, ping := range take[SendPing](r) {
		if ping.Ping.Nonce == 0 || seen[ping.Ping.Nonce] {
			t.Fatalf("probe %d of path %d has the nonce %x, zero or of another one", ping.Ping.Seq, ping.Path, ping.Ping.Nonce)
		}
		seen[ping.Ping.Nonce] = true
	}
}

func TestAnAnswerEchoesItsProbeAndItsReportsTheLatestOfEachPath(t *testing.T) {
	r := newRig(t)
	r.up(time.Second, Idle, Idle)
	take[SendPong](r)
	ping := func(on, theirs wire.PathID, seq uint32, nonce uint64) wire.Pong {
		r.step(PingReceived{On: on, At: r.wall(), Ping: wire.Ping{Path: theirs, Seq: seq, Nonce: nonce, Sent: stamp(r.wall())}})
		return take[SendPong](r)[0].Pong
	}
	ping(2, 71, 1, 0xabc)
	ping(1, 70, 2, 0xdef)
	pong := ping(1, 70, 1, 0x123) // overtaken
	if pong.Nonce != 0x123 || len(pong.Reports) != 2 || pong.Reports[0].Echo != 0xdef || pong.Reports[1].Echo != 0xabc {
		t.Errorf("nonce %x, reports %+v", pong.Nonce, pong.Reports)
	}
	if pong = ping(1, 70, 3, 0x456); pong.Nonce != 0x456 || pong.Reports[0].Echo != 0 {
		t.Errorf("what the answer itself echoes is in a report too: %x, %+v", pong.Nonce, pong.Reports[0])
	}
}
