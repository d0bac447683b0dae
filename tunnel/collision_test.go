package tunnel

import (
	"bytes"
	"testing"
	"time"

	"golang.zx2c4.com/wireguard/device"

	"overlayd/internal/wire"
	"overlayd/tunnel/fwd"
)

func TestOfTwoInitiationsThatCrossOneWins(t *testing.T) {
	const remote = 2
	initiation := make([]byte, maxHandshakeLen)
	initiation[0] = wire.WireGuardInitiation
	response := []byte{wire.WireGuardResponse, 0, 0, 0}
	for _, c := range []struct {
		name         string
		ours, theirs byte // the keys
		age          time.Duration
		waiting      bool // ours has not been sent yet, or the peer's has taken its place
		session      bool // has begun since
		frame        []byte
		want         bool
	}{
		{name: "ours wins", ours: 1, theirs: 2, frame: initiation, want: true},
		{name: "theirs wins", ours: 2, theirs: 1, frame: initiation},
		{name: "ours is old", ours: 1, theirs: 2, age: 2 * collisionFor, frame: initiation},
		{name: "ours waits for a path", ours: 1, theirs: 2, waiting: true, frame: initiation},
		{name: "ours has led to a session", ours: 1, theirs: 2, session: true, frame: initiation},
		{name: "a response", ours: 1, theirs: 2, frame: response},
	} {
		now := wire.Stamp(time.Hour)
		p := &Plane{clock: func() wire.Stamp { return now }, public: [32]byte{c.ours}}
		p.peers.init()
		to := p.live(wire.NodeID{remote}, [32]byte{c.theirs})
		direct := &fwd.Path{Peer: to.id}
		if p.unwanted(direct, c.frame) {
			t.Errorf("%s: collides before we sent anything", c.name)
		}
		now += wire.Stamp(copiesFor) // else what comes is a copy
		k := &to.handshake.kept[0]
		k.sent, k.repeats = now-wire.Stamp(c.age), repeats
		if c.waiting {
			k.repeats = 0
		}
		if c.session {
			to.session.index.Store(7)
		}
		if got := p.unwanted(direct, c.frame); got != c.want {
			t.Errorf("%s: collides %v, want %v", c.name, got, c.want)
		}
	}
}

func TestWireGuardGetsNoCopyOfAHandshakeMessage(t *testing.T) {
	begin := wire.Stamp(time.Hour)
	first, second := make([]byte, device.MessageInitiationSize), make([]byte, device.MessageInitiationSize)
	first[8], second[8] = 1, 2 // the first byte of the ephemeral key
	var l lastMessage
	for i, c := range []struct {
		initiation []byte
		after      time.Duration
		want       bool
	}{
		{first, 0, false},
		{first, 0, true},
		{first, copiesFor - 1, true},
		{second, copiesFor - 1, false},
		{second, copiesFor, true},
		{second, 2*copiesFor - 1, false}, // long since answered: WireGuard's time stamps refuse it
	} {
		if got := l.copied(c.initiation, begin+wire.Stamp(c.after)); got != c.want {
			t.Errorf("initiation %d: copied %v, want %v", i, got, c.want)
		}
	}
}

func TestOfAnInitiationThatComesOnTwoPathsOneIsTaken(t *testing.T) {
	a, b := newSite(t, 1), newSite(t, 2)
	for _, ends := range [][2]*site{{a, b}, {b, a}} {
		if err := ends[0].plane.AddPeer(ends[1].id, ends[1].public, nil); err != nil {
			t.Fatal(err)
		}
	}
	initiation := func() []byte { // kept, for b has no path
		to := b.plane.need(b.plane.peers.view.Load().peer(a.id))
		if err := b.plane.Renew(a.id); err != nil {
			t.Fatal(err)
		}
		to.handshake.mu.Lock()
		defer to.handshake.mu.Unlock()
		return bytes.Clone(to.handshake.kept[0].data[:to.handshake.kept[0].length])
	}()
	forged := bytes.Clone(initiation)
	forged[len(forged)-32] ^= 1 // its first MAC
	from := a.plane.peers.view.Load().peer(b.id)
	now := wire.Stamp(time.Hour)
	a.plane.clock = func() wire.Stamp { return now }
	if a.plane.begun(from, forged) != nil {
		t.Error("a forged initiation made a peer")
	}
	if a.plane.begun(from, initiation) == nil {
		t.Error("a forged initiation kept out the genuine one")
	}
	if a.plane.begun(from, initiation) != nil {
		t.Error("the second copy was taken")
	}
}
