package member

import (
	"bytes"
	"math/rand/v2"
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
	f.Add(Encode(recordPayload{Certificate: r.Certificate.Raw(), Sequence: 9, Labels: map[string]string{"a": "b"}}))
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
			Lock: w.lock(), Uses: 1, Expiry: start.Add(day), Sequence: 1,
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

func FuzzVerdict(f *testing.F) {
	w := newWorld(f, 1)
	id := w.identity()
	cert := w.enrol(id, "boston", nil)
	f.Add(Encode(verdictPayload{Network: w.net.ID[:], Target: make([]byte, 16), Rank: Out, Sequence: 1, Parts: 1, Signer: cert.Raw()}))
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
	id := p.identity()
	f.Add(p.invites(Offer{}).payload)
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
