package node

import (
	"net/netip"
	"testing"
	"time"

	"overlayd/internal/member"
	"overlayd/internal/wire"
	"overlayd/tunnel/fwd"
)

// victims is where a hostile member would like packets to be sent.
var victims = netip.MustParsePrefix("203.0.113.0/24")

// victimAt is one of many endpoints of victims.
func victimAt(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}), uint16(1024+i/256%60000))
}

// toVictims counts the frames in the outputs that go to victims.
func toVictims(outs []Output) (n int) {
	for _, out := range outs {
		if s, ok := out.(Send); ok && victims.Contains(s.Hop.Addr.Addr()) {
			n++
		}
	}
	return n
}

// A member has many ways to name addresses that are not its own. Each of them is tried for a minute at the greatest speed.
func TestFewPacketsAreSentToAddressesThatAMemberNames(t *testing.T) {
	ways := map[string]func(f *fixture, i int){
		"tells endpoints": func(f *fixture, i int) {
			m := wire.Endpoints{Punch: true}
			for j := range wire.MaxEndpoints {
				m.List = append(m.List, victimAt(wire.MaxEndpoints*i+j))
			}
			f.control(wire.KindEndpoints, m.Append(nil))
		},
		"signs endpoints": func(f *fixture, i int) {
			st := member.Statement{}
			for j := range 8 {
				st.Endpoints = append(st.Endpoints, victimAt(8*i+j))
			}
			own, _ := f.core.members.Get(f.other.ID())
			r, err := member.SignRecord(f.other, own.Certificate, uint64(f.now.UnixMicro())+uint64(i), st)
			check(f.t, err)
			_ = f.core.members.Step(f.now, member.Learn{Items: []member.Item{{Kind: member.KindRecord, Raw: r.Raw()}}})
			f.step(Tick{})
		},
		"sends from them": func(f *fixture, i int) {
			ping := wire.Ping{Path: wire.PathID(1 + i%20), Seq: uint32(i + 1), Active: true}
			frame, err := f.box.Seal(nil, f.core.self, wire.KindPing, ping.Append(nil))
			check(f.t, err)
			f.step(Datagram{Class: wire.ClassControl, Data: frame, From: victimAt(i), At: f.now})
		},
		"asks with an old epoch from them": func(f *fixture, i int) {
			raw, err := f.box.SealHello(nil, f.core.self, 1)
			check(f.t, err)
			f.step(Datagram{Class: wire.ClassControl, Data: raw, From: victimAt(i), At: f.now})
		},
	}
	for name, way := range ways {
		f := newFixtureAt(t, netip.MustParseAddrPort("198.51.100.2:51871"))
		f.run(2 * time.Second)
		f.drain()
		sent, minute := 0, 0
		for i := range 6000 {
			f.now = f.now.Add(10 * time.Millisecond)
			if i%100 == 0 {
				f.step(Wake{Peer: f.other.ID()})
			}
			way(f, i)
			f.run(0)
			sent += toVictims(f.drain())
			if i == 99 {
				minute = sent
			}
		}
		t.Logf("a member that %s: %d packets in the first second, %d in a minute", name, minute, sent)
		if most := trialFramesAtOnce + 60*trialFrames; sent > most {
			t.Errorf("a member that %s causes %d packets in a minute, at most %d are allowed", name, sent, most)
		}
	}
}

func TestAllMembersTogetherCauseABoundedNumberOfPacketsToOthers(t *testing.T) {
	k := newCrowd(t, 300, CoreConfig{}, func(i int, _ *member.Certificate, s *member.Statement) {
		s.Endpoints = nil
		for j := range 8 {
			s.Endpoints = append(s.Endpoints, victimAt(8*i+j))
		}
	})
	sent := 0
	for range 60 {
		k.now = k.now.Add(time.Second)
		for _, o := range k.others {
			check(t, k.core.Step(k.now, Wake{Peer: o.id.ID()}))
			check(t, k.core.Step(k.now, Tick{}))
			sent += toVictims(k.core.Drain(nil))
		}
	}
	if most := trialTotalAtOnce + 60*trialTotal; sent > most || sent < trialTotalAtOnce/2 {
		t.Errorf("%d packets in a minute, at most %d are allowed", sent, most)
	}
	t.Logf("300 members that are in use, with eight foreign endpoints each: %d packets in a minute", sent)
}

// What never answered gets little of WireGuard as well: the data plane has a budget for it until something has.
func TestTheTableBoundsWhatGoesToPathsThatNeverAnswered(t *testing.T) {
	f := newFixtureAt(t, netip.MustParseAddrPort("198.51.100.2:51871"), victimAt(1))
	f.step(Wake{Peer: f.other.ID()})
	route := f.route()
	if route == nil || len(route.All) != 2 || route.Trial == nil || route.Known != 0 {
		t.Fatalf("before any answer: %+v", route)
	}
	if burst := 100 * 148; !route.Trial.Take(burst, 1) || route.Trial.Take(trialBytesAtOnce, 1) {
		t.Error("the budget is not what it should be")
	}
	f.answers()
	if route = f.route(); route == nil || len(route.All) != 1 || route.Trial != nil || route.All[0].Hop.Addr != f.address {
		t.Errorf("after an answer: %+v", route)
	}
}

// route is that of the latest table.
func (f *fixture) route() *fwd.Route { return f.core.table(f.now).Routes[f.other.ID()] }

// answers lets the other member echo the probes that reach it, for a second.
func (f *fixture) answers() {
	for range 100 {
		f.run(10 * time.Millisecond)
		for _, out := range f.drain() {
			s, ok := out.(Send)
			if !ok || s.Hop.Addr != f.address {
				continue
			}
			fr, err := f.box.Open(s.Frame)
			if err != nil || fr.Kind != wire.KindPing {
				continue
			}
			ping, err := wire.ParsePing(fr.Body)
			check(f.t, err)
			pong := wire.Pong{Path: ping.Path, Seq: ping.Seq, Nonce: ping.Nonce, Sent: ping.Sent, Received: 5, Replied: 5}
			f.control(wire.KindPong, pong.Append(nil))
		}
	}
}

// Who has recorded frames of many members repeats them from addresses of its choice. They are genuine, but not fresh.
func TestFewHellosGoAstray(t *testing.T) {
	k := newCrowd(t, 30, CoreConfig{}, nil)
	var recorded [][]byte
	for _, o := range k.others {
		frame, err := o.box.Seal(nil, k.core.self, wire.KindPing, (&wire.Ping{Path: 1, Seq: 1}).Append(nil))
		check(t, err)
		recorded = append(recorded, frame)
	}
	sent, bytes, heard := 0, 0, 0
	for i := range 10_000 {
		k.now = k.now.Add(time.Millisecond)
		in := Datagram{Class: wire.ClassControl, Data: recorded[i%len(recorded)], From: victimAt(i), At: k.now}
		check(t, k.core.Step(k.now, in))
		heard += len(in.Data)
		for _, out := range k.core.Drain(nil) {
			if s, ok := out.(Send); ok && victims.Contains(s.Hop.Addr.Addr()) {
				sent, bytes = sent+1, bytes+len(s.Frame)
			}
		}
	}
	if most := 11 * (astrayHellos + strangerHellos); sent > most || sent < most/2 {
		t.Errorf("%d hellos in ten seconds, at most %d are allowed", sent, most)
	}
	if bytes > heard {
		t.Errorf("%d bytes in answer to %d", bytes, heard)
	}
}

// The data of circuits goes to where their first relay has answered. While it has not, it goes nowhere.
func TestAnAddressThatNeverAnsweredIsNoHopOfACircuit(t *testing.T) {
	f := newFixtureAt(t, victimAt(1))
	f.step(Wake{Peer: f.other.ID()})
	f.run(2 * time.Second)
	if len(f.core.peers[f.other.ID()].paths) == 0 {
		t.Fatal("the address is not tried")
	}
	if hop := f.core.hopTo(f.now, f.other.ID(), 7); hop.Addr.IsValid() {
		t.Errorf("data behind a label goes to %v", hop.Addr)
	}
	f.meet()
	f.step(Wake{Peer: f.other.ID()})
	for range 50 {
		f.now = f.now.Add(50 * time.Millisecond)
		f.step(Tick{})
		for _, out := range f.drain() {
			if s, ok := out.(Send); ok {
				f.answer(s)
			}
		}
	}
	if hop := f.core.hopTo(f.now, f.other.ID(), 7); hop.Addr != victimAt(1) {
		t.Errorf("it goes to %v once that has answered", hop.Addr)
	}
}
