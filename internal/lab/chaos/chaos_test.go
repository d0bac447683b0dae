package chaos

import (
	"testing"
	"time"

	"overlayd/internal/lab/scenario"
	"overlayd/internal/lab/wan"
)

func TestEverySeedIsAScenario(t *testing.T) {
	for seed := range uint64(60) {
		for _, o := range []Options{Simulated(), Real(3 * time.Minute), Real(20 * time.Minute)} {
			s, err := Scenario(seed, o)
			if err != nil {
				t.Fatalf("%v\n%s", err, Text(seed, o))
			}
			if o.Real && s.Duration > 3*time.Minute+o.For+o.Tail {
				t.Errorf("seed %d takes %v", seed, s.Duration)
			}
		}
	}
}

func TestASeedIsAlwaysTheSameScenario(t *testing.T) {
	if first, again := Text(7, Simulated()), Text(7, Simulated()); first != again {
		t.Error("two files of one seed differ")
	}
	if Text(7, Simulated()) == Text(8, Simulated()) {
		t.Error("two seeds have one file")
	}
}

func TestEveryKindOfFaultIsDrawn(t *testing.T) {
	if seen := drawn(t, Simulated()); len(seen) != 19 {
		t.Errorf("in simulation: %v", seen)
	}
	seen := drawn(t, Real(3*time.Minute))
	if len(seen) != 16 || seen["clock"] || seen["clock as it runs"] || seen[string(scenario.Slanders)] {
		t.Errorf("with daemons: %v", seen)
	}
}

// drawn are the kinds of faults that some seeds draw.
func drawn(t *testing.T, o Options) map[string]bool {
	t.Helper()
	seen := make(map[string]bool)
	for seed := range uint64(80) {
		s, err := Scenario(seed, o)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range s.Events {
			switch a := e.Action.(type) {
			case scenario.Kill:
				seen["kill"] = true
			case scenario.Cut:
				seen["cut"] = true
			case scenario.Split:
				seen["split"] = true
			case scenario.Set:
				seen["black hole"] = seen["black hole"] || a.Change.Drop != nil
				seen["loss"] = seen["loss"] || a.Change.Loss != nil
			case scenario.Move:
				seen["move"] = true
			case scenario.Clone:
				seen["clone"] = true
			case scenario.Disk:
				seen["disk"] = true
			case scenario.Clock:
				seen["clock"] = seen["clock"] || !a.Running
				seen["clock as it runs"] = seen["clock as it runs"] || a.Running
			case scenario.Hostile:
				seen[string(a.Does)] = true
			case scenario.Revoke:
				seen["revoke"] = true
			}
		}
	}
	return seen
}

// world is some nodes with links between all of them.
func world(nodes int) *plan {
	p := &plan{nodes: make([]node, nodes), links: make(map[[2]int]*link)}
	for a := range nodes {
		p.nodes[a].four = true
		for b := range nodes {
			if a != b {
				p.links[[2]int{a, b}] = &link{}
			}
		}
	}
	return p
}

func (p *plan) dropBoth(a, b int, f wan.Filter) {
	setDrop([][2]int{{a, b}, {b, a}}, []wan.Family{wan.IPv4, wan.IPv6}, f)(p)
}

func TestAWayCarriesThePackets(t *testing.T) {
	p := world(3)
	p.dropBoth(0, 1, wan.Filter{Larger: 1200})
	if !p.direct(0, 1, 1100) || p.direct(0, 1, 1150) || !p.way(0, 1, 1300) {
		t.Error("small packets go directly, large ones over the relay")
	}
	p.links[[2]int{2, 1}].drop[wan.IPv4] = wan.Filter{Larger: 1200} // one direction is enough
	if !p.way(0, 1, 1100) || p.way(0, 1, 1300) {
		t.Error("no link carries large packets to node 1")
	}
	p.nodes[0].six, p.nodes[1].six = true, true
	if p.way(0, 1, 1300) {
		t.Error("both families are filtered")
	}
	p.links[[2]int{0, 1}].drop[wan.IPv6], p.links[[2]int{1, 0}].drop[wan.IPv6] = wan.Filter{}, wan.Filter{}
	if !p.way(0, 1, 1300) {
		t.Error("the other family is open")
	}
}

func TestAWayNeedsWhatItsMiddleboxesLetThrough(t *testing.T) {
	for _, c := range []struct {
		filter  wan.Filter
		direct  bool
		relayed bool
	}{
		{wan.Filter{Contents: wan.Of(wan.Transport)}, false, true},
		{wan.Filter{Contents: wan.Of(wan.Initiation)}, false, true},
		{wan.Filter{Contents: wan.Of(wan.Labeled)}, true, false},
		{wan.Filter{Contents: wan.Of(wan.Control)}, false, false},
		{wan.Filter{Contents: wan.Of(wan.ICMPError)}, true, true},
	} {
		p := world(2)
		p.dropBoth(0, 1, c.filter)
		if p.direct(0, 1, 100) != c.direct || p.relayed(0, 1, 100) != c.relayed {
			t.Errorf("%+v: direct %v, relayed %v", c.filter, p.direct(0, 1, 100), p.relayed(0, 1, 100))
		}
	}
}

func TestAWayNeedsHonestRelaysThatOthersReach(t *testing.T) {
	for name, spoil := range map[string]func(*node){
		"hostile": func(n *node) { n.hostile = true }, "revoked": func(n *node) { n.revoked = true },
		"behind a router": func(n *node) { n.nat = true }, "of another family": func(n *node) { n.four, n.six = false, true },
	} {
		p := world(3)
		p.dropBoth(0, 1, wan.Filter{Contents: wan.Everything})
		if !p.way(0, 1, 100) {
			t.Fatal("no way over a good relay")
		}
		spoil(&p.nodes[2])
		if p.way(0, 1, 100) {
			t.Errorf("a way over a relay that is %s", name)
		}
	}
}

func TestWhatIsBrokenLastStaysBroken(t *testing.T) {
	p := world(2)
	d := [][2]int{{0, 1}}
	p.change(3*time.Second, "c", setCut(d, false), "restore")
	p.change(2*time.Second, "b", setCut(d, true), "cut")
	p.change(time.Second, "a", setCut(d, false), "restore")
	p.settle()
	if p.links[d[0]].cut || p.end != 3*time.Second {
		t.Errorf("cut %v, the end at %v", p.links[d[0]].cut, p.end)
	}
}
