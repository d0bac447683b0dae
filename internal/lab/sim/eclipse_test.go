package sim

import (
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	"overlayd/internal/member"
	"overlayd/internal/node"
	"overlayd/internal/wire"
)

// siege is a victim in a crowd of which a part is hostile: those contact it again and again, from many addresses, and
// send it, and pass through others, as much as they can.
type siege struct {
	*crowd
	victim  *Host
	hostile map[wire.NodeID]*Host
}

const hostileShare = 0.3

func lay(t testing.TB, seed uint64, count int) *siege {
	s := &siege{crowd: gather(t, seed, count), hostile: make(map[wire.NodeID]*Host)}
	s.victim = s.hosts[crowdAdmins]
	for _, h := range s.hosts[crowdAdmins+1:] {
		if s.rng.Float64() < hostileShare*float64(count)/float64(count-crowdAdmins-1) {
			s.hostile[h.ID] = h
		}
	}
	s.Census.Slack = 64
	return s
}

// attack makes every hostile host contact the victim as often as it can: it moves, and wakes its contact with it, again
// and again.
func (s *siege) attack(every time.Duration) {
	for i, id := range slices.SortedFunc(maps.Keys(s.hostile), wire.NodeID.Compare) {
		h, port := s.hostile[id], uint16(0)
		s.After(time.Duration(i)*every/time.Duration(len(s.hostile)), func() {
			s.Every(every, func() bool {
				port++
				h.Send(s.victim)
				for _, d := range h.recent { // what it has just sent, from another address of its own
					d.from = netip.AddrPortFrom(h.address.Addr(), 1024+port%40000)
					s.send(d)
				}
				h.recent = h.recent[:0]
				return true
			})
		})
	}
	for _, h := range s.hostile {
		h.record = s.victim.address
	}
}

// A node whose neighbours are hostile in a third keeps those that it has picked, and hears from the honest ones.
func TestACrowdOfHostileMembersDoesNotSurroundANode(t *testing.T) {
	t.Parallel()
	s := lay(t, 3, min(300, crowdSize()))
	defer s.replay("TestACrowdOfHostileMembersDoesNotSurroundANode")
	s.Run(10 * time.Second)
	before := s.victim.Core.Picks()
	s.attack(time.Second)
	s.Run(10 * time.Second)
	after := s.victim.Core.Picks()
	kept := slices.DeleteFunc(slices.Clone(before), func(id wire.NodeID) bool { return !slices.Contains(after, id) })
	honest, others := 0, 0
	for _, h := range s.hosts {
		switch {
		case !s.victim.Core.InContact(h.ID):
		case s.hostile[h.ID] == nil:
			honest++
		default:
			others++
		}
	}
	_, guests := s.victim.Core.Bounds()
	t.Logf("of %d hostile members %d are contacts of the victim, of %d honest ones %d; it keeps %d of the %d that it picked; "+
		"room for %d guests", len(s.hostile), others, len(s.hosts)-len(s.hostile)-1, honest, len(kept), len(before), guests)
	if len(kept) < len(before) {
		t.Errorf("seed %d: the victim keeps %d of the %d contacts that it had picked", s.Seed, len(kept), len(before))
	}
	if picked, all := s.victim.Core.Contacts(); all > guests+len(s.hostile) || picked != len(before) {
		t.Errorf("seed %d: %d picked and %d other contacts", s.Seed, picked, all)
	}
	n := s.move(s.hosts[crowdAdmins+2])
	s.Run(5 * time.Second)
	if slices.Contains(n.wait, s.victim) {
		t.Errorf("seed %d: the victim does not learn news within 5 s", s.Seed)
	}
}

// A member that floods another one with control messages, and with records of its own, costs the others little.
func TestAFloodOfOneMemberCostsOthersABoundedShare(t *testing.T) {
	t.Parallel()
	s := lay(t, 4, 100)
	defer s.replay("TestAFloodOfOneMemberCostsOthersABoundedShare")
	s.Run(10 * time.Second)
	flooder := s.hosts[50]
	sent := func() (all, by uint64) {
		for _, h := range s.hosts {
			all += h.Frames
		}
		return all - flooder.Frames, flooder.Frames
	}
	const period = 20 * time.Second
	measure := func() (others, own uint64) {
		a, b := sent()
		s.Run(period)
		others, own = sent()
		return others - a, own - b
	}
	quiet, _ := measure()
	sequence := uint64(flooder.now().UnixMicro())
	s.Every(5*time.Millisecond, func() bool { // a new record each time, as fast as neighbours take them from one
		sequence += 1000
		r, err := member.SignRecord(flooder.cfg.Identity, flooder.cfg.Certificate, sequence, member.Statement{
			Endpoints: []netip.AddrPort{flooder.address},
		})
		must(err)
		s.Census.sign(member.Item{Kind: member.KindRecord, Raw: r.Raw()})
		must(flooder.Core.Members().Step(flooder.now(), member.Learn{
			Items: []member.Item{{Kind: member.KindRecord, Raw: r.Raw()}},
		}))
		for range 5 { // and as many pings by hand
			flooder.Do(func(c *node.Core, now time.Time) error {
				_, _ = c.Ping(now, s.victim.ID, nil, false) // as far as the API lets it
				return nil
			})
		}
		return true
	})
	loud, own := measure()
	t.Logf("in %v the others send %d frames, and %d while one of them sends %d", period, quiet, loud, own)
	extra := (float64(loud) - float64(quiet)) / period.Seconds() / float64(len(s.hosts)-1)
	t.Logf("each of the others sends %.1f frames a second more", extra)
	if extra > 100 {
		t.Errorf("seed %d: each of the others sends %.1f frames a second more", s.Seed, extra)
	}
}
