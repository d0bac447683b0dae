package virtual

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"overlayd/internal/lab/judge"
	"overlayd/internal/lab/scenario"
	"overlayd/internal/lab/wan"
	"overlayd/internal/member"
	core "overlayd/internal/node"
	"overlayd/internal/wire"
)

// act does what an event says. That a node refuses is a fault; the time line goes on.
func (t *trial) act(timed scenario.Timed) error {
	if why := t.omitted.events[timed.Event]; why != "" {
		t.note("left out", timed.Event+": "+why)
		return nil
	}
	switch a := timed.Action.(type) {
	case scenario.Cut:
		t.setCut(a.Link, true)
	case scenario.Restore:
		t.setCut(a.Link, false)
	case scenario.Set:
		t.change(a.Link, a.Change.Of)
		t.note("set", fmt.Sprintf("%v: %v", a.Link, a.Change))
	case scenario.SetPorts:
		t.setPorts(a)
	case scenario.Kill:
		return t.eachOf(timed.Event, a.Who, "kill", func(n *node) error { n.host.Kill(); return nil })
	case scenario.Stop:
		return t.eachOf(timed.Event, a.Who, "stop", func(n *node) error { n.host.Stop(); return nil })
	case scenario.Start:
		names := slices.DeleteFunc(t.scenario.Nodes(a.Who.Sites), func(name string) bool { return t.byName[name].running() })
		return t.eachOf(timed.Event, scenario.Who{Sites: names}, "start", (*node).start)
	case scenario.TCP:
		t.transfer(timed.Event, a)
	case scenario.Show:
		t.show(a.Sites)
	default:
		if done, err := t.actOnHosts(timed); done {
			return err
		}
		return t.actOnMembers(timed)
	}
	return nil
}

// change applies f to the links of a pair. A pair without a link gets one.
func (t *trial) change(p scenario.Pair, f func(wan.Link) wan.Link) {
	for _, d := range p.Directions() {
		from, to := t.byName[d.From].site, t.byName[d.To].site
		link, _ := t.underlay.Link(from, to)
		t.underlay.SetLink(from, to, f(link))
	}
}

func (t *trial) setCut(p scenario.Pair, cut bool) {
	t.change(p, func(l wan.Link) wan.Link { l.Cut = cut; return l })
	t.note(map[bool]string{true: "cut", false: "restore"}[cut], p.String())
}

func (t *trial) setPorts(a scenario.SetPorts) {
	n := t.byName[a.Site]
	if a.Uplink != nil {
		n.ports[0] = wan.Port(*a.Uplink)
	}
	if a.Downlink != nil {
		n.ports[1] = wan.Port(*a.Downlink)
	}
	t.underlay.SetPorts(n.site, n.ports[0], n.ports[1])
	t.note("set", "the rates of "+a.Site)
}

// eachOf does something to nodes that a scenario names.
func (t *trial) eachOf(event string, who scenario.Who, what string, f func(*node) error) error {
	names := t.scenario.Nodes(who.Sites)
	if who.RelayOf != nil {
		relay, err := t.relayOf(*who.RelayOf)
		if err != nil {
			return fmt.Errorf("there is no relay to %s: %w", what, err)
		}
		names = []string{relay}
	}
	for _, name := range names {
		t.note(what, name)
		n := t.byName[name]
		if n.host == nil {
			t.blame(event, fmt.Errorf("%s: %w", name, errOff))
			continue
		}
		t.blame(event, f(n))
	}
	return nil
}

// show prints the paths of nodes.
func (t *trial) show(names []string) {
	for _, name := range names {
		n := t.byName[name]
		t.note("show", "the paths at "+name)
		if !n.running() {
			continue
		}
		var b strings.Builder
		w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "PEER\tSTATE\tVIA\tSWITCHES\tWHY")
		for _, p := range n.host.Core.Paths(t.clock()) {
			via := "—"
			if p.Selected != nil {
				via = judge.RouteName(p.Selected.Via)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\n", p.Peer, p.State, via, p.Switches, p.Reason)
		}
		_ = w.Flush() // a strings.Builder takes everything
		t.journal.Block(t.now(), "show", strings.Split(strings.TrimRight(b.String(), "\n"), "\n"))
	}
}

// actOnMembers does what an event on the membership says.
func (t *trial) actOnMembers(timed scenario.Timed) error {
	event := timed.Event
	switch a := timed.Action.(type) {
	case scenario.Join:
		t.note("join", fmt.Sprintf("%s, invited by %s", a.Node, a.By))
		t.blame(event, t.join(a))
	case scenario.Revoke:
		t.note("revoke", a.Node+", by "+a.By)
		t.blame(event, t.about(a.By, a.Node, func(c *core.Core, now time.Time, id wire.NodeID) error {
			return c.Revoke(now, id, false)
		}))
		t.byName[a.Node].member = false
	case scenario.Leave:
		t.note("leave", a.Node)
		t.byName[a.Node].member = false
		t.blame(event, t.leave(t.byName[a.Node]))
	case scenario.Grant:
		t.note("grant", a.Node+" is an admin, by "+a.By)
		t.blame(event, t.about(a.By, a.Node, func(c *core.Core, now time.Time, id wire.NodeID) error {
			return c.SetAdmin(now, id, true)
		}))
	case scenario.Withdraw:
		t.note("withdraw", a.Node+" is no admin, by "+a.By)
		t.blame(event, t.about(a.By, a.Node, func(c *core.Core, now time.Time, id wire.NodeID) error {
			return c.SetAdmin(now, id, false)
		}))
	case scenario.Wipe:
		return t.eachOf(event, a.Who, "wipe", func(n *node) error {
			n.host.Wipe()
			n.member, n.wiped = false, true
			return nil
		})
	case scenario.Split:
		t.setSplit(a, true)
	case scenario.Heal:
		for _, e := range t.scenario.Events {
			if split, ok := e.Action.(scenario.Split); ok && e.Name == a.Event {
				t.setSplit(split, false)
			}
		}
	default:
		return fmt.Errorf("the simulation does not know %T", a)
	}
	return nil
}

// about lets a person ask a node for something that is about another member.
func (t *trial) about(by, name string, f func(c *core.Core, now time.Time, id wire.NodeID) error) error {
	return t.order(by, func(c *core.Core, now time.Time) error {
		id, known := c.Members().ByName(name)
		if !known {
			return fmt.Errorf("%s knows no member called %s", by, name)
		}
		return f(c, now, id)
	})
}

// join lets a node become a member and waits until it is one.
func (t *trial) join(a scenario.Join) error {
	endpoint := ""
	if a.Through != "" {
		endpoint = t.byName[a.Through].host.Endpoint().String()
	}
	var token string
	if err := t.order(a.By, func(c *core.Core, now time.Time) (err error) {
		token, err = c.Invite(now, member.Offer{Name: a.Node, TTL: invitationTTL}, endpoint)
		return err
	}); err != nil {
		return err
	}
	n := t.byName[a.Node]
	if err := t.ask(n, token, false); err != nil {
		return err
	}
	return t.joined(n)
}

func (t *trial) setSplit(a scenario.Split, cut bool) {
	for _, d := range t.scenario.Severs(a) {
		from, to := t.byName[d.From].site, t.byName[d.To].site
		if link, there := t.underlay.Link(from, to); there {
			link.Cut = cut
			t.underlay.SetLink(from, to, link)
		}
	}
	t.note(map[bool]string{true: "split", false: "heal"}[cut], a.Sizes(t.scenario)+" nodes")
}
