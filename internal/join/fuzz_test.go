package join

import (
	"bytes"
	"net/netip"
	"testing"

	"overlayd/internal/member"
	"overlayd/internal/wire"
)

func FuzzToken(f *testing.F) {
	_, text := sampleToken(f)
	f.Add(text)
	f.Add(tokenPrefix)
	f.Fuzz(func(t *testing.T, s string) {
		tok, err := ParseToken(s)
		if err != nil {
			return
		}
		if _, err := tok.Text(); err != nil {
			t.Errorf("a token that cannot be written: %v", err)
		}
		if tok.Root.Equal(nil) || len(tok.Endpoints) == 0 {
			t.Errorf("%+v", tok)
		}
	})
}

func FuzzTokenFields(f *testing.F) { // behind the checksum, which a fuzzer does not get past
	tok, _ := sampleToken(f)
	b := append([]byte{}, tok.Root...)
	f.Add(append(b, make([]byte, tokenFixed)...))
	f.Fuzz(func(_ *testing.T, b []byte) {
		if len(b) >= tokenFixed-3 {
			_, _ = parseTokenFields(b)
		}
	})
}

func FuzzRequest(f *testing.F) {
	p := newParty(f, 1)
	tok := p.token(member.Offer{})
	id := p.identity()
	j, err := NewJoiner(start, tok, endpoints("192.0.2.1:1"), id, "boston", p.random)
	if err != nil {
		f.Fatal(err)
	}
	frame := j.Drain(nil)[0].(Transmit).Frame
	public := id.WireGuard()
	f.Add(frame, []byte{})
	f.Add(frame, member.Encode(requestBody{WireGuard: public[:], Signing: id.Signing(), Name: "boston"}))
	f.Add(frame, member.Encode(requestBody{Record: []byte{1}, Index: -1}))
	keys := sealsOf(tok.Secret.key(), tok.Network())
	f.Fuzz(func(t *testing.T, raw, body []byte) {
		d := NewDoor(p.set, p.registrar, seeded(1), "v1.0")
		_, err := d.Receive(start, netip.AddrPort{}, nil, raw, nil)
		if err == nil && !bytes.Equal(raw, frame) {
			t.Error("answered")
		}
		// The sealed part, written by someone who knows the invitation.
		if r, err := parseHead(raw); err == nil {
			_, _ = keys.openRequest(raw, r)
		}
		var rb requestBody
		if member.Decode(body, requestPlain, &rb) != nil {
			return
		}
		i := p.set.Invitation(tok.ID)
		if who, genuine := rb.applicant(p.net.ID, &i.Lock); genuine {
			t.Errorf("let in %+v", who)
		}
		d.record(start, i, rb.Record)
		d.another(rb.Index)
	})
}

func FuzzPassed(f *testing.F) {
	p := newParty(f, 1)
	tok := p.token(member.Offer{})
	f.Add(member.Encode(passBody{Ticket: 1, Token: tok.ID[:], Request: &requestBody{Name: "boston"}}))
	f.Add(member.Encode(passBody{Ticket: 1, Token: tok.ID[:], Reply: &replyBody{Status: statusFull}}))
	f.Fuzz(func(t *testing.T, body []byte) {
		d := NewDoor(p.set, p.registrar, seeded(1), "v1.0")
		if a, err := d.Passed(start, wire.NodeID{1}, body); err == nil && (len(a.Learn) > 0 || a.Frame != nil) {
			t.Error("let in")
		}
	})
}

func FuzzReply(f *testing.F) {
	p := newParty(f, 1)
	tok, id := p.token(member.Offer{}), p.identity()
	keys := sealsOf(tok.Secret.key(), tok.Network())
	public, sealed, err := sealGrant(p.random, p.net, id.WireGuard(), p.enrol(id, "boston", 0))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte{}, member.Encode(replyBody{Public: public, Granted: sealed}))
	f.Fuzz(func(t *testing.T, raw, body []byte) {
		if _, err := keys.openReply(raw, partCertificate, tok.ID, make([]byte, 24)); err == nil {
			t.Error("opened")
		}
		j, err := NewJoiner(start, tok, endpoints("192.0.2.1:1"), id, "boston", seeded(1))
		if err != nil {
			t.Fatal(err)
		}
		var rb replyBody
		if member.Decode(body, replyPlain, &rb) == nil && rb.Status == statusOK {
			_ = j.certified(start, netip.AddrPort{}, rb)
			j.network = p.net
			_ = j.introduced(start, rb)
			_ = j.another(start, rb)
		}
	})
}
