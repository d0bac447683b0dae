package member

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"overlayd/internal/wire"
)

// witnesses lets so many members that the set does not know yet sign at a time, which its clock need not show.
func witnesses(w *world, s *Set, at time.Time, count int) {
	w.Helper()
	for range count {
		if err := s.Step(at, learnRecord(w.recordAt(at).raw)); err != nil {
			w.Fatal(err)
		}
	}
}

// recordAt signs a record of a new node, whose certificate is of the same time.
func (w *world) recordAt(at time.Time) *Record {
	w.Helper()
	w.count++
	id := w.identity()
	c := ok(w, func() (*Certificate, error) {
		return Authority{Network: w.net, Root: w.root}.Issue(Certificate{
			WireGuard: id.WireGuard(), Signing: id.Signing(), Name: fmt.Sprintf("w%d", w.count), Serial: micros(at),
			IPv4:      netip.AddrFrom4([4]byte{10, 71, byte(w.count >> 8), byte(w.count)}),
			NotBefore: at, NotAfter: at.Add(Validity),
		}, at)
	})
	return w.sign(id, c, micros(at), Statement{})
}

// tick lets the rounds come round at a time.
func tick(t testing.TB, s *Set, at time.Time) {
	t.Helper()
	for range 3 {
		if err := s.Step(at, Tick{}); err != nil {
			t.Fatal(err)
		}
		at = at.Add(2 * roundsEvery)
	}
}

// An admin that was off for 90 days, starts by a clock that is a hundred days ahead or a month behind, or in 1970, takes
// whatever it has stored, keeps it, and stores it again.
func TestNothingIsForgottenByAWrongClock(t *testing.T) {
	p := newParty(t, 1)
	for i := range 5 {
		p.another(fmt.Sprintf("n%d", i), nil)
	}
	invitation := p.invites(Offer{TTL: 24 * time.Hour})
	stored, members := p.set.Stored(), len(p.set.IDs())
	for name, at := range map[string]time.Time{
		"off for 90 days":      start.Add(Validity + time.Hour),
		"a hundred days ahead": start.Add(100 * 24 * time.Hour),
		"eleven years ahead":   start.Add(11 * 365 * 24 * time.Hour),
		"a month behind":       start.Add(-30 * 24 * time.Hour),
		"1970":                 time.Unix(3, 0),
	} {
		s := NewSet(p.net, p.id, p.set.cert, seededRand(1))
		for _, in := range []Input{Load{stored}, Publish{Statement{Endpoints: endpoints("192.0.2.9:51871")}}} {
			if err := s.Step(at, in); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		for _, id := range p.set.IDs() {
			if id != s.self {
				_ = s.Step(at, Met{Peer: id})
			}
		}
		tick(t, s, at)
		if got := len(s.IDs()); got != members || len(s.Stored()) < len(stored)-1 {
			t.Errorf("%s: %d of %d members, %d of %d items", name, got, members, len(s.Stored()), len(stored))
		}
		// It starts again by the right clock.
		again := NewSet(p.net, p.id, p.set.cert, seededRand(1))
		_ = again.Step(start, Load{s.Stored()})
		tick(t, again, start.Add(time.Minute))
		if got := len(again.IDs()); got != members {
			t.Errorf("%s, then right: %d of %d members", name, got, members)
		}
		if at.Before(invitation.Expiry) && again.Invitation(invitation.ID) == nil {
			t.Errorf("%s: the invitation is forgotten", name)
		}
	}
}

// A node whose clock is behind still hears of revocations, records and certificates that are dated after it.
func TestAClockThatIsBehindHearsOfWhatIsNew(t *testing.T) {
	p := newParty(t, 2)
	q := p.another("boston", nil)
	r := p.another("cambridge", nil)
	for _, a := range []*party{q, r} { // they sign by the right clock
		_ = a.set.Step(start, Publish{Statement{Endpoints: endpoints("192.0.2.8:51871")}})
	}
	p.share(q, r)
	behind := NewSet(p.net, q.id, q.set.cert, seededRand(1))
	at := start.Add(-40 * 24 * time.Hour)
	if err := behind.Step(at, Load{q.set.Stored()}); err != nil {
		t.Fatal(err)
	}
	later := start.Add(7 * 24 * time.Hour)
	verdict := ok(t, func() ([]Item, error) { return p.registrar.Revoke(later, r.id.ID(), false) })
	if err := behind.Step(at, Learn{verdict}); err != nil || !behind.out(r.id.ID()) {
		t.Errorf("the revocation is refused: %v", err)
	}
	if err := p.set.Step(later, Publish{Statement{Endpoints: endpoints("192.0.2.7:51871")}}); err != nil {
		t.Fatal(err)
	}
	own := p.set.Own()
	if err := behind.Step(at, learnRecord(own.raw)); err != nil || behind.Record(p.id.ID()).Sequence != own.Sequence {
		t.Errorf("the record is refused: %v", err)
	}
	// What it says itself is newer than what it said by a better clock.
	before := behind.Own().Sequence
	_ = behind.Step(at, Publish{Statement{Endpoints: endpoints("192.0.2.77:51871")}})
	_ = behind.Step(at.Add(time.Minute), Tick{})
	if got := behind.Own(); got.Sequence <= before {
		t.Errorf("its own record went from %d to %d", before, got.Sequence)
	}
}

// exchangeOfClocks lets members tell their clocks, which are ahead of the right time by so much.
func exchangeOfClocks(s *Set, now time.Time, ahead map[wire.NodeID]time.Duration) {
	for id, d := range ahead {
		_ = s.Step(now, Met{Peer: id})
		body := message{Type: typeSummary, Clock: now.Add(d).Unix()}.encode()
		_ = s.Step(now, Received{From: id, Body: body})
	}
}

func TestTwoNeighborsThatAgreeAreBelievedAboutTheTime(t *testing.T) {
	hundred := 100 * 24 * time.Hour
	for _, c := range []struct {
		name   string
		offset time.Duration   // of this node's clock
		others []time.Duration // of its neighbors'
		want   time.Duration   // that it dates with
		wrong  time.Duration   // that it is ahead, as it says
	}{
		{"alone", hundred, nil, hundred, 0},
		{"right among right ones", 0, []time.Duration{0, time.Minute}, 0, 0},
		{"ahead", hundred, []time.Duration{0, time.Minute, 0}, 0, hundred},
		{"behind", -hundred, []time.Duration{0, 0}, 0, -hundred},
		{"one of two", hundred, []time.Duration{0}, hundred, hundred},
		{"one agrees, and two do not", 0, []time.Duration{0, hundred, hundred}, 0, 0},
		{"nobody agrees with anybody", 0, []time.Duration{hundred, -hundred}, 0, hundred},
	} {
		p := newParty(t, 3)
		ahead := make(map[wire.NodeID]time.Duration)
		for i, d := range c.others {
			ahead[p.another(fmt.Sprintf("n%d", i), nil).id.ID()] = d
		}
		now := start.Add(time.Minute)
		_ = p.set.Step(now, Clock{Offset: c.offset})
		exchangeOfClocks(p.set, now, ahead)
		if got := p.set.Time(now).Sub(now); (got - c.want).Abs() > time.Hour {
			t.Errorf("%s: dates with a clock that is %v ahead, want %v", c.name, got, c.want)
		}
		if wrong, _ := p.set.ClockError(now); (wrong - c.wrong).Abs() > time.Hour {
			t.Errorf("%s: says that it is %v ahead, want %v", c.name, wrong, c.wrong)
		}
		if got := p.set.Time(now.Add(clockFor+time.Second)).Sub(now) - clockFor; (got - c.offset).Abs() > time.Hour {
			t.Errorf("%s: when nobody has told the time for long: %v, want its own %v", c.name, got, c.offset)
		}
	}
}

// An admin by a wrong clock signs what the others believe, once it has met two of them.
func TestAnAdminByAWrongClockSignsWithTheNetworksTime(t *testing.T) {
	for _, offset := range []time.Duration{100 * 24 * time.Hour, -30 * 24 * time.Hour} {
		p := newParty(t, 4)
		q, r := p.another("boston", nil), p.another("cambridge", nil)
		out := p.another("walden", nil)
		p.share(q, r, out)
		now := start.Add(time.Minute)
		_ = p.set.Step(now, Clock{Offset: offset})
		exchangeOfClocks(p.set, now, map[wire.NodeID]time.Duration{q.id.ID(): 0, r.id.ID(): 0})
		lock := p.lock()
		invited := ok(t, func() ([]Item, error) { return p.registrar.Invite(now, lock, Offer{TTL: time.Hour}) })
		_ = p.set.Step(now, Learn{invited})
		id := p.identity()
		_, signed, err := p.registrar.Admit(now, p.set.Invitation(lock.ID), Applicant{id.WireGuard(), id.Signing(), "newcomer"})
		if err != nil {
			t.Fatalf("offset %v: %v", offset, err)
		}
		revoked := ok(t, func() ([]Item, error) { return p.registrar.Revoke(now, out.id.ID(), false) })
		for name, items := range map[string][]Item{"invitation": invited, "certificate": signed, "revocation": revoked} {
			if err := q.set.Step(now, Learn{items}); err != nil {
				t.Errorf("offset %v: the %s is refused: %v", offset, name, err)
			}
		}
	}
}

// Of an expired member nothing but time is missing: the next admin renews it.
func TestExpiredMembersAreRenewed(t *testing.T) {
	p := newParty(t, 5)
	q := p.another("boston", nil)
	at := start.Add(Validity + 90*24*time.Hour) // the only admin was off for so long
	_ = q.set.Step(at, Tick{})                  // it signs its record anew, as it does each day
	record := q.set.Own()
	if record.Sequence < micros(at) {
		t.Fatal("an expired member does not sign any more")
	}
	if err := p.set.Step(at, learnRecord(record.raw)); err != nil {
		t.Fatalf("the record of an expired member is refused: %v", err)
	}
	tick(t, p.set, at)
	since := make(map[wire.NodeID]time.Time)
	items := p.registrar.Attend(at.Add(time.Minute), since)
	if err := q.set.Step(at.Add(time.Minute), Learn{items}); err != nil {
		t.Fatal(err)
	}
	if c := q.set.Certificate(); !c.ValidAt(at.Add(24 * time.Hour)) {
		t.Errorf("its certificate ends %v", c.NotAfter)
	}
}

// A revocation outlasts whatever it speaks of, also where all clocks run on: a node that was revoked or left never comes
// back because its revocation was forgotten before its certificate.
func TestRevocationsOutlastCertificates(t *testing.T) {
	for _, leave := range []bool{true, false} {
		p := newParty(t, 6)
		q := p.another("boston", nil)
		p.share(q)
		by := p.registrar.Revoke
		if leave {
			by = func(now time.Time, _ wire.NodeID, _ bool) ([]Item, error) { return q.registrar.Leave(now) }
		}
		record := q.set.Own()
		p.learn(p.set, Learn{ok(t, func() ([]Item, error) { return by(start, q.id.ID(), false) })})
		back := time.Duration(0)
		for d := time.Duration(0); d < 12*365*24*time.Hour && back == 0; d += 15 * 24 * time.Hour {
			at := start.Add(d)
			for range 2 {
				_ = p.set.Step(at, learnRecord(p.recordAt(at).raw))
			}
			p.set.expire(at)
			_ = p.set.Step(at, learnRecord(record.raw))
			if _, known := p.set.Get(q.id.ID()); known {
				back = d
			}
		}
		if back != 0 {
			t.Errorf("left %v: the node is back after %v", leave, back)
		}
	}
}

// A certificate that nobody renewed for long makes no member any more: not one that is known, nor one that comes back.
func TestLapsedCertificatesAreRefused(t *testing.T) {
	w, s, _, _ := lone(t)
	id, r := w.record("boston", 1, Statement{})
	at := start.Add(Validity + Lapse + time.Hour)
	witnesses(w, s, at, 2)
	if err := s.Step(at, learnRecord(r.raw)); !errors.Is(err, ErrExpired) {
		t.Errorf("%v, want ErrExpired", err)
	}
	if _, known := s.Get(id.ID()); known {
		t.Error("it is a member")
	}
}
