package node

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"overlayd/internal/member"
	"overlayd/internal/seal"
	"overlayd/internal/wire"
	"overlayd/pathselect"
	"overlayd/probe"
	"overlayd/tunnel/fwd"
)

// newFixtureAt is a fixture whose other member publishes these endpoints, of which it is reached at the first.
func newFixtureAt(t testing.TB, endpoints ...netip.AddrPort) *fixture {
	t.Helper()
	random := rand.NewChaCha8([32]byte{1})
	root, err := member.NewRootKey(random)
	check(t, err)
	network, err := member.NewNetwork(root, "test", netip.MustParsePrefix("10.71.0.0/16"), epoch0)
	check(t, err)
	self, other := identity(t, random), identity(t, random)
	authority := member.Authority{Network: network, Root: root}
	selfCert, otherCert := issue(t, authority, self, "belmont", 1), issue(t, authority, other, "boston", 2)
	record, err := member.SignRecord(other, otherCert, 1, member.Statement{Endpoints: endpoints})
	check(t, err)
	core, err := NewCore(epoch0, CoreConfig{
		Network: network, Identity: self, Certificate: selfCert, Root: root, Epoch: 1000,
		Sockets:   []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:51871")},
		Algorithm: pathselect.Balanced(), Secret: random,
	}, [][]byte{member.Item{Kind: member.KindRecord, Raw: record.Raw()}.Stored()})
	check(t, err)
	private, _ := other.PrivateKeys()
	box, err := seal.New(other.ID(), network.ID, private, 2000, random)
	check(t, err)
	box.AddPeer(self.ID(), self.WireGuard())
	f := &fixture{
		t: t, now: epoch0, core: core, network: network, other: other, box: box, address: endpoints[0],
	}
	f.meet()
	return f
}

// A member publishes a victim's address beside its own, answers its own probes, and answers those to the victim too, from
// what it knows of its own: number, time and nonce. It reports them as heard, and the victim's path as full of data.
func TestNothingIsSentToAnAddressThatNeverEchoedAProbe(t *testing.T) {
	real, victim := netip.MustParseAddrPort("198.51.100.2:51871"), netip.MustParseAddrPort("203.0.113.80:53")
	f := newFixtureAt(t, real, victim)
	p := f.core.peers[f.other.ID()]
	toVictim, toReal := 0, 0
	pong := func(ping wire.Ping) {
		answer := wire.Pong{Path: ping.Path, Seq: ping.Seq, Nonce: ping.Nonce, Sent: ping.Sent, Received: 5, Replied: 5}
		if q := p.byEndpoint(0, victim); q != nil {
			answer.Reports = []wire.Report{{
				Path: q.id, LastSeq: ping.Seq, Probes: ping.Seq, Echo: ping.Nonce, Data: ping.Seq, Bytes: 1000 * ping.Seq,
			}}
		}
		f.control(wire.KindPong, answer.Append(nil))
	}
	for i := range 6000 {
		if i%100 == 0 {
			f.step(Wake{Peer: p.id})
		}
		f.run(10 * time.Millisecond)
		for _, out := range f.drain() {
			switch out := out.(type) {
			case Publish:
				for _, way := range out.Table.Routes[p.id].Ways {
					for _, path := range []netip.AddrPort{hopOf(way.Primary), hopOf(way.Duplicate)} {
						if path == victim {
							t.Fatal("data goes to an address that never echoed a probe")
						}
					}
				}
			case Send:
				if out.Hop.Addr == victim {
					toVictim++
					continue
				}
				fr, err := f.box.Open(out.Frame)
				if err != nil || fr.Kind != wire.KindPing {
					continue
				}
				ping, err := wire.ParsePing(fr.Body)
				check(t, err)
				toReal++
				pong(ping)
				for d := range wire.PathID(4) {
					forged := ping
					forged.Path += d - 2
					pong(forged)
				}
			}
		}
		if q := p.byEndpoint(0, victim); q != nil && p.state(q.id) != probe.Candidate {
			t.Fatalf("the path to the victim is %s", p.state(q.id))
		}
	}
	if q := p.byEndpoint(0, real); q == nil || p.state(q.id) != probe.Up || toReal < 300 {
		t.Errorf("the member is not reached where it is: %d probes", toReal)
	}
	if toVictim > 100 {
		t.Errorf("%d probes to the victim in a minute", toVictim)
	}
	t.Logf("%d probes to the member, %d to the victim", toReal, toVictim)
}

func hopOf(path *fwd.Path) netip.AddrPort {
	if path == nil {
		return netip.AddrPort{}
	}
	return path.Hop.Addr
}
