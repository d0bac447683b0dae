package member

import (
	"fmt"
	"testing"
	"time"

	"overlayd/internal/wire"
)

// rogue is an admin that does whatever its key allows, and tries what it does not.
type rogue struct {
	*life
	node *simNode
	old  []Item
	all  map[wire.NodeID]bool // whom it invented
}

func (r *rogue) authority() Authority {
	return Authority{Network: r.net, Admin: r.node.id, Own: r.node.cert}
}

// certificate is one for the node with the given keys, with what it likes in it.
func (r *rogue) certificate(wireguard Key, signing []byte) (Item, bool) {
	now := r.local(r.node)
	c, err := r.authority().Issue(Certificate{
		WireGuard: wireguard, Signing: signing, Name: fmt.Sprintf("n%d", r.rand.IntN(20)),
		IPv4: r.anybody().cert.IPv4, Token: TokenID{byte(r.rand.IntN(3))}, Uses: r.rand.IntN(3), Capabilities: Relay,
		NotBefore: now.Add(-time.Duration(r.rand.IntN(3)) * 365 * day), NotAfter: now.Add(AdminValidity),
		Serial: micros(now) + uint64(r.rand.IntN(3))*uint64(time.Hour.Microseconds()),
	}, now)
	if err != nil {
		return Item{}, false
	}
	return Item{Kind: KindCertificate, Raw: c.raw}, true
}

// make is what it sends next. What the rules let an admin sign is noted as signed by one who may.
func (r *rogue) make() []Item {
	now := micros(r.local(r.node))
	victim := r.anybody()
	var list []Item
	may := true
	switch r.rand.IntN(9) {
	case 0: // contradictory verdicts with one sequence
		for range 2 {
			more, _ := signVerdict(r.net, r.node.id.signing, r.node.cert, victim.id.ID(), Out, now, r.some(r.rand.IntN(9)))
			list = append(list, more...)
		}
	case 1: // long lists, of which parts are missing
		list, _ = signVerdict(r.net, r.node.id.signing, r.node.cert, victim.id.ID(), Out, now, r.some(500))
		list = list[r.rand.IntN(3):]
	case 2: // replays
		if len(r.old) > 0 {
			list = append(list, r.old[r.rand.IntN(len(r.old))])
		}
	case 3: // certificates for others
		if it, ok := r.certificate(victim.id.WireGuard(), victim.id.Signing()); ok {
			list = append(list, it)
		}
	case 4: // for nobody, with others' keys
		id := r.identity()
		if it, ok := r.certificate(victim.id.WireGuard(), id.Signing()); ok && len(r.all) < 20 {
			r.all[NodeID(victim.id.WireGuard(), id.Signing())] = true
			list = append(list, it)
		}
	case 5: // invitations by the thousand
		for i := range 20 {
			list = append(list, signInvitation(r.net, r.node.id.signing, r.node.cert, Invitation{
				Lock: Lock{ID: TokenID{1, byte(i), byte(r.rand.IntN(100))}}, Uses: MaxUses,
				Expiry: r.now.Add(time.Duration(r.rand.IntN(60)) * day), Sequence: now + uint64(r.rand.IntN(2))<<60,
			}))
		}
	case 6: // many that it invents leave
		for range 5 {
			id := r.identity()
			it, _ := r.certificate(id.WireGuard(), id.Signing())
			c, err := r.net.checkCertificate(it.Raw)
			if err != nil {
				continue
			}
			more, _ := signVerdict(r.net, id.signing, c, id.ID(), Out, now, nil)
			list = append(list, more...)
		}
	case 7: // verdicts that it may not sign
		may = false
		rank := []Rank{Ordinary, AsAdmin}[r.rand.IntN(2)]
		list, _ = signVerdict(r.net, r.node.id.signing, r.node.cert, victim.id.ID(), rank, now, nil)
		more, _ := signVerdict(r.net, r.node.id.signing, nil, victim.id.ID(), Out, now, nil)
		list = append(list, more...)
	case 8: // records of others, settings, certificates of admins
		may = false
		own := victim.set.Record(victim.id.ID())
		if payload, err := own.Statement.payload(own.Certificate, own.Sequence+1); err == nil && victim != r.node {
			list = append(list, Item{Kind: KindRecord, Raw: seal(r.node.id.signing, contextRecord, payload)})
		}
		list = append(list, Item{Kind: KindSettings, Raw: seal(r.node.id.signing, contextSettings, r.net.payload)})
		list = append(list, Item{Kind: KindCertificate, Raw: seal(r.node.id.signing, contextCertificate, r.nodes[0].cert.payload)})
	}
	if may {
		for _, it := range list {
			if h, err := peek(it.Kind, it.Raw); err == nil {
				r.signed[h.mark()] = true
			}
		}
		r.old = append(r.old, list...)
	}
	return list
}

func (r *rogue) some(n int) (list []wire.NodeID) {
	for i := range n {
		list = append(list, wire.NodeID{byte(i), byte(i >> 8), byte(r.rand.IntN(9))})
	}
	return list
}

func TestRogueAdminDoesNothingThatTheRootCannotUndo(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			l := newLife(t, seed, 12, 3)
			l.loss, l.resting = 0, true
			l.run(5 * time.Second)
			l.settle(time.Minute)
			r := &rogue{life: l, node: l.nodes[2], all: make(map[wire.NodeID]bool)}
			for range 500 {
				list := r.make()
				for _, part := range pack(list, maxItems, func(i Item) int { return len(i.Raw) + 5 }) {
					victim := l.anybody()
					if victim == r.node {
						continue
					}
					body := message{Type: typeItems, Items: part, News: l.rand.IntN(2) == 0}.encode()
					l.step(victim, Received{From: r.node.id.ID(), Body: body})
				}
				l.run(time.Duration(l.rand.IntN(50)) * time.Millisecond)
			}
			root := l.nodes[0]
			for _, n := range l.nodes {
				for p, count := range n.set.shares {
					if p.kind == KindInvitation && count > MaxInvitations || p.kind == KindVerdict && count > maxAdminsVerdicts {
						t.Errorf("node %d has %d items of kind %d by one admin", n.n, count, p.kind)
					}
				}
				if !n.set.out(r.node.id.ID()) && n.set.IsAdmin(root.id.ID()) && n.set.out(root.id.ID()) {
					t.Error("the root's own node is out and an admin")
				}
			}
			signed, err := root.registrar.Revoke(l.local(root), r.node.id.ID(), true)
			if !l.enact(root, signed, err) {
				t.Fatal(err)
			}
			r.node.down = true
			l.run(time.Minute)
			l.settle(10 * time.Minute)
			for _, n := range l.nodes {
				_, member := root.set.Get(n.id.ID())
				if member == (n == r.node) {
					t.Errorf("node %d: member: %t", n.n, member)
				}
			}
			for _, it := range root.set.shelves[KindVerdict].items {
				if it.charged() == r.node.id.ID() && it.verdict.Target != r.node.id.ID() { // that it is out itself, it may say
					t.Error("a verdict of the struck admin is left")
				}
			}
			if n := root.set.shares[place{KindInvitation, r.node.id.ID()}]; n != 0 {
				t.Errorf("%d invitations of the struck admin are left", n)
			}
			if !root.set.IsAdmin(root.id.ID()) {
				t.Error("the root's node is no admin any more")
			}
		})
	}
}
