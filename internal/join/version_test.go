package join

import (
	"bytes"
	"encoding/hex"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"overlayd/internal/member"
	"overlayd/internal/wire"
)

// inVersion is a request as a newcomer of another version makes it, who has the token: its head, its proof, and something
// that this build cannot read.
func inVersion(v uint8, tok Token, random []byte) []byte {
	frame := append([]byte{wire.FirstJoin, v, 77}, tok.ID[:]...)
	frame = append(frame, random[:24]...)
	frame = versionSealsOf(tok.Secret.key(), tok.Network()).prove(frame)
	return append(frame, bytes.Repeat([]byte{0xab}, 300)...)
}

func TestWhatAllVersionsOfTheJoinFramesShareNeverChanges(t *testing.T) {
	p := newParty(t, 41)
	tok := p.token(member.Offer{})
	j := ok(t, func() (*Joiner, error) {
		return NewJoiner(start, tok, endpoints("192.0.2.1:51871"), p.identity(), "boston", p.random)
	})
	frame := j.Drain(nil)[0].(Transmit).Frame
	if frame[0] != 'J' || frame[1] != version || !bytes.Equal(frame[3:11], tok.ID[:]) || !bytes.Equal(frame[11:35], j.nonce[:]) {
		t.Errorf("a request begins with %x", frame[:35])
	}
	if !versionSealsOf(tok.Secret.key(), tok.Network()).proved(frame[:51]) {
		t.Error("the proof is not in the bytes from 35 to 51")
	}
	keys := versionSealsOf([32]byte{1}, wire.NetworkID{2})
	got := keys.prove(append([]byte{'J', 9, 1}, bytes.Repeat([]byte{7}, 32)...))[35:]
	if want := "07d6bedbf407e8f1d8362ada17e5e982"; want != hex.EncodeToString(got) {
		t.Errorf("the proof is %x, want %x: builds in use could not read it", got, want)
	}
}

func TestANewcomerOfAnotherVersionIsToldSoAndLeavesNothing(t *testing.T) {
	for v, upgrade := range map[uint8]string{version - 1: "upgrade the newcomer", version + 1: "upgrade this node", 255: "upgrade this node"} {
		p := newParty(t, 42)
		tok, before := p.token(member.Offer{}), p.set.Digest()
		sent := 0
		for i := range 10_000 { // in ten seconds
			frame := inVersion(v, tok, bytes.Repeat([]byte{byte(i)}, 24))
			a, err := p.door.Receive(start.Add(time.Duration(i)*time.Millisecond), netip.AddrPort{}, "back", frame, nil)
			if err != nil {
				if !errors.Is(err, ErrTooMany) {
					t.Fatal(err)
				}
				continue
			}
			sent++
			if len(a.Frame) > len(frame) || len(a.Frame) > 85 || a.Back != "back" || a.Learn != nil || len(a.Body) > 0 || !strings.HasSuffix(a.Notice, upgrade) {
				t.Fatalf("version %d: answered with %d bytes, and %q", v, len(a.Frame), a.Notice)
			}
		}
		if sent < joinsBurst || sent > joinsBurst+10*joinsASecond {
			t.Errorf("version %d: %d notices in ten seconds", v, sent)
		}
		if p.set.Digest() != before || p.set.Used(tok.ID) != 0 || len(p.door.passed) > 0 {
			t.Errorf("version %d: something is left", v)
		}
	}
}

func TestAStrangerGetsNoVersionNotice(t *testing.T) {
	p := newParty(t, 43)
	tok := p.token(member.Offer{})
	frame := inVersion(version+1, tok, make([]byte, 24))
	for i := range stableLen {
		bad := slices.Clone(frame)
		bad[i] ^= 1
		if a, err := p.door.Receive(start, netip.AddrPort{}, nil, bad, nil); err == nil || a.Frame != nil {
			t.Errorf("byte %d altered: answered", i)
		}
	}
	for i := range maxNotice {
		if a, err := p.door.Receive(start, netip.AddrPort{}, nil, frame[:i], nil); err == nil || a.Frame != nil {
			t.Errorf("cut after %d bytes: answered", i)
		}
	}
	if len(p.door.credits) > 0 {
		t.Error("strangers use the token's share")
	}
}

// noticeOf is what a member of another version answers to a request.
func noticeOf(t *testing.T, p *party, tok Token, v uint8, request []byte) []byte {
	t.Helper()
	s := versionSealsOf(tok.Secret.key(), tok.Network())
	h := ok(t, func() (head, error) { return parseHead(request) })
	frame := append([]byte{wire.FirstJoin, noticeVersion, h.part | replyFlag}, tok.ID[:]...)
	frame = append(frame, make([]byte, 24)...)
	return s.notice.Seal(frame, frame[headLen:], append([]byte{v, 3}, "v\x1b9 and more"...), replyAD(frame, h.nonce))
}

func TestANewcomerSaysThatAllMembersSpeakAnotherVersion(t *testing.T) {
	for v, upgrade := range map[uint8]string{version - 1: "upgrade that member", version + 1: "upgrade this node"} {
		p := newParty(t, 44)
		tok, list := p.token(member.Offer{}), endpoints("192.0.2.1:51871", "192.0.2.2:51871")
		j := ok(t, func() (*Joiner, error) { return NewJoiner(start, tok, list, p.identity(), "boston", p.random) })
		request := j.Drain(nil)[0].(Transmit).Frame
		notice := noticeOf(t, p, tok, v, request)
		for i := range notice {
			bad := slices.Clone(notice)
			bad[i] ^= 1
			if j.Step(start, Heard{From: list[0], Frame: bad}) == nil || j.Step(start, Heard{From: list[0], Frame: notice[:i]}) == nil {
				t.Fatalf("byte %d altered, or cut there: believed", i)
			}
		}
		for range 3 { // by one of the two
			if err := j.Step(start, Heard{From: list[0], Frame: notice}); err != nil || j.finished {
				t.Fatalf("one of two members says it, and the join has ended: %v", err)
			}
		}
		_ = j.Step(start, Heard{From: list[1], Frame: notice})
		out := j.Drain(nil)
		failed, is := out[len(out)-1].(Failed)
		var e VersionError
		if !is || !errors.As(failed.Err, &e) || e.Version != v {
			t.Fatalf("ended with %+v", out)
		}
		if text := e.Error(); !strings.HasSuffix(text, upgrade) || !strings.Contains(text, "192.0.2.2:51871") || strings.ContainsRune(text, '\x1b') {
			t.Errorf("%q", text)
		}
	}
}

// A network is upgraded node by node: a member that speaks the newcomer's version lets it in, whatever the others say.
func TestANewcomerJoinsThroughAMemberOfItsVersion(t *testing.T) {
	p := newParty(t, 45)
	tok, list := p.token(member.Offer{}), endpoints("192.0.2.1:51871", "192.0.2.2:51871")
	join := func(answers bool) (end Output) {
		now := start
		j := ok(t, func() (*Joiner, error) { return NewJoiner(now, tok, list, p.identity(), "boston", p.random) })
		for !j.finished || len(j.out) > 0 {
			for _, out := range j.Drain(nil) {
				tx, is := out.(Transmit)
				switch {
				case !is:
					end = out
				case tx.To == list[0]:
					_ = j.Step(now, Heard{From: tx.To, Frame: noticeOf(t, p, tok, version+1, tx.Frame)})
				case answers:
					_ = j.Step(now, Heard{From: tx.To, Frame: ok(t, func() ([]byte, error) { return p.knock(now, nil, tx.Frame) })})
				}
			}
			if at, more := j.NextDeadline(); more {
				now = at
				_ = j.Step(now, Tick{})
			}
		}
		return end
	}
	if end := join(false); !errors.As(end.(Failed).Err, new(VersionError)) {
		t.Errorf("the other member does not answer: %+v", end)
	}
	if end, is := join(true).(Joined); !is {
		t.Errorf("not let in: %+v", end)
	}
}
