package member

import (
	"math/rand/v2"
	"testing"
	"time"
)

// party is a founder, or another member, and what it signs with.
type party struct {
	*world
	id        Identity
	set       *Set
	registrar *Registrar
}

func newParty(t testing.TB, seed uint64) *party {
	w := newWorld(t, seed)
	p := &party{world: w, id: w.identity()}
	cert := ok(t, func() (*Certificate, error) { return Found(w.root, w.net, p.id, "founder", start) })
	p.set = NewSet(w.net, p.id, cert, rand.New(seeded(seed)))
	p.learn(p.set, Publish{Statement{Endpoints: endpoints("192.0.2.1:51871")}})
	p.registrar = NewRegistrar(p.set, p.id, w.root)
	return p
}

// another is one more member of the same network, which knows all that the first one does.
func (p *party) another(name string, adjust func(*Certificate)) *party {
	p.Helper()
	q := &party{world: p.world, id: p.identity()}
	q.set = NewSet(p.net, q.id, p.enrol(q.id, name, adjust), rand.New(seeded(77)))
	q.learn(q.set, Load{p.set.Stored()})
	q.learn(q.set, Publish{})
	q.registrar = NewRegistrar(q.set, q.id, nil)
	p.share(q)
	return q
}

// share lets every member know all that the others do.
func (p *party) share(others ...*party) {
	all := append([]*party{p}, others...)
	for range 2 {
		for _, a := range all {
			var items []Item
			for _, raw := range a.set.Stored() {
				items = append(items, ok(p, func() (Item, error) { return ParseStored(raw) }))
			}
			for _, b := range all {
				_ = b.set.Step(start, Learn{items})
			}
		}
	}
}

func (p *party) learn(s *Set, in Input) {
	p.Helper()
	if err := s.Step(start, in); err != nil {
		p.Fatal(err)
	}
}

// lock is that of a token that nobody has.
func (w *world) lock() Lock {
	w.Helper()
	var l Lock
	for _, b := range [][]byte{l.ID[:], l.Key[:], l.Public[:]} {
		_, _ = w.random.Read(b)
	}
	return l
}

// invites has a node invite, for an hour if the offer does not say how long.
func (p *party) invites(o Offer) *Invitation {
	p.Helper()
	if o.TTL == 0 {
		o.TTL = time.Hour
	}
	lock := p.lock()
	p.learn(p.set, Learn{ok(p, func() ([]Item, error) { return p.registrar.Invite(start, lock, o) })})
	return p.set.Invitation(lock.ID)
}

// admits has a node let in who has the identity.
func (p *party) admits(i *Invitation, id Identity, name string) (*Certificate, error) {
	p.Helper()
	c, signed, err := p.registrar.Admit(start, i, Applicant{WireGuard: id.WireGuard(), Signing: id.Signing(), Name: name})
	if err == nil {
		p.learn(p.set, Learn{signed})
	}
	return c, err
}
