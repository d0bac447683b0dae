package node

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"overlayd/internal/member"
	"overlayd/internal/wire"
	"overlayd/pathselect"
)

// The table that is made of the last one is the same as one that is made from nothing, whatever peers come, go, and
// take addresses from each other.
func TestTableFollowsEveryPeer(t *testing.T) {
	for seed := range uint64(20) {
		c, ids := coreAmong(t, 12)
		rng := rand.New(rand.NewPCG(seed, 0))
		now := epoch0
		for step := range 200 {
			now = now.Add(time.Millisecond)
			id := ids[rng.IntN(len(ids))]
			switch p := c.peers[id]; {
			case p == nil:
				c.contact(now, id)
			case rng.IntN(8) == 0:
				c.lose(now, p)
			default:
				if q := c.addDirect(now, p, netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(rng.IntN(20))}), 1)); q != nil {
					q.heard = true
					c.outdate(p)
				}
			}
			got := c.table(now)
			c.tabled.last = nil
			if want := c.table(now); !reflect.DeepEqual(got, want) {
				t.Fatalf("seed %d, step %d:\n%+v\nwant\n%+v", seed, step, got, want)
			}
		}
	}
}

// coreAmong is a core that has just loaded the records of so many other members.
func coreAmong(t testing.TB, others int) (*Core, []wire.NodeID) {
	t.Helper()
	cfg, stored, ids := among(t, others)
	core, err := NewCore(epoch0, cfg, stored)
	check(t, err)
	return core, ids
}

// among is what such a core is made from.
func among(t testing.TB, others int) (cfg CoreConfig, stored [][]byte, ids []wire.NodeID) {
	t.Helper()
	random := rand.NewChaCha8([32]byte{1})
	root, err := member.NewRootKey(random)
	check(t, err)
	network, err := member.NewNetwork(root, "test", netip.MustParsePrefix("10.71.0.0/16"), epoch0)
	check(t, err)
	for i := range others + 1 {
		id := identity(t, random)
		cert, err := member.Authority{Network: network, Root: root}.Issue(member.Certificate{
			WireGuard: id.WireGuard(), Signing: id.Signing(), Name: fmt.Sprintf("node-%d", i),
			IPv4: netip.AddrFrom4([4]byte{10, 71, byte((i + 1) >> 8), byte(i + 1)}), Capabilities: member.Relay,
			NotBefore: epoch0, NotAfter: epoch0.Add(member.Validity), Serial: uint64(i + 1),
		}, epoch0)
		check(t, err)
		if i == 0 {
			cfg = CoreConfig{
				Network: network, Identity: id, Certificate: cert, Epoch: 1000, Algorithm: pathselect.Balanced(), Secret: random,
				Sockets: []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:51871")},
			}
			continue
		}
		address := netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)}), 51871)
		record, err := member.SignRecord(id, cert, 1, member.Statement{Endpoints: []netip.AddrPort{address}})
		check(t, err)
		ids = append(ids, id.ID())
		stored = append(stored, member.Item{Kind: member.KindRecord, Raw: record.Raw()}.Stored())
	}
	return cfg, stored, ids
}
