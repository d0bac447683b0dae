package member

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"testing"

	"overlayd/internal/wire"
)

func FuzzCertificate(f *testing.F) {
	w := newWorld(f, 1)
	c := w.enrol(w.identity(), "boston", nil)
	f.Add(c.Raw())
	f.Fuzz(func(t *testing.T, raw []byte) {
		_, _, _, _ = parseCertificate(raw)
		if got, err := w.net.VerifyCertificate(raw, start); err == nil && !bytes.Equal(raw, c.Raw()) {
			t.Errorf("believed %+v", got)
		}
	})
}

func FuzzRecord(f *testing.F) {
	w := newWorld(f, 1)
	id, r := w.record("boston", 1, Statement{Endpoints: endpoints("192.0.2.1:1", "[2001:db8::1]:2")})
	f.Add(r.payload)
	f.Add(encode(recordPayload{Certificate: r.Certificate.Raw(), Sequence: 9, Labels: map[string]string{"a": "b"}}))
	f.Fuzz(func(t *testing.T, payload []byte) { // the node itself may sign anything
		raw := seal(id.signing, contextRecord, payload)
		got, err := w.net.VerifyRecord(raw, nil, start)
		if err != nil {
			return
		}
		if got.Node() != id.ID() || len(got.Endpoints) > wire.MaxEndpoints || len(got.Labels) > MaxLabels {
			t.Errorf("believed %+v", got)
		}
		_, _ = w.net.VerifyRecord(payload, nil, start)
	})
}

func FuzzSettings(f *testing.F) {
	w := newWorld(f, 1)
	f.Add(w.net.Raw())
	f.Fuzz(func(t *testing.T, raw []byte) {
		if n, err := ParseNetwork(raw); err == nil && n.ID == w.net.ID && !bytes.Equal(raw, w.net.Raw()) {
			t.Error("believed")
		}
	})
}

func FuzzSetMessage(f *testing.F) {
	w := newWorld(f, 1)
	id := w.identity()
	cert := w.enrol(id, "own", nil)
	peer, r := w.record("peer", 1, Statement{})
	for _, m := range []message{
		{Type: typeSummary, Spans: []summarized{{Span: span{Kind: kindRecord}, Hash: 1}}},
		{Type: typeSame},
		{Type: typeList, Lists: []list{{Span: span{Kind: kindRecord}, Heads: make([]byte, headLen)}}},
		{Type: typeItems, Items: []rawItem{{Kind: kindRecord, Raw: r.Raw()}}, News: true},
		{Type: typeWant, Keys: make([]byte, keyLen)},
		{Type: typeAdvert, Heads: make([]byte, advertLen)},
	} {
		f.Add(m.encode())
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		s := NewSet(w.net, id, cert, rand.New(seeded(1)))
		for _, in := range []Input{Publish{}, Learn{r.Raw()}, Received{From: peer.ID(), Body: body}, Tick{}} {
			_ = s.Step(start, in)
		}
		for _, out := range s.Drain(nil) {
			if send, ok := out.(Send); ok && len(send.Body) > wire.MaxBodyLen {
				t.Errorf("a body of %d bytes", len(send.Body))
			}
		}
		if s.Len() != 2 {
			t.Errorf("%d members", s.Len())
		}
		if at, ok := s.NextDeadline(); ok && !at.After(start) {
			t.Error("wants another tick at once")
		}
	})
}

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

func FuzzJoinRequest(f *testing.F) {
	p := newParty(f, 1)
	tok := p.token("")
	id := p.identity()
	j, err := NewJoiner(start, tok, endpoints("192.0.2.1:1"), id, "boston", p.random)
	if err != nil {
		f.Fatal(err)
	}
	frame := j.Drain(nil)[0].(Transmit).Frame
	f.Add(frame, []byte{})
	f.Add(frame, encode(requestBody{Signing: id.Signing(), Name: "boston"}))
	keys, err := deriveJoin(id, id.WireGuard(), tok.WireGuard, tok.Secret, tok.Network())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw, body []byte) {
		v := NewInviter(p.inviter.authority, p.id, p.set, p.inviter.Invitations(), seeded(1))
		_, err := v.Receive(start, netip.AddrPort{}, raw)
		if err == nil && !bytes.Equal(raw, frame) {
			t.Error("answered")
		}
		// The sealed part, written by someone who has a token.
		if r, err := parseRequest(raw); err == nil {
			_, _ = keys.openRequest(raw, r)
		}
		var rb requestBody
		if decode(body, requestPlain, &rb) == nil {
			r := request{part: partRecord, token: tok.ID, newcomer: id.WireGuard()}
			_, _ = v.decide(start, &v.list[0], r, rb)
		}
	})
}

func FuzzJoinReply(f *testing.F) {
	p := newParty(f, 1)
	tok, id := p.token(""), p.identity()
	keys, err := deriveJoin(id, id.WireGuard(), tok.WireGuard, tok.Secret, tok.Network())
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte{}, encode(replyBody{Settings: p.net.Raw(), Certificate: p.enrol(id, "boston", nil).Raw()}))
	f.Fuzz(func(t *testing.T, raw, body []byte) {
		if _, err := keys.openReply(raw, partCertificate, tok.ID, make([]byte, 24)); err == nil {
			t.Error("opened")
		}
		j, err := NewJoiner(start, tok, endpoints("192.0.2.1:1"), id, "boston", seeded(1))
		if err != nil {
			t.Fatal(err)
		}
		var rb replyBody
		if decode(body, maxReply, &rb) == nil && rb.Status == statusOK {
			_ = j.certified(start, rb)
			j.network = p.net
			_ = j.introduced(start, netip.AddrPort{}, rb)
		}
	})
}
