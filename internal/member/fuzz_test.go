package member

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"slices"
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
	admin, x := w.actor("admin", nil, asAdmin), w.actor("x", nil, nil)
	for _, list := range [][]Item{
		w.verdict(admin, x, Out, 0), w.verdict(nil, admin, Ordinary, 0, x), w.verdict(x, x, Out, 0), items(admin, x),
		{{Kind: KindCertificate, Raw: x.cert.raw}},
		{{Kind: KindSettings, Raw: w.net.raw}},
		{signInvitation(w.net, admin.id.signing, admin.cert, Invitation{
			ID: TokenID{1}, Public: x.id.Signing(), Uses: 1, Expiry: start.Add(day), Sequence: 1,
		})},
	} {
		f.Add(message{Type: typeItems, Items: list, News: true}.encode())
	}
	for _, kind := range append([]Kind{kindAll, 99}, kinds[:]...) {
		sp := span{Kind: kind, Depth: 1}
		sp.Prefix[0] = 0x70
		f.Add(message{Type: typeSummary, Spans: []summarized{{Span: sp, Hash: 1}, {Span: span{Kind: kind}, Hash: 1}}}.encode())
		f.Add(message{Type: typeList, Lists: []list{{Span: span{Kind: kind}, Heads: make([]byte, headLen)}, {Span: sp}}}.encode())
		f.Add(message{Type: typeWant, Keys: append([]byte{byte(kind)}, make([]byte, 16)...)}.encode())
		f.Add(message{Type: typeAdvert, Heads: append([]byte{byte(kind)}, make([]byte, headLen)...)}.encode())
	}
	for _, m := range []message{
		{Type: typeSummary, Spans: []summarized{{Span: span{Kind: KindRecord}, Hash: 1}}},
		{Type: typeSame},
		{Type: typeList, Lists: []list{{Span: span{Kind: KindRecord}, Heads: make([]byte, headLen)}}},
		{Type: typeItems, Items: []Item{{Kind: KindRecord, Raw: r.Raw()}}, News: true},
		{Type: typeWant, Keys: make([]byte, keyLen)},
		{Type: typeAdvert, Heads: make([]byte, advertLen)},
	} {
		f.Add(m.encode())
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		s := NewSet(w.net, id, cert, rand.New(seeded(1)))
		for _, in := range []Input{Publish{}, learnRecord(r.Raw()), Received{From: peer.ID(), Body: body}, Tick{}} {
			_ = s.Step(start, in)
		}
		for _, out := range s.Drain(nil) {
			if send, ok := out.(Send); ok && len(send.Body) > wire.MaxBodyLen {
				t.Errorf("a body of %d bytes", len(send.Body))
			}
		}
		(&world{TB: t}).consistent(s)
		for _, m := range s.Members() {
			if !slices.Contains([]wire.NodeID{id.ID(), peer.ID(), admin.node(), x.node()}, m.ID) {
				t.Errorf("%s is a member", m.ID)
			}
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
	tok := p.token(Offer{})
	id := p.identity()
	j, err := NewJoiner(start, tok, endpoints("192.0.2.1:1"), id, "boston", p.random)
	if err != nil {
		f.Fatal(err)
	}
	frame := j.Drain(nil)[0].(Transmit).Frame
	public := id.WireGuard()
	f.Add(frame, []byte{})
	f.Add(frame, encode(requestBody{WireGuard: public[:], Signing: id.Signing(), Name: "boston"}))
	f.Add(frame, encode(requestBody{Record: []byte{1}, Index: -1}))
	keys := tok.Secret.joinKey().aeads(tok.Network())
	f.Fuzz(func(t *testing.T, raw, body []byte) {
		d := NewDoor(p.set, p.registrar, seeded(1))
		_, err := d.Receive(start, netip.AddrPort{}, nil, raw, nil)
		if err == nil && !bytes.Equal(raw, frame) {
			t.Error("answered")
		}
		// The sealed part, written by someone who knows the invitation.
		if r, err := parseRequest(raw); err == nil {
			_, _ = keys.openRequest(raw, r)
		}
		var rb requestBody
		if decode(body, requestPlain, &rb) != nil {
			return
		}
		i := p.set.Invitation(tok.ID)
		if reply, learn := p.registrar.admit(start, i, &rb); len(learn) > 0 || reply.Granted != nil {
			t.Error("let in")
		}
		d.record(start, i, rb.Record)
		d.another(rb.Index)
	})
}

func FuzzPassed(f *testing.F) {
	p := newParty(f, 1)
	tok := p.token(Offer{})
	f.Add(encode(passBody{Ticket: 1, Token: tok.ID[:], Request: &requestBody{Name: "boston"}}))
	f.Add(encode(passBody{Ticket: 1, Token: tok.ID[:], Reply: &replyBody{Status: statusFull}}))
	f.Fuzz(func(t *testing.T, body []byte) {
		d := NewDoor(p.set, p.registrar, seeded(1))
		if a, err := d.Passed(start, wire.NodeID{1}, body); err == nil && (len(a.Learn) > 0 || a.Frame != nil) {
			t.Error("let in")
		}
	})
}

func FuzzVerdict(f *testing.F) {
	w := newWorld(f, 1)
	id := w.identity()
	cert := w.enrol(id, "boston", nil)
	f.Add(encode(verdictPayload{Network: w.net.ID[:], Target: make([]byte, 16), Rank: Out, Sequence: 1, Parts: 1, Signer: cert.Raw()}))
	f.Fuzz(func(t *testing.T, payload []byte) { // signed by an ordinary member
		v, err := w.net.VerifyVerdict(seal(id.signing, contextVerdict, payload))
		if err == nil && (v.Target != id.ID() || !v.Left()) {
			t.Errorf("believed %+v", v)
		}
		_, _ = w.net.VerifyVerdict(payload)
	})
}

func FuzzInvitation(f *testing.F) {
	p := newParty(f, 1)
	p.token(Offer{})
	id := p.identity()
	i := p.set.Invitations()[0]
	f.Add(i.payload)
	f.Fuzz(func(t *testing.T, payload []byte) { // signed by an ordinary member
		if i, err := p.net.VerifyInvitation(seal(id.signing, contextInvitation, payload)); err == nil {
			t.Errorf("believed %+v", i)
		}
		_, _ = p.net.VerifyInvitation(payload)
	})
}

func FuzzStored(f *testing.F) {
	w := newWorld(f, 1)
	_, r := w.record("boston", 1, Statement{})
	f.Add(Item{Kind: KindRecord, Raw: r.Raw()}.Stored())
	f.Add(r.Raw())
	f.Fuzz(func(_ *testing.T, b []byte) {
		if it, err := ParseStored(b); err == nil {
			_, _ = peek(it.Kind, it.Raw)
		}
	})
}

func FuzzJoinReply(f *testing.F) {
	p := newParty(f, 1)
	tok, id := p.token(Offer{}), p.identity()
	keys := tok.Secret.joinKey().aeads(tok.Network())
	public := id.WireGuard()
	f.Add([]byte{}, encode(p.registrar.grant(public[:], p.enrol(id, "boston", nil))))
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
			_ = j.certified(start, netip.AddrPort{}, rb)
			j.network = p.net
			_ = j.introduced(start, rb)
			_ = j.another(start, rb)
		}
	})
}
