package lab

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"overlayd/internal/lab/judge"
	"overlayd/internal/lab/meter"
	"overlayd/internal/lab/scenario"
	"overlayd/internal/lab/wan"
)

// act does what an event says.
func (t *trial) act(ctx context.Context, timed scenario.Timed) error {
	switch a := timed.Action.(type) {
	case scenario.Cut:
		t.setCut(a.Link, true)
	case scenario.Restore:
		t.setCut(a.Link, false)
	case scenario.Set:
		at := t.world.change(a.Link, a.Change.Of)
		t.note(at, "set", fmt.Sprintf("%v: %v", a.Link, a.Change))
	case scenario.SetPorts:
		t.note(t.world.setPorts(a), "set", "the rates of "+a.Site)
	case scenario.Kill:
		return t.eachOf(a.Who, "kill", func(n *node) error { n.kill(); return nil })
	case scenario.Stop:
		return t.eachOf(a.Who, "stop", (*node).stop)
	case scenario.Start:
		names := t.scenario.Nodes(a.Who.Sites)
		names = slices.DeleteFunc(names, func(name string) bool { return t.nodes[name].running() })
		return t.eachOf(scenario.Who{Sites: names}, "start", (*node).start)
	case scenario.TCP:
		t.transfer(ctx, timed.Event, a)
	case scenario.Show:
		return t.show(ctx, a.Sites)
	default:
		if done, err := t.actOnHosts(timed); done {
			return err
		}
		return t.actOnMembers(ctx, timed)
	}
	return nil
}

// note adds to the time line what happened at a moment.
func (t *trial) note(at time.Time, kind, text string) { t.journal.Note(at.Sub(t.epoch), kind, text) }

func (t *trial) setCut(p scenario.Pair, cut bool) {
	at := t.world.change(p, func(l wan.Link) wan.Link { l.Cut = cut; return l })
	t.note(at, map[bool]string{true: "cut", false: "restore"}[cut], p.String())
}

// eachOf does something to nodes that a scenario names.
func (t *trial) eachOf(who scenario.Who, what string, f func(*node) error) error {
	names := t.scenario.Nodes(who.Sites)
	if who.GatewayOf != "" {
		name, err := t.gatewayOf(who.GatewayOf)
		if err != nil {
			t.blame(what, err)
			return nil
		}
		names = []string{name}
	}
	if who.RelayOf != nil {
		s, ok := t.history.At(*who.RelayOf, time.Since(t.epoch))
		if !ok || len(s.Via) == 0 {
			return fmt.Errorf("there is no relay to %s: %v goes %v", what, who.RelayOf, s)
		}
		names = s.Via[:1]
	}
	for _, name := range names {
		t.note(time.Now(), what, name)
		if err := f(t.nodes[name]); err != nil {
			return err
		}
	}
	return nil
}

// show prints the path tables of nodes, as overlayctl does.
func (t *trial) show(ctx context.Context, names []string) error {
	for _, name := range names {
		at := time.Since(t.epoch)
		b, err := t.nodes[name].ctl(ctx, "paths")
		if err != nil {
			return err
		}
		t.journal.Note(at, "show", "overlayctl paths at "+name)
		t.journal.Block(at, "show", strings.Split(strings.TrimRight(string(b), "\n"), "\n"))
	}
	return nil
}

// transfer starts a TCP transfer, and the captures that go with it.
func (t *trial) transfer(ctx context.Context, name string, a scenario.TCP) {
	over := t.world.wan
	var removes []func()
	for _, x := range t.scenario.Expect {
		if c, ok := x.Check.(scenario.Capture); ok && c.During == name {
			found := &capture{}
			t.captures[x.Name] = found
			removes = append(removes, over.AddTap(t.world.sites[c.Site].index, found.take))
		}
	}
	transfer := meter.Transfer{
		From: t.address(a.Flow.From, a.Underlay), To: t.address(a.Flow.To, a.Underlay),
		For: a.For, Bytes: a.Bytes, Congestion: a.Congestion,
	}
	what := "over the overlay"
	if a.Underlay {
		what = "without overlayd"
	}
	if a.Text {
		transfer.Content = t.secret.text
		what += ", of known text"
	}
	t.note(time.Now(), "tcp", fmt.Sprintf("%s: %v %s", name, a.Flow, what))
	t.running.Go(func() {
		patience := max(a.For, time.Minute) + transferSlack
		ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("the transfer did not end"))
		defer cancel()
		g, err := transfer.Run(ctx, t.world.place(a.Flow.From), t.world.place(a.Flow.To))
		for _, remove := range removes {
			remove()
		}
		text := fmt.Sprintf("%s: %.2f Mbit/s, %.1f MB", name, g.Rate()/1e6, float64(g.Bytes)/1e6)
		if err != nil {
			text = fmt.Sprintf("%s: %v; until then %.1f MB", name, err, float64(g.Bytes)/1e6)
		}
		t.note(time.Now(), "tcp", text)
		t.mu.Lock()
		t.transfers[name] = judge.Transfer{Goodput: g, Err: err}
		t.mu.Unlock()
	})
}
