package join

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"overlayd/internal/member"
)

func TestMemberThatKnowsTheInvitationCannotUseIt(t *testing.T) {
	p := newParty(t, 1)
	tok := p.token(member.Offer{})
	i := p.set.Invitation(tok.ID)
	id := p.identity()
	public := id.WireGuard()
	body := requestBody{WireGuard: public[:], Signing: id.Signing(), Name: "sybil"}
	body.Proof = make([]byte, 64)
	body.Ticket = make([]byte, 64) // the token's key is not known to members
	frame := ok(t, func() ([]byte, error) {
		return p.door.seals(i).sealRequest(partCertificate, i.ID, [24]byte{}, body)
	})
	if _, err := p.knock(start, nil, frame); !errors.Is(err, member.ErrSignature) {
		t.Errorf("let in: %v", err)
	}
}

func TestAlteredRequestChangesNothing(t *testing.T) {
	p := newParty(t, 1)
	tok := p.token(member.Offer{})
	j, err := NewJoiner(start, tok, endpoints("192.0.2.1:51871"), p.identity(), "boston", p.random)
	if err != nil {
		t.Fatal(err)
	}
	frame := j.Drain(nil)[0].(Transmit).Frame
	for i := range frame {
		now := start.Add(time.Duration(i) * time.Second) // the share of the token is not what stops it
		bad := slices.Clone(frame)
		bad[i] ^= 1
		if a, err := p.door.Receive(now, netip.AddrPort{}, nil, bad, nil); err == nil || a.Frame != nil {
			t.Fatalf("byte %d altered: answered", i)
		}
		if a, err := p.door.Receive(now, netip.AddrPort{}, nil, frame[:i], nil); err == nil || a.Frame != nil {
			t.Fatalf("cut after %d bytes: answered", i)
		}
	}
	if p.set.Used(tok.ID) != 0 {
		t.Error("the token is used")
	}
	for range 1000 {
		if _, err := p.door.Receive(start.Add(time.Hour-time.Second), netip.AddrPort{}, nil, frame, nil); err != nil {
			if !errors.Is(err, ErrTooMany) {
				t.Fatal(err)
			}
			return
		}
	}
	t.Error("a replayed request is answered without a limit")
}

// Whoever recorded the requests of a newcomer sends them again and again.
func TestReplayedRequestsStoreNothingAndKeepNobodyOut(t *testing.T) {
	p := newParty(t, 1)
	id, tok := p.identity(), p.token(member.Offer{})
	var recorded [][]byte
	j := ok(t, func() (*Joiner, error) {
		return NewJoiner(start, tok, endpoints("192.0.2.1:51871"), id, "boston", p.random)
	})
	for len(recorded) < 2 {
		for _, out := range j.Drain(nil) {
			if out, is := out.(Transmit); is {
				recorded = append(recorded, out.Frame)
				reply := ok(t, func() ([]byte, error) { return p.knock(start, nil, out.Frame) })
				_ = j.Step(start, Heard{From: out.To, Frame: reply})
			}
		}
	}
	before, looked := p.set.Digest(), 0
	for i := range 10000 {
		now := start.Add(time.Duration(i) * time.Millisecond)
		a, err := p.door.Receive(now, netip.AddrPort{}, nil, recorded[i%2], nil)
		if err == nil {
			looked++
		}
		if a.Learn != nil {
			t.Fatalf("replay %d has something stored", i)
		}
	}
	if looked > joinsBurst+10*joinsASecond {
		t.Errorf("%d replays were looked into", looked)
	}
	if p.set.Digest() != before {
		t.Error("replays changed the set")
	}
	if _, err := p.join(start.Add(10*time.Second), nil, p.token(member.Offer{}), p.identity(), "cambridge", never); err != nil {
		t.Errorf("meanwhile a newcomer is refused: %v", err)
	}
}
