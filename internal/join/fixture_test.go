package join

import (
	"crypto/ed25519"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"overlayd/internal/member"
	"overlayd/internal/wire"
)

// start is the time at which tests begin.
var start = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// seeded is a repeatable source of bytes for keys.
func seeded(seed uint64) *rand.ChaCha8 {
	var s [32]byte
	for i := range 8 {
		s[i] = byte(seed >> (8 * i))
	}
	return rand.NewChaCha8(s)
}

func ok[T any](t testing.TB, f func() (T, error)) T {
	t.Helper()
	v, err := f()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func endpoints(list ...string) []netip.AddrPort {
	var out []netip.AddrPort
	for _, s := range list {
		out = append(out, netip.MustParseAddrPort(s))
	}
	return out
}

// world is a network with its root key.
type world struct {
	testing.TB
	random *rand.ChaCha8
	root   ed25519.PrivateKey
	net    *member.Network
	count  int
}

func newWorld(t testing.TB, seed uint64) *world {
	t.Helper()
	w := &world{TB: t, random: seeded(seed)}
	w.root = ok(t, func() (ed25519.PrivateKey, error) { return member.NewRootKey(w.random) })
	w.net = ok(t, func() (*member.Network, error) {
		return member.NewNetwork(w.root, "test", netip.MustParsePrefix(member.DefaultPrefix), start)
	})
	return w
}

func (w *world) identity() member.Identity {
	return ok(w, func() (member.Identity, error) { return member.NewIdentity(w.random) })
}

// enrol issues a certificate by the root, with more capabilities.
func (w *world) enrol(id member.Identity, name string, more member.Capabilities) *member.Certificate {
	w.Helper()
	w.count++
	return ok(w, func() (*member.Certificate, error) {
		return member.Authority{Network: w.net, Root: w.root}.Issue(member.Certificate{
			WireGuard: id.WireGuard(), Signing: id.Signing(), Name: name,
			IPv4:         netip.AddrFrom4([4]byte{10, 71, 99, byte(w.count)}),
			Capabilities: member.Relay | more, NotBefore: start, NotAfter: start.Add(member.Validity), Serial: uint64(w.count),
		}, start)
	})
}

// party is a founder, and perhaps other members, at whose doors newcomers knock.
type party struct {
	*world
	id        member.Identity
	set       *member.Set
	registrar *member.Registrar
	door      *Door
}

func newParty(t testing.TB, seed uint64) *party {
	w := newWorld(t, seed)
	p := &party{world: w, id: w.identity()}
	cert := ok(t, func() (*member.Certificate, error) { return member.Found(w.root, w.net, p.id, "founder", start) })
	p.set = member.NewSet(w.net, p.id, cert, rand.New(seeded(seed)))
	p.learn(p.set, member.Publish{Statement: member.Statement{Endpoints: endpoints("192.0.2.1:51871")}})
	p.registrar = member.NewRegistrar(p.set, p.id, w.root)
	p.door = NewDoor(p.set, p.registrar, w.random, "v1.0")
	return p
}

// another is one more member of the same network, which knows all that the first one does.
func (p *party) another(name string, more member.Capabilities) *party {
	p.Helper()
	q := &party{world: p.world, id: p.identity()}
	q.set = member.NewSet(p.net, q.id, p.enrol(q.id, name, more), rand.New(seeded(77)))
	q.learn(q.set, member.Load{Items: p.set.Stored()})
	q.learn(q.set, member.Publish{})
	q.registrar = member.NewRegistrar(q.set, q.id, nil)
	q.door = NewDoor(q.set, q.registrar, p.random, "v1.0")
	p.share(q)
	return q
}

// share lets every member know all that the others do.
func (p *party) share(others ...*party) {
	all := append([]*party{p}, others...)
	for range 2 {
		for _, a := range all {
			var items []member.Item
			for _, raw := range a.set.Stored() {
				items = append(items, ok(p, func() (member.Item, error) { return member.ParseStored(raw) }))
			}
			for _, b := range all {
				_ = b.set.Step(start, member.Learn{Items: items})
			}
		}
	}
}

func (p *party) learn(s *member.Set, in member.Input) {
	p.Helper()
	if err := s.Step(start, in); err != nil {
		p.Fatal(err)
	}
}

func (p *party) token(o member.Offer) Token {
	p.Helper()
	if o.TTL == 0 {
		o.TTL = time.Hour
	}
	text, signed, err := Invite(start, p.registrar, p.random, o, []string{"192.0.2.1:51871"})
	if err != nil {
		p.Fatal(err)
	}
	p.learn(p.set, member.Learn{Items: signed})
	return ok(p, func() (Token, error) { return ParseToken(text) })
}

// knock carries one request to the door and its answer back, by way of the admin if the door passes it on.
func (p *party) knock(now time.Time, admin *party, frame []byte) ([]byte, error) {
	from := netip.MustParseAddrPort("198.51.100.1:4000")
	var admins []wire.NodeID
	if admin != nil {
		admins = append(admins, admin.id.ID())
	}
	a, err := p.door.Receive(now, from, "back", frame, admins)
	for err == nil && !a.To.IsZero() {
		at := admin
		if a.To == p.id.ID() {
			at = p
		}
		if len(a.Body) > wire.MaxBodyLen {
			p.Fatalf("a body of %d bytes", len(a.Body))
		}
		p.learn(at.set, member.Learn{Items: a.Learn})
		from := p
		if at == p {
			from = admin
		}
		a, err = at.door.Passed(now, from.id.ID(), a.Body)
		if a.Learn != nil {
			p.learn(at.set, member.Learn{Items: a.Learn})
			a.Learn = nil
		}
	}
	if err != nil {
		return nil, err
	}
	if a.Back != "back" {
		p.Fatalf("the answer goes to %v", a.Back)
	}
	if err := p.set.Step(now, member.Learn{Items: a.Learn}); err != nil {
		p.Fatal(err)
	}
	return a.Frame, nil
}

// join runs a whole join at this door over a network that loses the frames that lose tells it to.
func (p *party) join(now time.Time, admin *party, tok Token, id member.Identity, name string, lose func() bool) (Joined, error) {
	p.Helper()
	j, err := NewJoiner(now, tok, endpoints("192.0.2.1:51871", "192.0.2.2:51871"), id, name, p.random)
	if err != nil {
		return Joined{}, err
	}
	for {
		for _, out := range j.Drain(nil) {
			switch out := out.(type) {
			case Joined:
				return out, nil
			case Failed:
				return Joined{}, out.Err
			case Transmit:
				if wire.Classify(out.Frame) != wire.ClassJoin {
					p.Fatal("a join frame is not of class join")
				}
				if lose() {
					continue
				}
				reply, err := p.knock(now, admin, out.Frame)
				if len(reply) > len(out.Frame) {
					p.Fatalf("reply of %d bytes to a request of %d", len(reply), len(out.Frame))
				}
				if err == nil && !lose() {
					_ = j.Step(now, Heard{From: out.To, Frame: reply}) // the second copy is of an old part
				}
			}
		}
		if at, ok := j.NextDeadline(); ok {
			now = at
			if err := j.Step(now, Tick{}); err != nil {
				p.Fatal(err)
			}
		}
	}
}

func never() bool { return false }

// issued is the certificate that a node was issued and does not use yet, or nil.
func (p *party) issued(id member.Identity) *member.Certificate {
	p.Helper()
	for _, raw := range p.set.Stored() {
		it := ok(p, func() (member.Item, error) { return member.ParseStored(raw) })
		if it.Kind != member.KindCertificate {
			continue
		}
		if c, err := p.net.VerifyCertificate(it.Raw, start); err == nil && c.Node == id.ID() {
			return c
		}
	}
	return nil
}
