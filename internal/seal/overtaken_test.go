package seal

import (
	"errors"
	"testing"

	"overlayd/internal/wire"
)

// talk sends a frame and whatever the Hellos that it causes cause, as package node does, and reports whether it arrived
// fresh in the end.
func talk(t testing.TB, from, to *Box, pf, pt *party) bool {
	t.Helper()
	for range 3 {
		f, err := to.Open(mustSeal(t, from, pt, "?"))
		if err == nil && f.Fresh {
			return true
		}
		if err != nil && !errors.Is(err, ErrReplayed) {
			t.Fatal(err)
		}
		if f.Overtaken != 0 {
			to.Advance(pf.id, f.Overtaken)
		}
		hello, err := to.SealHello(nil, pf.id, f.SenderEpoch)
		if err != nil {
			t.Fatal(err)
		}
		if f, err = from.Open(hello); err != nil {
			t.Fatal(err)
		}
		if f.Overtaken != 0 {
			from.Advance(pt.id, f.Overtaken)
		}
	}
	return false
}

// A memory that was put back to a snapshot has the same epoch and older sequence numbers. One round trip later its frames
// count again, an hour's worth of numbers or not.
func TestRestoredMemoryIsHeardAfterOneRoundTrip(t *testing.T) {
	pa, pb := newParty(t, 1), newParty(t, 2)
	a, b := pa.start(t, 100, pb), pb.start(t, 6, pa)
	meet(t, a, b, pa, pb)
	snapshot := *a.peers[pb.id]
	for range 36000 { // an hour at ten frames a second
		if f, err := b.Open(mustSeal(t, a, pb, "x")); err != nil || !f.Fresh {
			t.Fatalf("%+v, %v", f, err)
		}
	}
	*a.peers[pb.id] = snapshot
	if f, err := b.Open(mustSeal(t, a, pb, "x")); !errors.Is(err, ErrReplayed) || f.From != pa.id {
		t.Fatalf("%+v, %v; want ErrReplayed, and who it is from", f, err)
	}
	if !talk(t, a, b, pa, pb) {
		t.Fatal("no frame counts after the hello")
	}
	f, err := b.Open(mustSeal(t, a, pb, "x"))
	if err != nil || !f.Fresh || !Takeover(f.SenderEpoch) {
		t.Errorf("%+v, %v; want fresh, in an epoch that was taken over", f, err)
	}
}

// Two runs with one state: each is heard again when the other one has stopped, and while both run each can take over.
func TestOfTwoRunsWithOneStateEachIsHeardAgain(t *testing.T) {
	pa, pb := newParty(t, 1), newParty(t, 2)
	a, b, clone := pa.start(t, 100, pb), pb.start(t, 6, pa), pa.start(t, 200, pb)
	meet(t, a, b, pa, pb)
	if !talk(t, clone, b, pa, pb) {
		t.Fatal("the later run is not heard")
	}
	for range 5 {
		if !talk(t, a, b, pa, pb) {
			t.Fatal("the earlier run is not heard again")
		}
		if !talk(t, clone, b, pa, pb) {
			t.Fatal("the later run is not heard again")
		}
	}
	if !talk(t, b, clone, pb, pa) {
		t.Error("the peer is not heard by the run that it heard last")
	}
}

// An epoch file that was lost while the clock is behind: the peers remember a later epoch.
func TestAnEpochThatWentBackIsHeard(t *testing.T) {
	pa, pb := newParty(t, 1), newParty(t, 2)
	future, b := pa.start(t, 1<<60, pb), pb.start(t, 6, pa)
	meet(t, future, b, pa, pb)
	if now := pa.start(t, 100, pb); !talk(t, now, b, pa, pb) {
		t.Error("a node whose epoch went back is not heard")
	}
}

// Whatever was recorded before a takeover is void after it, in both directions, and cannot cause another one.
func TestNothingRecordedCountsAfterATakeover(t *testing.T) {
	pa, pb := newParty(t, 1), newParty(t, 2)
	a, b := pa.start(t, 100, pb), pb.start(t, 6, pa)
	meet(t, a, b, pa, pb)
	var toA, toB [][]byte
	for range 20 {
		toB = append(toB, mustSeal(t, a, pb, "recorded"))
		toA = append(toA, mustSeal(t, b, pa, "recorded"))
		hello, err := b.SealHello(nil, pa.id, 100)
		if err != nil {
			t.Fatal(err)
		}
		toA = append(toA, hello)
	}
	if !a.Advance(pb.id, 300) || !talk(t, a, b, pa, pb) {
		t.Fatal("no takeover")
	}
	own := a.peers[pb.id].own
	for _, raw := range toB {
		if f, err := b.Open(raw); err == nil && f.Fresh || f.Overtaken != 0 {
			t.Fatalf("a recording counts: %+v, %v", f, err)
		}
	}
	for _, raw := range toA {
		if f, err := a.Open(raw); err == nil && f.Fresh || f.Overtaken != 0 {
			t.Fatalf("a recording counts: %+v, %v", f, err)
		}
	}
	if a.peers[pb.id].own != own || b.peers[pa.id].epoch != own {
		t.Error("a recording moved an epoch")
	}
}

// A peer can end a pair that it is one of, and no other: the epochs that it names go no further.
func TestEpochsThatAPeerNamesStayInItsPair(t *testing.T) {
	pa, pb, pc := newParty(t, 1), newParty(t, 2), newParty(t, 3)
	a, b, c := pa.start(t, 100, pb, pc), pb.start(t, 6, pa), pc.start(t, 8, pa)
	meet(t, a, b, pa, pb)
	meet(t, a, c, pa, pc)
	if !a.Advance(pb.id, 1<<62) || a.epochTo(a.peers[pc.id]) != 100 {
		t.Errorf("the epoch for another peer is %d", a.epochTo(a.peers[pc.id]))
	}
	if a.Advance(pb.id, 1<<64-1) {
		t.Error("there is an epoch above the last one")
	}
	if !talk(t, a, c, pa, pc) {
		t.Error("the other pair does not talk")
	}
}

func TestNoticesAreReadWhateverTheProtocol(t *testing.T) {
	pa, pb := newParty(t, 1), newParty(t, 2)
	a, b := pa.start(t, 100, pb), pb.start(t, 6, pa)
	other := mustSeal(t, a, pb, "a ping that is long enough for an answer")
	other[1] = wire.Protocol + 1
	if _, err := b.Open(other); !errors.Is(err, wire.ErrProtocol) {
		t.Fatalf("a frame of another protocol: %v", err)
	}
	id, protocol, ok := b.Claims(other)
	if id != pa.id || protocol != wire.Protocol+1 || !ok {
		t.Fatalf("claims %v %d %v", id, protocol, ok)
	}
	raw, err := b.SealNotice(nil, pa.id, "v1.2.3", len(other))
	if err != nil || len(raw) > len(other) {
		t.Fatalf("notice of %d bytes for a frame of %d: %v", len(raw), len(other), err)
	}
	from, notice, err := a.OpenNotice(raw)
	if want := (Notice{Protocol: wire.Protocol, Build: "v1.2.3", Epoch: 6}); err != nil || from != pb.id || notice != want {
		t.Errorf("%v, %+v, %v; want %+v", from, notice, err, want)
	}
	if short, err := b.SealNotice(nil, pa.id, "v1.2.3", len(raw)-2); err != nil || len(short) != len(raw)-2 {
		t.Errorf("a notice of at most %d bytes has %d (%v)", len(raw)-2, len(short), err)
	}
	if _, err := b.SealNotice(nil, pa.id, "", 40); !errors.Is(err, ErrTooLong) {
		t.Errorf("a notice of at most 40 bytes: %v", err)
	}
	raw[len(raw)-1] ^= 1
	if _, _, err := a.OpenNotice(raw); !errors.Is(err, ErrForged) {
		t.Errorf("an altered notice: %v", err)
	}
	if _, err := b.Open(raw); err == nil {
		t.Error("a notice is a control frame")
	}
}

func FuzzOpenNotice(f *testing.F) {
	pa, pb := newParty(f, 1), newParty(f, 2)
	a := pa.start(f, 100, pb)
	raw, err := a.SealNotice(nil, pb.id, "v1", 200)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte("C\x00"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, n, err := pb.start(t, 5, pa).OpenNotice(raw); err == nil && len(n.Build) > MaxBuild {
			t.Fatalf("a build of %d bytes", len(n.Build))
		}
	})
}
