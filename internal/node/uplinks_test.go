package node

import (
	"net/netip"
	"testing"
	"time"

	"overlayd/internal/control"
)

// asks are the addresses that the core asks the host about.
func (k *crowd) asks() (list []netip.Addr) {
	for _, out := range k.core.Drain(nil) {
		if out, ok := out.(FindUplink); ok {
			list = append(list, out.To)
		}
	}
	return list
}

func TestTheHostIsAskedForTheUplinksOfPathsInUse(t *testing.T) {
	k := newCrowd(t, 2, CoreConfig{}, nil)
	k.core.Drain(nil)
	k.visits(k.others[0])
	k.run(time.Second)
	if asked := k.asks(); len(asked) != 0 {
		t.Errorf("asked of %v while nothing flows", asked)
	}
	check(t, k.core.Step(k.now, Wake{Peer: k.ids(0)[0]}))
	p := k.peer(0)
	k.core.measured(k.now, p)
	asked := k.asks()
	if len(asked) != 1 || asked[0] != k.others[0].address.Addr() {
		t.Fatalf("asked of %v", asked)
	}
	check(t, k.core.Step(k.now, UplinkFound{To: asked[0], Name: "wan0"}))
	if got := k.core.measured(k.now, p)[0].Uplink; got != "wan0" {
		t.Errorf("uplink %q", got)
	}
	if again := k.asks(); len(again) != 0 {
		t.Errorf("asked again of %v", again)
	}
	check(t, k.core.Step(k.now, LocalAddresses{}))
	k.core.measured(k.now, p)
	if again := k.asks(); len(again) != 1 {
		t.Errorf("the network of the host has changed, and it is asked of %v", again)
	}
	if got := k.core.measured(k.now, p)[0].Uplink; got != "wan0" {
		t.Errorf("until it answers the uplink is %q", got)
	}
	check(t, k.core.Step(k.now, UplinkFound{To: netip.MustParseAddr("203.0.113.9"), Name: "eth7"}))
	if n := len(k.core.uplinks); n != 1 {
		t.Errorf("%d uplinks are kept, one of which nobody asked for", n)
	}
}

func TestAnUplinkHasItsPrice(t *testing.T) {
	k := newCrowd(t, 2, CoreConfig{}, nil)
	k.ways(0, way{nil, 30 * ms}, way{[]int{1}, 50 * ms})
	k.rule(control.RouteRequest{Kind: control.RouteCost, Uplink: "wan0", Cost: 100})
	p := k.peer(0)
	p.use.level = active
	p.sorted()[0].fwd.Hop.Addr = k.others[0].address
	k.core.measured(k.now, p)
	for _, to := range k.asks() {
		check(t, k.core.Step(k.now, UplinkFound{To: to, Name: "wan0"}))
	}
	p.outdated = true
	k.core.touch(p)
	k.core.settle(k.now)
	dearer := 0
	for _, e := range p.choices.list[0].selector.Explain() {
		found := false
		for _, term := range e.Cost.Terms {
			found = found || term.Name == "price" && term.Value == 100
		}
		if dear := e.Path.Uplink == "wan0"; found != dear {
			t.Errorf("path %d by %q costs %+v", e.Path.ID, e.Path.Uplink, e.Cost)
		} else if dear {
			dearer++
		}
	}
	if dearer != 1 {
		t.Errorf("%d paths leave by the dear uplink", dearer)
	}
}
