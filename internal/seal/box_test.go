package seal

import (
	"bytes"
	"crypto/ecdh"
	"errors"
	"math/rand/v2"
	"testing"

	"overlayd/internal/wire"
)

type party struct {
	id      wire.NodeID
	private [32]byte
	public  [32]byte
	rng     *rand.ChaCha8
}

func newParty(t testing.TB, n byte) *party {
	t.Helper()
	p := &party{id: wire.NodeID{n}, private: [32]byte{0, n}, rng: rand.NewChaCha8([32]byte{n})}
	key, err := ecdh.X25519().NewPrivateKey(p.private[:])
	if err != nil {
		t.Fatal(err)
	}
	copy(p.public[:], key.PublicKey().Bytes())
	return p
}

// start begins an epoch of p in which it knows the others.
func (p *party) start(t testing.TB, epoch uint64, others ...*party) *Box {
	t.Helper()
	box, err := New(p.id, wire.NetworkID{9}, p.private, epoch, p.rng)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range others {
		box.AddPeer(o.id, o.public)
	}
	return box
}

func mustSeal(t testing.TB, b *Box, to *party, body string) []byte {
	t.Helper()
	frame, err := b.Seal(nil, to.id, wire.KindPing, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return frame
}

// meet makes both boxes know each other's epoch.
func meet(t testing.TB, a, b *Box, pa, pb *party) {
	t.Helper()
	f, err := b.Open(mustSeal(t, a, pb, "?"))
	if err != nil || f.Fresh {
		t.Fatalf("first frame: %+v, %v; want genuine but not fresh", f, err)
	}
	hello, err := b.SealHello(nil, pa.id, f.SenderEpoch)
	if err != nil {
		t.Fatal(err)
	}
	if f, err = a.Open(hello); err != nil || !f.Fresh || f.Kind != wire.KindHello {
		t.Fatalf("hello: %+v, %v; want fresh", f, err)
	}
	if f, err = b.Open(mustSeal(t, a, pb, "!")); err != nil || !f.Fresh {
		t.Fatalf("second frame: %+v, %v; want fresh", f, err)
	}
}

func TestTwoNodesMeetInOneRoundTrip(t *testing.T) {
	pa, pb := newParty(t, 1), newParty(t, 2)
	a, b := pa.start(t, 100, pb), pb.start(t, 5, pa)
	meet(t, a, b, pa, pb)
	f, err := a.Open(mustSeal(t, b, pa, "back"))
	if err != nil || !f.Fresh || string(f.Body) != "back" || f.From != pb.id {
		t.Fatalf("answer: %+v, %v", f, err)
	}
}

func TestReplayIsRefused(t *testing.T) {
	pa, pb := newParty(t, 1), newParty(t, 2)
	a, b := pa.start(t, 100, pb), pb.start(t, 5, pa)
	meet(t, a, b, pa, pb)
	frame := mustSeal(t, a, pb, "once")
	if f, err := b.Open(frame); err != nil || !f.Fresh {
		t.Fatalf("first time: %+v, %v", f, err)
	}
	if _, err := b.Open(frame); !errors.Is(err, ErrReplayed) {
		t.Fatalf("second time: %v, want ErrReplayed", err)
	}
}

func TestFramesOfAnEarlierEpochChangeNothing(t *testing.T) {
	pa, pb := newParty(t, 1), newParty(t, 2)
	a, b := pa.start(t, 100, pb), pb.start(t, 5, pa)
	meet(t, a, b, pa, pb)
	recorded := mustSeal(t, a, pb, "recorded, never delivered")

	restarted := pb.start(t, 6, pa) // the receiver restarts: the recording names an epoch that is over
	if f, err := restarted.Open(recorded); err != nil || f.Fresh {
		t.Fatalf("recording to a restarted receiver: %+v, %v; want not fresh", f, err)
	}
	a2 := pa.start(t, 101, pb) // the sender restarts: its older epoch is over at everybody who met the new one
	if f, err := b.Open(mustSeal(t, a2, pb, "x")); err != nil || f.Fresh {
		t.Fatalf("first frame of the new epoch: %+v, %v", f, err)
	}
	hello, err := b.SealHello(nil, pa.id, 101)
	if err != nil {
		t.Fatal(err)
	}
	if f, err := a2.Open(hello); err != nil || !f.Fresh {
		t.Fatalf("hello to the new epoch: %+v, %v", f, err)
	}
	f, err := b.Open(mustSeal(t, a2, pb, "x"))
	if err != nil || !f.Fresh || !f.Restarted {
		t.Fatalf("after the hello: %+v, %v; want fresh and restarted", f, err)
	}
	if _, err := b.Open(recorded); !errors.Is(err, ErrReplayed) {
		t.Fatalf("recording of the older epoch: %v, want ErrReplayed", err)
	}
}

func TestReflectedAndAlteredFramesDoNotOpen(t *testing.T) {
	pa, pb, pc := newParty(t, 1), newParty(t, 2), newParty(t, 3)
	a, b := pa.start(t, 100, pb, pc), pb.start(t, 5, pa, pc)
	frame := mustSeal(t, a, pb, "hello")
	if _, err := a.Open(frame); err == nil {
		t.Error("a node opened its own frame")
	}
	if _, err := pc.start(t, 1, pa, pb).Open(frame); err == nil {
		t.Error("a third member opened the frame")
	}
	for i := range frame {
		altered := bytes.Clone(frame)
		altered[i] ^= 1
		if _, err := b.Open(altered); err == nil {
			t.Errorf("opened with byte %d altered", i)
		}
	}
	for n := range frame {
		if _, err := b.Open(frame[:n]); err == nil {
			t.Errorf("opened when cut to %d bytes", n)
		}
	}
}

// What a node says to one that has not proved to be there is not longer than what it answers. A frame without a body, such
// as a goodbye, gets no answer (package node).
func TestHelloIsNeverLargerThanItsCause(t *testing.T) {
	pa, pb := newParty(t, 1), newParty(t, 2)
	a, b := pa.start(t, 100, pb), pb.start(t, 5, pa)
	hello, err := b.SealHello(nil, pa.id, 100)
	if err != nil {
		t.Fatal(err)
	}
	ping, pong, theirs := wire.Ping{Path: 1, Seq: 1}, wire.Pong{}, wire.Hello{}
	for kind, body := range map[wire.Kind][]byte{
		wire.KindPing: ping.Append(nil), wire.KindPong: pong.Append(nil), wire.KindHello: theirs.Append(nil),
	} {
		cause, err := a.Seal(nil, pb.id, kind, body)
		if err != nil || len(hello) > len(cause) {
			t.Errorf("hello of %d bytes for a frame of kind %d of %d (%v)", len(hello), kind, len(cause), err)
		}
	}
}

func TestRemovedPeerIsUnknown(t *testing.T) {
	pa, pb := newParty(t, 1), newParty(t, 2)
	a, b := pa.start(t, 100, pb), pb.start(t, 5, pa)
	frame := mustSeal(t, a, pb, "x")
	b.RemovePeer(pa.id)
	if _, err := b.Open(frame); !errors.Is(err, ErrUnknownSender) {
		t.Errorf("open: %v, want ErrUnknownSender", err)
	}
	if _, err := b.Seal(nil, pa.id, wire.KindPing, nil); !errors.Is(err, ErrUnknownReceiver) {
		t.Errorf("seal: %v, want ErrUnknownReceiver", err)
	}
}

// The window accepts each number once, whatever the order, as long as it is not far behind.
func TestWindowAgainstASet(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 0))
		var w window
		seen, top := map[uint64]bool{}, uint64(0)
		next := uint64(1)
		for range 5000 {
			seq := next
			switch rng.IntN(4) {
			case 0:
				seq = next - min(next-1, uint64(rng.IntN(1500)))
			case 1:
				next += uint64(rng.IntN(300))
				seq = next
			default:
				next++
			}
			got := w.accept(seq)
			if got && seen[seq] {
				t.Fatalf("seed %d: %d accepted twice", seed, seq)
			}
			if !got && !seen[seq] && seq+900 > top {
				t.Fatalf("seed %d: %d refused, top %d", seed, seq, top)
			}
			seen[seq] = true
			top = max(top, seq)
		}
	}
}

func FuzzOpen(f *testing.F) {
	pa, pb := newParty(f, 1), newParty(f, 2)
	a := pa.start(f, 100, pb)
	f.Add(mustSeal(f, a, pb, "hello"))
	f.Add([]byte("C"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		b := pb.start(t, 5, pa)
		if frame, err := b.Open(raw); err == nil && frame.Fresh {
			t.Fatalf("a frame that names no epoch of ours was fresh: %+v", frame)
		}
	})
}

func TestOnlyASizeTestMayBeLong(t *testing.T) {
	pa, pb := newParty(t, 1), newParty(t, 2)
	a, b := pa.start(t, 1, pb), pb.start(t, 1, pa)
	meet(t, a, b, pa, pb)
	if _, err := a.Seal(nil, pb.id, wire.KindPing, make([]byte, wire.MaxBodyLen+1)); !errors.Is(err, ErrTooLong) {
		t.Errorf("a ping of more than the bound: %v", err)
	}
	body := wire.SizeTest{Token: 5}.AppendPadded(nil, wire.MaxSizeTest)
	raw, err := a.Seal(nil, pb.id, wire.KindSizeTest, body)
	if err != nil || len(raw) != wire.MaxSizeTest {
		t.Fatalf("%d bytes, %v", len(raw), err)
	}
	if f, err := b.Open(raw); err != nil || !f.Fresh || !bytes.Equal(f.Body, body) {
		t.Errorf("%+v, %v", f.Kind, err)
	}
}
