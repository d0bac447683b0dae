package member

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"overlayd/internal/wire"
)

// lone is a set of a founder that knows boston.
func lone(t *testing.T) (*world, *Set, Identity, *Record) {
	t.Helper()
	w := newWorld(t, 1)
	id := w.identity()
	s := NewSet(w.net, id, w.enrol(id, "founder", nil), rand.New(seeded(1)))
	other, r := w.record("boston", 5, Statement{})
	for _, in := range []Input{Publish{}, learnRecord(r.Raw()), Met{Peer: other.ID()}} {
		if err := s.Step(start, in); err != nil {
			t.Fatal(err)
		}
	}
	s.Drain(nil)
	return w, s, other, r
}

func TestRecordsThatAreNotBelievedChangeNothing(t *testing.T) {
	w, s, id, r := lone(t)
	stranger := newWorld(t, 99)
	_, foreign := stranger.record("mallory", 1, Statement{})
	early := w.identity()
	future := w.sign(early, w.enrol(early, "early", func(c *Certificate) {
		c.NotBefore = start.Add(9 * time.Minute)
	}), 1, Statement{})
	forger := w.identity()
	forged := seal(forger.signing, contextRecord, r.payload)
	wrongContext := seal(id.signing, contextCertificate, r.payload)

	now := start.Add(time.Hour + 11*time.Minute)
	before := s.Stored()
	for name, c := range map[string]struct {
		at   time.Time
		raw  []byte
		want error
	}{
		"foreign network":       {now, foreign.Raw(), ErrForeign},
		"not valid yet":         {start.Add(-2 * time.Minute), future.Raw(), ErrExpired},
		"signed by another":     {now, bump(t, forger, r), ErrSignature},
		"same, forged":          {now, forged, nil},
		"other context":         {now, wrongContext, nil},
		"older":                 {now, w.sign(id, r.Certificate, 4, Statement{Relay: RelayNever}).Raw(), nil},
		"empty":                 {now, nil, ErrMalformed},
		"huge":                  {now, make([]byte, MaxItemLen+1), ErrMalformed},
		"garbage":               {now, []byte("garbage"), ErrMalformed},
		"certificate as record": {now, r.Certificate.Raw(), ErrMalformed},
	} {
		if err := s.Step(c.at, learnRecord(c.raw)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if !slices.EqualFunc(before, s.Stored(), slices.Equal) {
			t.Fatalf("%s: the set has changed", name)
		}
	}
}

// bump is r with a higher sequence, signed by somebody else.
func bump(t *testing.T, forger Identity, r *Record) []byte {
	t.Helper()
	payload, err := r.Statement.payload(r.Certificate, r.Sequence+1)
	if err != nil {
		t.Fatal(err)
	}
	return seal(forger.signing, contextRecord, payload)
}

func TestAlteredRecordIsNeverBelieved(t *testing.T) {
	w, s, _, _ := lone(t)
	st := Statement{Endpoints: endpoints("192.0.2.1:1"), Labels: map[string]string{"site": "x"}}
	_, r := w.record("cambridge", 1, st)
	for i := range r.Raw() {
		bad := slices.Clone(r.Raw())
		bad[i] ^= 1 << (i % 8)
		if err := s.Step(start, learnRecord(bad)); err == nil || s.Len() != 2 {
			t.Fatalf("byte %d altered: %v", i, err)
		}
		if err := s.Step(start, learnRecord(r.Raw()[:i])); err == nil {
			t.Fatalf("cut after %d bytes: believed", i)
		}
	}
	if err := s.Step(start, learnRecord(r.Raw())); err != nil || s.Len() != 3 {
		t.Fatal(err)
	}
}

func TestContradictoryRecordsEndTheSameWay(t *testing.T) {
	w, _, _, _ := lone(t)
	id := w.identity()
	c := w.enrol(id, "liar", nil)
	a, b := w.sign(id, c, 7, Statement{Relay: RelayNever}), w.sign(id, c, 7, Statement{Relay: RelayAlways})
	var ends [][]byte
	for _, order := range [][]*Record{{a, b}, {b, a}, {a, b, a, b}} {
		_, s, _, _ := lone(t)
		for _, r := range order {
			if err := s.Step(start, learnRecord(r.Raw())); err != nil {
				t.Fatal(err)
			}
		}
		m, _ := s.Get(id.ID())
		ends = append(ends, m.Record.Raw())
	}
	if !slices.Equal(ends[0], ends[1]) || !slices.Equal(ends[0], ends[2]) {
		t.Error("the order of arrival decides")
	}
}

func TestElderKeepsADisputedNameAndAddress(t *testing.T) {
	w := newWorld(t, 1)
	addr := netip.MustParseAddr("10.71.9.9")
	var records []*Record
	for i, since := range []time.Duration{2 * time.Minute, time.Minute, time.Minute, 3 * time.Minute} {
		id := w.identity()
		c := w.enrol(id, "boston", func(c *Certificate) { c.NotBefore, c.IPv4 = start.Add(since), addr })
		records = append(records, w.sign(id, c, uint64(i+1), Statement{}))
	}
	want := records[1]
	if records[2].Node().Compare(want.Node()) < 0 {
		want = records[2]
	}
	r := rand.New(seeded(5))
	for range 20 {
		id := w.identity()
		s := NewSet(w.net, id, w.enrol(id, "own", nil), rand.New(seeded(1)))
		conflicts := 0
		for _, i := range r.Perm(len(records)) {
			if err := s.Step(start, learnRecord(records[i].Raw())); err != nil {
				t.Fatal(err)
			}
			for _, out := range s.Drain(nil) {
				if c, ok := out.(Conflict); ok {
					conflicts++
					if c.Winner == c.Loser {
						t.Error("a node is in conflict with itself")
					}
				}
			}
		}
		byName, _ := s.ByName("boston")
		byAddr, _ := s.ByIPv4(addr)
		if byName != want.Node() || byAddr != want.Node() || conflicts != 6 || len(s.Conflicts()) != 6 {
			t.Fatalf("name: %s, address: %s, want %s; %d conflicts", byName, byAddr, want.Node(), conflicts)
		}
		for _, m := range s.Members() {
			if m.ID != want.Node() && (m.Name != "" || m.IPv4.IsValid()) {
				t.Errorf("%s has %q, %s", m.ID, m.Name, m.IPv4)
			}
		}
	}
}

func TestLapsedMemberIsForgottenAndLoserTakesItsPlace(t *testing.T) {
	w, s, _, _ := lone(t)
	addr := netip.MustParseAddr("10.71.9.9")
	elder, younger := w.identity(), w.identity()
	first := w.enrol(elder, "x", func(c *Certificate) { c.IPv4, c.NotAfter = addr, start.Add(time.Hour) })
	second := w.enrol(younger, "x", func(c *Certificate) {
		c.IPv4, c.NotBefore, c.NotAfter = addr, start.Add(time.Minute), start.Add(2*Lapse)
	})
	for _, r := range []*Record{w.sign(elder, first, 1, Statement{}), w.sign(younger, second, 1, Statement{})} {
		if err := s.Step(start, learnRecord(r.Raw())); err != nil {
			t.Fatal(err)
		}
	}
	if id, _ := s.ByName("x"); id != elder.ID() {
		t.Fatal("the elder does not have the name")
	}
	for _, c := range []struct {
		after time.Duration
		want  wire.NodeID
	}{{2 * time.Hour, elder.ID()}, {Lapse + 2*time.Hour, younger.ID()}} {
		at := start.Add(c.after)
		witnesses(w, s, at, 2)
		s.expire(at)
		if id, _ := s.ByName("x"); id != c.want {
			t.Errorf("%v after the certificate began %s has the name", c.after, id)
		}
	}
}

func TestWrongClockDoesNotMakeANodeForgetEverybody(t *testing.T) {
	_, s, _, _ := lone(t)
	if err := s.Step(start.Add(10*Validity), Tick{}); err != nil || s.Len() != 2 {
		t.Errorf("%d members, %v", s.Len(), err)
	}
}

func TestNewcomerIsStoredAtOnce(t *testing.T) {
	w, s, _, _ := lone(t)
	_, r := w.record("cambridge", 1, Statement{})
	if err := s.Step(start, learnRecord(r.Raw())); err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(s.Drain(nil), func(o Output) bool { _, ok := o.(Save); return ok }) {
		t.Error("not saved in the same step")
	}
}

func TestLabelsCannotHoldControlCharacters(t *testing.T) {
	w := newWorld(t, 1)
	id := w.identity()
	c := w.enrol(id, "boston", nil)
	if _, err := SignRecord(id, c, 1, Statement{Labels: map[string]string{"site": "a\x1b[31m"}}); err == nil {
		t.Error("an escape sequence was signed")
	}
}

func TestOwnRecordIsSignedAnewOnlyIfItChanges(t *testing.T) {
	_, s, _, _ := lone(t)
	sequence := func() uint64 { m, _ := s.Get(s.self); return m.Record.Sequence }
	first := sequence()
	now := start.Add(time.Second)
	for range 3 {
		if err := s.Step(now, Publish{}); err != nil {
			t.Fatal(err)
		}
	}
	if sequence() != first {
		t.Error("signed anew without a change")
	}
	if err := s.Step(now, Publish{Statement{Relay: RelayNever}}); err != nil {
		t.Fatal(err)
	}
	second := sequence()
	if second <= first {
		t.Error("not signed anew")
	}
	if err := s.Step(now.Add(time.Millisecond), Publish{Statement{Relay: RelayAlways}}); err != nil {
		t.Fatal(err)
	}
	if sequence() != second {
		t.Error("two versions within a millisecond")
	}
	if err := s.Step(now.Add(publishEvery), Tick{}); err != nil || sequence() <= second {
		t.Error("the second change was forgotten", err)
	}
}

func TestSavedSetComesBack(t *testing.T) {
	w, s, _, _ := lone(t)
	now := start.Add(time.Second)
	for _, step := range []struct {
		at time.Time
		in Input
	}{{now, Publish{Statement{Relay: RelayNever}}}, {now.Add(saveEvery), Tick{}}} {
		if err := s.Step(step.at, step.in); err != nil {
			t.Fatal(err)
		}
	}
	var saved [][]byte
	for _, out := range s.Drain(nil) {
		if save, ok := out.(Save); ok {
			saved = save.Items
		}
	}
	if len(saved) != 3 { // with the settings
		t.Fatalf("%d items saved", len(saved))
	}
	fresh := NewSet(w.net, s.id, s.cert, rand.New(seeded(1)))
	if err := fresh.Step(start, Load{append(saved, []byte("damaged"))}); err != nil {
		t.Fatal(err)
	}
	if fresh.Len() != 2 {
		t.Errorf("%d members", fresh.Len())
	}
	for _, out := range fresh.Drain(nil) {
		if _, ok := out.(Send); ok {
			t.Error("something is sent on loading")
		}
	}
}

func TestPeerCannotCauseWorkWithoutBound(t *testing.T) {
	w, s, id, _ := lone(t)
	peer := id.ID()
	keys := append([]byte{byte(KindRecord)}, peer[:]...)
	busy, frames := 0, 0
	for range 5000 {
		body := message{Type: typeWant, Keys: keys}.encode()
		if err := s.Step(start, Received{From: id.ID(), Body: body}); errors.Is(err, ErrBusy) {
			busy++
		}
		frames += len(s.Drain(nil))
	}
	if busy == 0 || frames > creditMax {
		t.Errorf("%d frames sent, %d messages refused", frames, busy)
	}
	if err := s.Step(start, Received{From: w.identity().ID(), Body: nil}); !errors.Is(err, ErrStranger) {
		t.Errorf("stranger: %v", err)
	}
}

func TestOtherKindsAndVersionsAreIgnored(t *testing.T) {
	_, s, id, _ := lone(t)
	const later = Kind(77)
	unknown := span{Kind: later}
	for name, m := range map[string]message{
		"summary": {Type: typeSummary, Spans: []summarized{{Span: unknown, Hash: 1}}},
		"list":    {Type: typeList, Lists: []list{{Span: unknown, Heads: make([]byte, headLen)}}},
		"items":   {Type: typeItems, Items: []Item{{Kind: later, Raw: []byte("x")}}},
		"want":    {Type: typeWant, Keys: append([]byte{byte(later)}, make([]byte, 16)...)},
		"advert":  {Type: typeAdvert, Heads: append([]byte{byte(later)}, make([]byte, headLen)...)},
	} {
		if err := s.Step(start, Received{From: id.ID(), Body: m.encode()}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if out := s.Drain(nil); len(out) > 1 { // the summary of the session
		t.Errorf("%d answers", len(out))
	}
	other := Encode(message{Version: messageVersion + 1, Type: typeSame})
	if err := s.Step(start, Received{From: id.ID(), Body: other}); !errors.Is(err, ErrMalformed) {
		t.Errorf("later version: %v", err)
	}
}
