package tamper

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"overlayd/internal/lab/emulator"
	"overlayd/internal/wire"
)

var (
	host   = netip.MustParseAddrPort("198.51.100.1:51871")
	host6  = netip.MustParseAddrPort("[2001:db8::1]:51871")
	boston = netip.MustParseAddrPort("198.51.100.2:51871")
	salem  = netip.MustParseAddrPort("198.51.100.3:51871")
	salem6 = netip.MustParseAddrPort("[2001:db8::3]:51871")
)

func packet(from, to netip.AddrPort, payload []byte) []byte {
	return emulator.AppendUDP(nil, from, to, payload)
}

// behind puts a frame behind a label.
func behind(label wire.Label, frame []byte) []byte {
	b := make([]byte, wire.LabelHeaderLen)
	wire.PutLabel(b, label)
	return append(b, frame...)
}

// data is WireGuard's transport message with a counter.
func data(counter byte) []byte {
	b := make([]byte, 64)
	b[0], b[8] = wire.WireGuardTransport, counter
	return b
}

func control(size int) []byte {
	b := make([]byte, size)
	b[0] = 'C'
	return b
}

func TestARelayLosesTheDataOfOthersOnly(t *testing.T) {
	for wait, wants := range map[time.Duration]bool{0: true, time.Second: false} {
		r := NewRelay(wait)
		r.Hears(packet(boston, host, behind(7, data(1))))
		r.Hears(packet(boston, host, behind(7, control(200))))
		r.Hears(packet(boston, host, data(2)))
		for name, c := range map[string]struct {
			payload []byte
			touched bool
		}{
			"data of others":              {behind(8, data(1)), true},
			"a probe that it relays":      {behind(8, control(200)), false},
			"its own data over a relay":   {behind(9, data(3)), false},
			"its own data, direct":        {data(4), false},
			"what came direct":            {behind(9, data(2)), false},
			"a handshake that it relays":  {behind(8, append([]byte{1, 0, 0, 0}, make([]byte, 144)...)), false},
			"something too short for one": {behind(8, []byte{4, 0, 0, 0}), false},
		} {
			lose, held := r.Sends(packet(host, salem, c.payload))
			if lose != (c.touched && wants) || (held > 0) != (c.touched && !wants) {
				t.Errorf("%s, with a wait of %v: lost %v, held up by %v", name, wait, lose, held)
			}
		}
		if r.Count() != 1 {
			t.Errorf("%d are counted", r.Count())
		}
	}
}

func TestARelayRemembersABoundedNumberOfFrames(t *testing.T) {
	r := NewRelay(0)
	frame := data(0)
	for i := range 3 * maxRelayed {
		frame[9], frame[10] = byte(i), byte(i>>8)
		r.Hears(packet(boston, host, behind(7, frame)))
	}
	if len(r.heard) != maxRelayed {
		t.Errorf("it remembers %d", len(r.heard))
	}
	if lose, _ := r.Sends(packet(host, salem, behind(8, frame))); !lose {
		t.Error("it has forgotten the latest")
	}
}

// sent is what a Repeater sends.
type sent struct {
	packets [][]byte
	waits   []time.Duration
}

func (s *sent) inject(b []byte, wait time.Duration) bool {
	s.packets, s.waits = append(s.packets, bytes.Clone(b)), append(s.waits, wait)
	return true
}

func TestAReplayGoesToOthersFromTheHostsOwnEnd(t *testing.T) {
	var all sent
	r := NewRepeater(false, rand.New(rand.NewPCG(1, 1)), all.inject)
	now := time.Now()
	heard := behind(7, data(1))
	r.Hears(now, packet(boston, host, heard))
	if r.Count() != 0 {
		t.Fatal("it sends to nobody")
	}
	r.Sends(packet(host, salem, control(100)))
	r.Sends(packet(host6, salem6, control(100)))
	for range 200 {
		now = now.Add(time.Second)
		r.Hears(now, packet(boston, host, heard))
	}
	families := make(map[bool]int)
	for i, b := range all.packets {
		from, to, payload, ok := emulator.UDP(b)
		if !ok || !bytes.Equal(payload, heard) || all.waits[i] < 0 || all.waits[i] > replayWithin {
			t.Fatalf("from %v to %v after %v: %x", from, to, all.waits[i], payload)
		}
		if (from != host || to != salem) && (from != host6 || to != salem6) {
			t.Errorf("from %v to %v", from, to)
		}
		families[to.Addr().Is4()]++
	}
	if n := len(all.packets); n != r.Count() || n < 25 || n > 75 || len(families) != 2 {
		t.Errorf("of 200 frames %d are sent again, %d counted, by families %v", n, r.Count(), families)
	}
}

func TestForgeriesAreOtherControlFrames(t *testing.T) {
	var all sent
	r := NewRepeater(true, rand.New(rand.NewPCG(1, 1)), all.inject)
	now := time.Now()
	r.Sends(packet(host, salem, control(100)))
	r.Hears(now, packet(boston, host, data(1)))
	r.Hears(now, packet(boston, host, behind(7, control(100))))
	if len(all.packets) != 0 {
		t.Fatalf("%d forgeries of what is no control frame", len(all.packets))
	}
	original := control(100)
	r.Hears(now, packet(boston, host, original))
	for _, b := range all.packets {
		_, to, payload, _ := emulator.UDP(b)
		changed := 0
		for i := range payload {
			if payload[i] != original[i] {
				changed++
			}
		}
		if to != salem || payload[0] != original[0] || changed > maxForged {
			t.Errorf("to %v, with %d bytes changed", to, changed)
		}
	}
	if len(all.packets) != forgeries {
		t.Errorf("%d forgeries", len(all.packets))
	}
}

func TestWhatIsSentAgainIsBounded(t *testing.T) {
	var all sent
	r := NewRepeater(true, rand.New(rand.NewPCG(1, 1)), all.inject)
	now := time.Now()
	for i := range 10 * maxKnown {
		r.Sends(packet(host, netip.AddrPortFrom(salem.Addr(), uint16(1000+i)), control(100)))
	}
	if len(r.known) != maxKnown {
		t.Errorf("it knows %d", len(r.known))
	}
	const span = 10
	for range span * 1000 {
		now = now.Add(time.Millisecond)
		r.Hears(now, packet(boston, host, control(100)))
	}
	if n := len(all.packets); n < span*perSecond || n > (span+1)*perSecond {
		t.Errorf("%d packets in %d s", n, span)
	}
}
