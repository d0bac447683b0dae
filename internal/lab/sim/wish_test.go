package sim

import (
	"slices"
	"testing"
	"time"

	"overlayd/internal/node"
	"overlayd/internal/policy"
	"overlayd/internal/wire"
)

// wishes makes rules at a host.
func (h *Host) wishes(rules ...policy.Rule) {
	h.Do(func(c *node.Core, now time.Time) error {
		_, _, err := c.AddRules(now, rules)
		return err
	})
}

func TestAPinnedWayIsTakenUntilItEndsOrBreaks(t *testing.T) {
	n, belmont, boston, cambridge, worcester := square(1)
	f := stream(n, belmont, boston, 10*time.Millisecond)
	n.Run(20 * time.Second)
	goes := func(want ...string) {
		t.Helper()
		if via := belmont.via(t, boston); !slices.Equal(via, want) {
			t.Errorf("at %v by way of %v, want %v: %+v", n.Now(), via, want, belmont.switchesTo(boston, n.Now()-20*time.Second))
		}
	}
	goes("cambridge")
	two := []wire.NodeID{worcester.ID, cambridge.ID}
	pinned := n.Now()
	belmont.wishes(policy.Rule{
		Kind: policy.Pin, Peer: boston.ID, Relays: two, At: n.now, Expires: n.now.Add(30 * time.Second),
	})
	n.Run(5 * time.Second)
	goes("worcester", "cambridge") // nobody nominated that
	n.Run(30 * time.Second)
	goes("cambridge")
	if lost := f.lost(pinned, n.Now()-time.Second); lost > 0 {
		t.Errorf("%.2f%% lost by changing ways on purpose", 100*lost)
	}
	belmont.wishes(policy.Rule{Kind: policy.Never, Relays: []wire.NodeID{cambridge.ID}, At: n.now})
	n.Run(3 * time.Second)
	goes("worcester")
	worcester.Kill()
	n.Run(5 * time.Second)
	goes() // direct
	n.Both(belmont, boston, func(l *Link) { l.Cut = true })
	n.Run(5 * time.Second)
	goes("cambridge") // against the wish, but the last way
}
