package sim

import (
	"strings"
	"testing"
	"time"

	"overlayd/internal/control"
	"overlayd/internal/node"
	"overlayd/internal/policy"
	"overlayd/internal/wire"
)

// shown is what a host shows of another one.
func (h *Host) shown(t *testing.T, of *Host) (v control.PeerPaths) {
	t.Helper()
	for _, p := range h.Core.Paths(h.net.now) {
		if p.Peer == of.Name {
			return p
		}
	}
	t.Fatalf("%s shows nothing of %s", h.Name, of.Name)
	return v
}

func TestAfterARestartAPeerIsShownAsItIs(t *testing.T) {
	for _, c := range []struct {
		stop func(*Host)
		why  string
	}{{(*Host).Stop, "no path works: direct path dead: the peer shut down"}, {(*Host).Kill, "probes unanswered"}} {
		n, belmont, _, boston := triangle(3)
		stream(n, belmont, boston, 20*time.Millisecond)
		n.Run(10 * time.Second)
		c.stop(boston)
		n.Run(5 * time.Second)
		dead := belmont.shown(t, boston)
		if since := n.now.Sub(dead.Since); dead.State != control.StateDead || since > 5*time.Second || since < 3*time.Second ||
			!strings.HasPrefix(dead.Reason, "no path works: ") || !strings.Contains(dead.Reason, c.why) {
			t.Errorf("a peer that is down for 5 s is shown as %s since %v: %s", dead.State, since, dead.Reason)
		}
		boston.Start()
		n.Run(10 * time.Second)
		up := belmont.shown(t, boston)
		if since := n.now.Sub(up.Since); up.State != control.StateUp || since > 10*time.Second || since < 5*time.Second ||
			strings.Contains(up.Reason, "dead") || strings.Contains(up.Reason, "shut down") {
			t.Errorf("a peer that is up again for some 9 s is shown as %s since %v: %s", up.State, since, up.Reason)
		}
	}
}

func TestAPinOpensItsCircuitThoughNothingFlows(t *testing.T) {
	n, belmont, cambridge, boston := triangle(4)
	n.Run(10 * time.Second)
	belmont.wishes(policy.Rule{Kind: policy.Pin, Peer: boston.ID, Relays: []wire.NodeID{cambridge.ID}, At: n.now})
	pinned := func(after time.Duration) {
		t.Helper()
		n.Run(after)
		if v := belmont.shown(t, boston); v.Selected == nil || strings.Join(v.Selected.Via, " ") != "cambridge" {
			t.Errorf("%v later the path is %+v: %s", after, v.Selected, v.Reason)
		}
	}
	pinned(2 * time.Second)
	pinned(5 * time.Minute)
	cambridge.Kill()
	n.Run(2 * time.Minute)
	v := belmont.shown(t, boston)
	if v.State != control.StateUp || !strings.Contains(v.Reason, "pinned via cambridge (rule 1), which does not work: ") {
		t.Errorf("without its relay the peer is shown as %s: %s", v.State, v.Reason)
	}
	cambridge.Start()
	pinned(time.Minute)
	belmont.Do(func(c *node.Core, now time.Time) error {
		_, err := c.RemoveRules(now, nil, true)
		return err
	})
	n.Run(time.Minute)
	if v := belmont.shown(t, boston); v.Selected == nil || len(v.Selected.Via) > 0 || len(v.Candidates) > 1 {
		t.Errorf("without the rule the path is %+v of %d: %s", v.Selected, len(v.Candidates), v.Reason)
	}
}
