package tunnel

import (
	"bytes"
	"testing"
	"time"

	"overlayd/internal/wire"
)

// initiationTo is a new initiation of a site for another one, to which it has no path.
func (s *site) initiationTo(to *site) []byte {
	s.t.Helper()
	nextStamp(s.t)
	if err := s.plane.Forget(to.id); err != nil {
		s.t.Fatal(err)
	}
	if err := s.plane.Renew(to.id); err != nil {
		s.t.Fatal(err)
	}
	h := &s.plane.peers.view.Load().peer(to.id).live.Load().handshake
	h.mu.Lock()
	defer h.mu.Unlock()
	return bytes.Clone(h.kept[0].data[:h.kept[0].length])
}

// strangers are two sites that know each other and have no path.
func strangers(t testing.TB) (a, b *site, fromB *registration) {
	a, b = newSite(t, 1), newSite(t, 2)
	for _, ends := range [][2]*site{{a, b}, {b, a}} {
		if err := ends[0].plane.AddPeer(ends[1].id, ends[1].public, nil); err != nil {
			t.Fatal(err)
		}
	}
	now := wire.Stamp(time.Hour)
	a.plane.clock = func() wire.Stamp { // no message comes within moments of another
		now += wire.Stamp(time.Second)
		return now
	}
	return a, b, a.plane.peers.view.Load().peer(b.id)
}

// The peer of wireguard-go, which remembers time stamps, is dropped after five idle minutes. What was recorded before does
// not bring it back.
func TestARecordedInitiationIsRefusedAfterTheIdlePeerIsDropped(t *testing.T) {
	a, b, fromB := strangers(t)
	recorded := b.initiationTo(a)
	if a.plane.begun(fromB, recorded) == nil {
		t.Fatal("an initiation was refused")
	}
	a.plane.sweep(a.plane.clock())
	a.plane.sweep(a.plane.clock() + wire.Stamp(idleFor))
	a.expectDevicePeers(0)
	if a.plane.begun(fromB, recorded) != nil {
		t.Error("a recorded initiation made a peer")
	}
	a.expectDevicePeers(0)
	if a.plane.begun(fromB, b.initiationTo(a)) == nil {
		t.Error("the next initiation was refused")
	}
}

// A clock that goes back makes older time stamps. They count once the control plane has made sure that they are new.
func TestAnInitiationByAClockThatWentBackCountsAfterForget(t *testing.T) {
	a, b, fromB := strangers(t)
	behind := b.initiationTo(a)
	ahead := b.initiationTo(a)
	if a.plane.begun(fromB, ahead) == nil {
		t.Fatal("an initiation was refused")
	}
	if a.plane.begun(fromB, behind) != nil {
		t.Error("an earlier time stamp counts")
	}
	if err := a.plane.Forget(b.id); err != nil {
		t.Fatal(err)
	}
	a.expectDevicePeers(0)
	if a.plane.begun(fromB, behind) == nil {
		t.Error("after Forget an earlier time stamp does not count")
	}
	if a.plane.begun(fromB, behind) != nil {
		t.Error("it counts twice")
	}
}

// Whoever repeats what a member sent costs two public-key operations now and then.
func TestFewInitiationsOfAMemberAreOpened(t *testing.T) {
	a, b, fromB := strangers(t)
	a.plane.clock = func() wire.Stamp { return wire.Stamp(time.Hour) }
	first := b.initiationTo(a)
	opened := 0
	for range 100 {
		if fromB.replay.look(a.plane, fromB.public, first) != unopened {
			opened++
		}
	}
	if opened != opensAtOnce {
		t.Errorf("%d initiations were opened at once, want %d", opened, opensAtOnce)
	}
}

func TestForgetLetsASessionBeginAnew(t *testing.T) {
	a, b, _, _ := connected(t)
	a.sendTo(b, 0, 1, 100)
	b.expect(0, 1)
	for _, s := range []*site{a, b} {
		if err := s.plane.Forget(map[*site]wire.NodeID{a: b.id, b: a.id}[s]); err != nil {
			t.Fatal(err)
		}
		s.expectDevicePeers(0)
	}
	nextStamp(t)
	b.sendTo(a, 1, 1, 100)
	a.expect(1, 1)
	if err := a.plane.Forget(wire.NodeID{99}); err != nil {
		t.Error(err)
	}
}
