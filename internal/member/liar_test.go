package member

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"overlayd/internal/wire"
)

// liar is a member that keeps the rules of nothing: it sends garbage, altered, old, huge and contradictory records, and
// messages that are well formed and absurd.
type liar struct {
	*sim
	node    *simNode
	old     [][]byte
	strange [][]byte
}

func newLiar(s *sim) *liar {
	l := &liar{sim: s, node: s.nodes[1]}
	stranger := newWorld(s, 1234)
	for i := range 5 {
		_, r := stranger.record(fmt.Sprintf("s%d", i), 1, Statement{})
		l.strange = append(l.strange, r.Raw())
	}
	for _, n := range s.nodes {
		l.old = append(l.old, n.own().Raw())
	}
	return l
}

func (l *liar) record() []byte {
	raw := slices.Clone(l.old[l.rand.IntN(len(l.old))])
	switch l.rand.IntN(6) {
	case 0:
		raw[l.rand.IntN(len(raw))] ^= 1 << l.rand.IntN(8)
	case 1:
		raw = raw[:l.rand.IntN(len(raw))]
	case 2:
		raw = l.strange[l.rand.IntN(len(l.strange))]
	case 3: // somebody else's certificate under its own signature
		victim := l.nodes[l.rand.IntN(len(l.nodes))].own()
		payload, err := victim.Statement.payload(victim.Certificate, victim.Sequence+1)
		if err == nil && victim.Node() != l.node.id.ID() {
			raw = seal(l.node.id.signing, contextRecord, payload)
		}
	case 4: // of itself: two records with one sequence
		sequence := l.node.own().Sequence + uint64(l.rand.IntN(3))
		st := Statement{Relay: Consent(l.rand.IntN(3)), Labels: map[string]string{"n": fmt.Sprint(l.rand.IntN(9))}}
		r, err := SignRecord(l.node.id, l.node.cert, sequence, st)
		if err == nil {
			raw = r.Raw()
			l.signed[must(peek(KindRecord, raw)).mark()] = true
		}
	}
	return raw
}

func (l *liar) body() []byte {
	junk := make([]byte, l.rand.IntN(wire.MaxBodyLen))
	for i := range junk {
		junk[i] = byte(l.rand.Uint32())
	}
	sp := span{Kind: Kind(l.rand.IntN(7)), Depth: uint8(l.rand.IntN(3))}
	switch l.rand.IntN(8) {
	case 0:
		return junk
	case 1:
		return message{Type: typeSummary, Spans: []summarized{{Span: sp, Hash: l.rand.Uint64()}}}.encode()
	case 2:
		return message{Type: typeAdvert, Heads: junk[:len(junk)/advertLen*advertLen%(advertLen*maxAdverts)]}.encode()
	case 3:
		return message{Type: typeList, Lists: []list{{Span: sp, Heads: []byte{}}}}.encode()
	case 4:
		return message{Type: typeSame}.encode()
	case 5:
		return message{Type: typeWant, Keys: junk[:len(junk)/keyLen*keyLen%(keyLen*maxKeys)]}.encode()
	case 6:
		return message{Type: typeItems, News: true, Items: l.decrees()}.encode()
	default:
		items := []Item{{Kind: KindRecord, Raw: l.record()}, {Kind: KindRecord, Raw: l.record()[:1]}}
		return message{Type: typeItems, News: l.rand.IntN(2) == 0, Items: items}.encode()
	}
}

// decrees are what only admins may sign, signed by the liar.
func (l *liar) decrees() []Item {
	me, victim, now := l.node, l.anyone(), micros(l.now)
	rank := Rank(1 + l.rand.IntN(3))
	if victim == me {
		rank = AsAdmin
	}
	verdict := must(signVerdict(l.net, me.id.signing, me.cert, victim.id.ID(), rank, now, nil))
	forged := must(signVerdict(l.net, me.id.signing, l.nodes[0].cert, victim.id.ID(), rank, now, nil))
	invitation := signInvitation(l.net, me.id.signing, me.cert, Invitation{
		Lock: Lock{ID: TokenID{byte(now), 1}}, Uses: 1, Expiry: l.now.Add(day), Sequence: now,
	})
	certificate := Item{Kind: KindCertificate, Raw: seal(me.id.signing, contextCertificate, victim.cert.payload)}
	wrong := Item{Kind: kinds[l.rand.IntN(len(kinds))], Raw: l.record()}
	if wrong.Kind == KindRecord {
		wrong.Kind = KindVerdict
	}
	return append(append(verdict, forged...), invitation, certificate, wrong)
}

func (l *liar) anyone() *simNode { return l.nodes[l.rand.IntN(len(l.nodes))] }

func TestLiarChangesNothingButItsOwnRecord(t *testing.T) {
	s := newSim(t, 17, 20)
	s.converge(10*time.Second, 20, everybody)
	l := newLiar(s)
	s.strict = true
	for _, n := range s.nodes {
		if n != l.node {
			s.publish(n, 2)
		}
	}
	s.run(time.Second)
	s.converge(10*time.Second, 20, everybody)
	want := records(s.nodes[0].set)
	for range 3000 {
		victim := s.nodes[l.rand.IntN(len(s.nodes))]
		if victim != l.node {
			s.step(victim, Received{From: l.node.id.ID(), Body: l.body()})
		}
		if l.rand.IntN(20) == 0 {
			s.run(50 * time.Millisecond)
		}
	}
	s.run(time.Minute)
	s.converge(time.Minute, 20, everybody)
	changed := 0
	for i, raw := range records(s.nodes[0].set) {
		if !bytes.Equal(raw, want[i]) {
			changed++
			if r, err := s.net.VerifyRecord(raw, nil, s.now); err != nil || r.Node() != l.node.id.ID() {
				t.Errorf("the record of %s has changed: %v", r.Node(), err)
			}
		}
	}
	t.Logf("%d messages refused, %d records changed", s.refused, changed)
}
