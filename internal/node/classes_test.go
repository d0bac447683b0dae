package node

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"overlayd/config"
	"overlayd/internal/wire"
	"overlayd/tunnel/classes"
)

func TestARuleCountsOnceItsPeerIsKnown(t *testing.T) {
	list := []config.ClassRule{
		{Class: wire.Bulk, Ports: []config.PortRange{{First: 873, Last: 874}}, Peer: "boston"},
		{
			Class: wire.Critical, DSCP: []uint8{46}, Protocols: []uint8{17},
			Networks: []netip.Prefix{netip.MustParsePrefix("10.2.0.0/16")},
		},
	}
	boston := wire.NodeID{7}
	anybody := classes.Rule{Class: wire.Critical, DSCP: []uint8{46}, Protocols: []uint8{17}, Networks: list[1].Networks}
	there := classes.Rule{Class: wire.Bulk, Ports: []classes.Ports{{First: 873, Last: 874}}, Peer: boston}
	for _, c := range []struct {
		name    string
		members map[string]wire.NodeID
		rules   []classes.Rule
		peers   []wire.NodeID
		unknown []string
	}{
		{"not yet", nil, []classes.Rule{anybody}, []wire.NodeID{{}, {}}, []string{"boston"}},
		{"known", map[string]wire.NodeID{"boston": boston}, []classes.Rule{there, anybody}, []wire.NodeID{boston, {}}, nil},
	} {
		rules, peers, unknown := classRules(list, func(name string) (wire.NodeID, bool) {
			id, ok := c.members[name]
			return id, ok
		})
		if diff := cmp.Diff(c.rules, rules, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
			t.Errorf("%s: rules (-want +got):\n%s", c.name, diff)
		}
		if !slices.Equal(peers, c.peers) || !slices.Equal(unknown, c.unknown) {
			t.Errorf("%s: peers %v, unknown %v", c.name, peers, unknown)
		}
	}
}
