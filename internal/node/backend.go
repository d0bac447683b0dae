package node

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"time"

	"overlayd/internal/control"
	"overlayd/internal/wire"
)

var _ control.Backend = (*Node)(nil)

// do runs f in the loop and waits for it.
func (n *Node) do(ctx context.Context, f func(now time.Time)) error {
	done := make(chan struct{})
	select {
	case n.requests <- func(now time.Time) { defer close(done); f(now) }:
		<-done
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-n.stopped:
		return errors.New("the daemon is shutting down")
	}
}

// Status implements control.Backend.
func (n *Node) Status(ctx context.Context) (s control.Status, err error) {
	err = n.do(ctx, func(now time.Time) {
		c := n.core
		network := c.members.Network()
		s = control.Status{
			Node: n.name, ID: c.self.String(), Network: network.Name, NetworkID: network.ID.String(),
			Addresses: c.ownAddresses(), Interface: n.cfg.Interface, MTU: n.cfg.MTU,
			Listen:    netip.AddrPortFrom(n.cfg.Listen.Addr(), n.plane.Listening()[0].Port()),
			Endpoints: slices.Clone(c.endpoints), Members: c.viewMembers(now),
			Admin: c.registrar.May(now), Root: c.registrar.Root() != nil, Relay: string(n.cfg.Relay),
			Ceiling: n.cfg.RelayCeiling, Subnets: c.localNetworks(), Labels: n.cfg.Labels,
			Expires: c.members.Certificate().NotAfter.UTC(), Conflicts: c.conflictsOf(c.self), Warnings: append(c.Warnings(now), n.host.warnings()...),
			Digest: fmt.Sprintf("%016x", c.members.Digest()), Version: n.version, PID: os.Getpid(),
			Started: c.wallClock(n.started), Uptime: now.Sub(n.started).Seconds(), Counters: n.counters(),
			Unstored: unstoredText(n.dir.Problem()),
		}
	})
	return s, err
}

// unstoredText says that the node runs from memory; empty if it does not.
func unstoredText(problem error) string {
	if problem == nil {
		return ""
	}
	return fmt.Sprintf("runs from memory and forgets with its end what it learns: %v", problem)
}

// counters are what a person needs to see whether all is well.
func (n *Node) counters() map[string]uint64 {
	s := n.plane.Stats()
	paths := 0
	for _, p := range n.core.peers {
		paths += len(p.paths)
	}
	counters := map[string]uint64{
		"forwarded": s.Forwarded, "forward_failed": s.ForwardFailed, "send_failed": s.SendFailed, "no_path": s.NoPath,
		"unknown_label": s.UnknownLabel, "ignored": s.Ignored, "events_dropped": s.EventsDropped, "no_peer": s.NoPeer,
		"not_admitted": s.NotAdmitted, "control_refused": n.core.refused.n,
		"circuits_relayed": uint64(len(n.core.relaying)), "paths": uint64(paths), "goroutines": uint64(runtime.NumGoroutine()),
		"contacts": uint64(len(n.core.peers)), "wireguard_peers": s.DevicePeers, "over_ceiling": s.OverCeiling,
		"out_refused": s.OutRefused, "in_refused": s.InRefused, "untried": n.core.trials.bad, "unreported": n.reports.left,
	}
	for class, count := range s.Classes {
		name := wire.TrafficClass(class).String()
		counters[name+"_packets"] = count.Packets
		counters[name+"_copies"] = count.Copies
		counters[name+"_over_budget"] = count.OverBudget
	}
	return counters
}

// Peers implements control.Backend.
func (n *Node) Peers(ctx context.Context) (list []control.Peer, err error) {
	err = n.do(ctx, func(now time.Time) { list = n.core.viewPeers(now, n.plane.SessionSince) })
	return list, err
}

// Paths implements control.Backend.
func (n *Node) Paths(ctx context.Context, q control.PathsQuery) (v control.Paths, err error) {
	var failed error
	err = n.do(ctx, func(now time.Time) {
		v = control.Paths{Node: n.name, Time: n.core.wallClock(now)}
		if q.Peer != "" {
			var id wire.NodeID
			if id, failed = n.core.find(q.Peer); failed == nil {
				v.Peers = append(v.Peers, n.core.viewPathsTo(now, id))
			}
			return
		}
		v.Peers = n.core.Paths(now)
	})
	return v, errors.Join(err, failed)
}

// Ping implements control.Backend.
func (n *Node) Ping(ctx context.Context, r control.PingRequest) (control.PingResult, error) {
	var failed error
	var id uint32
	done := make(chan PingDone, 1)
	err := n.do(ctx, func(now time.Time) {
		var to wire.NodeID
		if to, failed = n.core.find(r.Peer); failed != nil {
			return
		}
		var via []wire.NodeID
		if via, failed = n.core.findAll(r.Via); failed != nil {
			return
		}
		if id, failed = n.core.Ping(now, to, via, r.Via != nil); failed != nil {
			failed = fmt.Errorf("%w: %w", control.ErrNoPath, failed)
			return
		}
		n.waiting[id] = done
	})
	if err = errors.Join(err, failed); err != nil {
		return control.PingResult{}, err
	}
	select {
	case d := <-done:
		if d.Err != "" {
			return control.PingResult{}, fmt.Errorf("%w: %s", control.ErrNoPath, d.Err)
		}
		return control.PingResult{Peer: r.Peer, Via: d.Via, Endpoint: d.Endpoint, RTT: control.MillisOf(d.RTT)}, nil
	case <-ctx.Done():
		pathless := false
		_ = n.do(context.WithoutCancel(ctx), func(time.Time) {
			delete(n.waiting, id)
			pathless = n.core.CancelPing(id)
		})
		if pathless {
			return control.PingResult{}, fmt.Errorf("%w: no path to %s was found in time", control.ErrNoPath, r.Peer)
		}
		return control.PingResult{}, fmt.Errorf("%w from %s in time", control.ErrNoAnswer, r.Peer)
	}
}

// Down implements control.Backend.
func (n *Node) Down(ctx context.Context) error {
	return n.do(ctx, func(time.Time) { n.stop(errAsked) })
}

// find is the other member of a name, an identifier or an overlay address.
func (c *Core) find(what string) (wire.NodeID, error) {
	if id, ok := c.lookup(what); ok && id != c.self {
		return id, nil
	}
	return wire.NodeID{}, fmt.Errorf("%w: %q is not the name or an address of another member; overlayctl peers lists them",
		control.ErrUnknownPeer, what)
}

func (c *Core) lookup(what string) (wire.NodeID, bool) {
	if id, ok := c.members.ByName(what); ok {
		if _, come := c.members.Get(id); come {
			return id, true
		}
	}
	addr, err := netip.ParseAddr(what)
	for _, id := range c.members.IDs() {
		if id.String() == what || id.Short() == what {
			return id, true
		}
		if m, _ := c.members.Get(id); err == nil && (addr == m.IPv4 || addr == m.IPv6) {
			return id, true
		}
	}
	return wire.NodeID{}, false
}

func (c *Core) findAll(names []string) (ids []wire.NodeID, err error) {
	for _, name := range names {
		id, err := c.find(name)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}
