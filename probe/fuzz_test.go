package probe

import (
	"math/rand/v2"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"overlayd/internal/wire"
)

// script turns bytes into inputs, some of them sensible: answers to probes that were really sent.
type script struct {
	b     []byte
	pings []SendPing
}

func (s *script) byte() byte {
	if len(s.b) == 0 {
		return 0
	}
	v := s.b[0]
	s.b = s.b[1:]
	return v
}

func (s *script) path() wire.PathID { return wire.PathID(s.byte() % 8) }

func (s *script) number() uint64 {
	v := uint64(s.byte())
	switch s.byte() % 4 {
	case 0:
		return v
	case 1:
		return v << 24
	case 2:
		return -v
	default:
		return v << 56
	}
}

func (s *script) reports() (list []wire.Report) {
	for range s.byte() % 4 {
		list = append(list, wire.Report{
			Path: s.path(), LastSeq: uint32(s.number()), Probes: uint32(s.number()),
			Data: uint32(s.number()), Age: uint32(s.number()), Bytes: uint32(s.number()), DataSeq: uint32(s.number()),
			Runs: uint16(s.number()), Late: uint16(s.number()), Echo: s.number(),
		})
	}
	return list
}

func (s *script) input(now time.Time) Input {
	at := now.Add(-time.Duration(s.byte()) * ms / 4)
	switch s.byte() % 16 {
	case 0, 1:
		counts := &fakeCounts{sent: s.number(), received: s.number(), last: wire.Stamp(s.number())}
		counts.sentSize, counts.size = s.number(), s.number()
		counts.sentSeq, counts.receivedSeq = uint32(s.number()), uint32(s.number())
		return AddPath{ID: s.path(), Rate: Rate(s.byte() % 5), Counts: counts}
	case 2:
		return RemovePath{s.path()}
	case 3:
		return SetRate{ID: s.path(), Rate: Rate(s.byte() % 5)}
	case 4:
		return SetActive{s.byte()%2 == 0}
	case 5:
		return ProbeNow{ID: s.path()}
	case 6:
		return PeerRestarted{}
	case 7:
		return Bye{}
	case 8, 9:
		return PingReceived{On: s.path(), At: at, Observed: netip.AddrPort{}, Ping: wire.Ping{
			Path: s.path(), Seq: uint32(s.number()), Nonce: s.number(), Sent: wire.Stamp(s.number()), Reports: s.reports(),
		}}
	case 10:
		return PongReceived{On: s.path(), At: at, Pong: wire.Pong{
			Path: s.path(), Seq: uint32(s.number()), Nonce: s.number(), Sent: wire.Stamp(s.number()), Received: wire.Stamp(s.number()),
			Replied: wire.Stamp(s.number()), Reports: s.reports(),
		}}
	case 11, 12, 13:
		if len(s.pings) == 0 {
			return Tick{}
		}
		p := s.pings[int(s.byte())%len(s.pings)]
		received := wire.Stamp(s.number())
		return PongReceived{On: p.Path, At: at, Pong: wire.Pong{
			Path: p.Path, Seq: p.Ping.Seq, Nonce: p.Ping.Nonce, Sent: p.Ping.Sent,
			Received: received, Replied: received + wire.Stamp(s.byte()),
			Reports: append(s.reports(), wire.Report{Path: p.Path, LastSeq: p.Ping.Seq, Echo: p.Ping.Nonce}),
		}}
	default:
		return Tick{}
	}
}

// play runs a script and returns everything that came out.
func play(t *testing.T, b []byte) []Output {
	p := New(Config{}, stamp, rand.New(rand.NewPCG(1, 2)), rand.NewPCG(3, 4))
	s := &script{b: b}
	now := epoch
	var all []Output
	for len(s.b) > 0 && len(all) < 5000 {
		if d, ok := p.NextDeadline(); ok && s.byte()%2 == 0 {
			now = d.Add(time.Duration(s.byte()%32) * ms)
		} else {
			now = now.Add(time.Duration(s.byte()) * ms)
		}
		_ = p.Step(now, s.input(now))
		settle(t, p, &now)
		out := p.Drain(nil)
		for _, o := range out {
			if ping, ok := o.(SendPing); ok && len(s.pings) < 256 {
				s.pings = append(s.pings, ping)
			}
		}
		all = append(all, out...)
		checkBounds(t, p, now)
	}
	return all
}

// settle ticks until the deadline is in the future, which must not take long.
func settle(t *testing.T, p *Prober, now *time.Time) {
	for range 8 {
		d, ok := p.NextDeadline()
		if !ok || d.After(*now) {
			return
		}
		if err := p.Step(*now, Tick{}); err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("the deadline does not move on")
}

func checkBounds(t *testing.T, p *Prober, now time.Time) {
	if len(p.paths) > maxPaths || len(p.heard) > maxHeard {
		t.Fatalf("%d paths, %d heard", len(p.paths), len(p.heard))
	}
	for _, a := range p.paths {
		m, ok := p.Measure(a.id, now)
		if !ok || len(a.ring) > maxRing || m.RTT < 0 || m.Deviation < 0 ||
			m.LossOut < 0 || m.LossOut > 1 || m.LossIn < 0 || m.LossIn > 1 || m.LossOutLow > 1 || m.Samples < 0 ||
			m.LossOutHigh < m.LossOutLow || m.LossOutHigh > 1 || m.LossInHigh < m.LossInLow || m.LossInHigh > 1 ||
			m.BurstOut < 0 || m.BurstIn < 0 || m.ReorderedOut < 0 || m.ReorderedOut > 1 || m.ReorderedIn > 1 ||
			m.Achievable < 0 || m.Delivered < 0 || m.Data.DataLoss < 0 || m.Data.DataLoss > 1 ||
			m.Data.ProbeLoss < 0 || m.Data.ProbeLoss > 1 || m.Data.Confidence < 0 || m.Data.Confidence > 1 {
			t.Fatalf("%d probes held, %+v", len(a.ring), m)
		}
		if e := a.oldest(); e != nil && (e.answered || e.at <= a.delivered) {
			t.Fatalf("oldest open probe is settled: %+v", e)
		}
		if a.delivered > p.now {
			t.Fatalf("delivered in the future")
		}
	}
}

func FuzzStep(f *testing.F) {
	f.Add([]byte{0, 1, 1, 1, 3, 10, 20, 30, 14, 40, 11, 0, 0, 9, 8, 7, 6, 5})
	rng := rand.New(rand.NewPCG(3, 4))
	for range 20 {
		b := make([]byte, 600)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, c := play(t, b), play(t, b); !reflect.DeepEqual(a, c) {
			t.Fatal("two runs of the same inputs differ")
		}
	})
}
