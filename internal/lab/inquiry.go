package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"overlayd/internal/control"
	"overlayd/internal/lab/judge"
	"overlayd/internal/lab/meter"
	"overlayd/internal/lab/scenario"
)

// inquiry watches for one expectation while the scenario goes on. It asks the daemons on their sockets, which puts
// nothing on the network, one after another, and none more often than it has to.
type inquiry struct {
	t           *trial
	from, until time.Time
}

// inquiryInterval is how long an inquiry rests between two rounds.
const inquiryInterval = 50 * time.Millisecond

// answerPatience bounds one answer of a daemon.
const answerPatience = 2 * time.Second

// inquire starts the inquiries of all expectations that need one.
func (t *trial) inquire(ctx context.Context) {
	port := uint16(meterPort)
	for _, x := range t.scenario.Expect {
		var find func(context.Context, inquiry) judge.Measured
		switch c := x.Check.(type) {
		case scenario.Converged:
			find = func(ctx context.Context, q inquiry) judge.Measured { return q.converged(ctx, c.Of) }
		case scenario.Revoked:
			find = func(ctx context.Context, q inquiry) judge.Measured { return q.revoked(ctx, c) }
		case scenario.Members:
			find = func(ctx context.Context, q inquiry) judge.Measured { return q.members(ctx, c) }
		case scenario.Connected:
			port++
			own := port
			find = func(ctx context.Context, q inquiry) judge.Measured { return q.connected(ctx, c.Flow, own) }
		case scenario.IdleTraffic:
			find = func(ctx context.Context, q inquiry) judge.Measured { return q.idleTraffic(ctx, c.Of) }
		default:
			continue
		}
		t.running.Go(func() {
			found := t.await(ctx, x, find)
			t.mu.Lock()
			t.findings[x.Name] = found
			t.mu.Unlock()
			t.journal.Note(time.Since(t.epoch), "found", x.Name+": "+found.Note)
		})
	}
}

// await sleeps until the window of an expectation begins, and then finds out. If the window begins at an event, it
// begins when that really did, but nobody is asked before the event is over.
func (t *trial) await(
	ctx context.Context, x scenario.Expectation, find func(context.Context, inquiry) judge.Measured,
) judge.Measured {
	from, to, err := t.line.Window(x.Window)
	if err != nil {
		return judge.Measured{Missing: true, Note: err.Error()}
	}
	q := inquiry{t: t, from: t.epoch.Add(from), until: t.epoch.Add(to)}
	if o := t.occasions[x.Window.From.Base]; o != nil {
		select {
		case <-o.over:
			q.from = o.began.Add(x.Window.From.After)
		case <-ctx.Done():
			return judge.Measured{Missing: true, Note: "it did not come to it"}
		}
	}
	if !pause(ctx, time.Until(q.from)) {
		return judge.Measured{Missing: true, Note: "it did not come to it"}
	}
	return find(ctx, q)
}

// pause sleeps. It reports whether the context is still good.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// rounds calls ask again and again until it says yes or the window ends, and measures the time from its beginning.
func (q inquiry) rounds(ctx context.Context, ask func(context.Context) (yes bool, note string)) judge.Measured {
	for {
		yes, note := ask(ctx)
		now := time.Now()
		if yes {
			return judge.Measured{Value: now.Sub(q.from).Seconds(), Note: note}
		}
		if now.After(q.until) || !pause(ctx, inquiryInterval) {
			return judge.Measured{Value: q.until.Sub(q.from).Seconds(), Missing: true, Note: note}
		}
	}
}

// those are the nodes of a group that count now, in the order of the group.
func (q inquiry) those(g scenario.Group) []*node {
	var all []*node
	for _, name := range q.t.scenario.Nodes(g) {
		if n := q.t.nodes[name]; n.counts() {
			all = append(all, n)
		}
	}
	return all
}

// status asks one daemon.
func (q inquiry) status(ctx context.Context, n *node) (control.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, answerPatience)
	defer cancel()
	return n.client.Status(ctx)
}

// converged waits until all know the same. As long as two are known to differ, only these two are asked.
func (q inquiry) converged(ctx context.Context, g scenario.Group) judge.Measured {
	var first []*node // that differed last
	return q.rounds(ctx, func(ctx context.Context) (bool, string) {
		nodes := q.those(g)
		slices.SortStableFunc(nodes, func(a, b *node) int {
			return rank(first, b) - rank(first, a)
		})
		common := ""
		for i, n := range nodes {
			s, err := q.status(ctx, n)
			if err != nil {
				first = []*node{n}
				return false, fmt.Sprintf("%s does not answer", n.site.name)
			}
			if i == 0 {
				common = s.Digest
			} else if s.Digest != common {
				first = []*node{nodes[0], n}
				return false, fmt.Sprintf("%s and %s differ", nodes[0].site.name, n.site.name)
			}
		}
		return len(nodes) > 0, fmt.Sprintf("%d nodes", len(nodes))
	})
}

// rank is 1 for a node of the list and 0 for any other.
func rank(list []*node, n *node) int {
	if slices.Contains(list, n) {
		return 1
	}
	return 0
}

// each waits until every node of a group has said yes once, and asks none again that has. The note says when half had.
func (q inquiry) each(
	ctx context.Context, g scenario.Group, except string, yes func(context.Context, *node) bool,
) judge.Measured {
	said := make(map[*node]time.Duration)
	return q.rounds(ctx, func(ctx context.Context) (bool, string) {
		var mu sync.Mutex // guards said and open
		nodes, open := q.those(g), ""
		nodes = slices.DeleteFunc(nodes, func(n *node) bool { return n.site.name == except })
		pending := slices.DeleteFunc(slices.Clone(nodes), func(n *node) bool { _, done := said[n]; return done })
		_ = inParallel(askAtOnce, pending, func(n *node) error {
			ok := yes(ctx, n)
			at := time.Since(q.from)
			mu.Lock()
			defer mu.Unlock()
			if ok {
				said[n] = at
			} else {
				open = n.site.name
			}
			return nil
		})
		if open != "" {
			return false, fmt.Sprintf("%d of %d nodes; not %s", len(said), len(nodes), open)
		}
		var times []time.Duration
		for _, at := range said {
			times = append(times, at)
		}
		slices.Sort(times)
		half := meter.Quantile(times, 0.5).Milliseconds()
		return len(nodes) > 0, fmt.Sprintf("%d nodes, half of them in %d ms", len(nodes), half)
	})
}

// askAtOnce is how many daemons one inquiry asks at the same time.
const askAtOnce = 2

// revoked waits until no node lists the named one or has a path to it.
func (q inquiry) revoked(ctx context.Context, c scenario.Revoked) judge.Measured {
	return q.each(ctx, c.Of, c.Node, func(ctx context.Context, n *node) bool {
		ctx, cancel := context.WithTimeout(ctx, answerPatience)
		defer cancel()
		paths, err := n.client.Paths(ctx, control.PathsQuery{Peer: c.Node})
		if err != nil && !errors.Is(err, control.ErrUnknownPeer) {
			return false
		}
		for _, p := range paths.Peers {
			if p.Peer == c.Node && p.Selected != nil && p.State != control.StateDead {
				return false
			}
		}
		s, err := n.client.Status(ctx)
		return err == nil && !slices.ContainsFunc(s.Members, func(m control.Member) bool { return m.Name == c.Node })
	})
}

// members waits until every node lists so many members.
func (q inquiry) members(ctx context.Context, c scenario.Members) judge.Measured {
	return q.each(ctx, c.Of, "", func(ctx context.Context, n *node) bool {
		s, err := q.status(ctx, n)
		return err == nil && len(s.Members) == c.Are
	})
}

// connectedEvery is the time between two packets that try whether there is a connection.
const connectedEvery = 20 * time.Millisecond

// connected sends packets until one arrives, in every direction of a pair, and measures the worse.
func (q inquiry) connected(ctx context.Context, p scenario.Pair, port uint16) judge.Measured {
	worst := judge.Measured{}
	for _, d := range p.Directions() {
		m := q.arrives(ctx, d, port)
		if !worst.Missing && (m.Missing || m.Value >= worst.Value) {
			worst = m
		}
	}
	return worst
}

// arrives sends packets in one direction until one arrives.
func (q inquiry) arrives(ctx context.Context, d scenario.Pair, port uint16) judge.Measured {
	fail := func(err error) judge.Measured {
		return judge.Measured{
			Value: q.until.Sub(q.from).Seconds(), Missing: true, Note: err.Error(),
		}
	}
	from, to := q.t.address(d.From, false), q.t.address(d.To, false)
	if !from.IsValid() || !to.IsValid() {
		return fail(fmt.Errorf("%v: one has no address", d))
	}
	record, err := meter.NewRecord(q.from, connectedEvery, max(connectedEvery, time.Until(q.until)))
	if err != nil {
		return fail(err)
	}
	receiver, err := meter.Listen(q.t.world.place(d.To), port)
	if err != nil {
		return fail(err)
	}
	defer receiver.Close()
	receiver.Expect(uint32(port), record)
	sender, err := meter.Send(q.t.world.place(d.From), meter.Flow{
		ID: uint32(port), From: from, To: netip.AddrPortFrom(to, port), Every: connectedEvery, Size: meter.MinSize,
	}, record)
	if err != nil {
		return fail(err)
	}
	defer sender.Stop()
	for {
		if first, ok := record.Series().First(0); ok {
			return judge.Measured{Value: first.Seconds(), Note: d.String()}
		}
		if time.Now().After(q.until) || !pause(ctx, inquiryInterval) {
			return fail(fmt.Errorf("%v: nothing arrived", d))
		}
	}
}

// idleTraffic measures what the nodes send that run throughout the window, whole IP packets on the underlay.
func (q inquiry) idleTraffic(ctx context.Context, g scenario.Group) judge.Measured {
	nodes := q.those(g)
	before, began := q.t.world.wan.Sent()
	if !pause(ctx, time.Until(q.until)) {
		return judge.Measured{Missing: true, Note: "it did not come to the end of the window"}
	}
	after, ended := q.t.world.wan.Sent()
	type rate struct {
		node string
		bits float64 // a second
	}
	var rates []rate
	for _, n := range nodes {
		if n.counts() {
			bytes := after[n.site.index] - before[n.site.index]
			rates = append(rates, rate{n.site.name, float64(bytes) * 8 / ended.Sub(began).Seconds()})
		}
	}
	if len(rates) == 0 {
		return judge.Measured{Missing: true, Note: "no node ran throughout"}
	}
	slices.SortFunc(rates, func(a, b rate) int { return int(a.bits - b.bits) })
	least, most := rates[0], rates[len(rates)-1]
	return judge.Measured{Value: most.bits, Note: fmt.Sprintf("%d nodes, min %.2f, median %.2f, max %.2f kbit/s (%s)",
		len(rates), least.bits/1e3, meter.Quantile(rates, 0.5).bits/1e3, most.bits/1e3, most.node)}
}
