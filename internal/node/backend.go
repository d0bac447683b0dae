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
	"overlayd/internal/member"
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
		s = control.Status{
			Node: n.name, ID: n.core.self.String(), Network: n.network.Name, NetworkID: n.network.ID.String(),
			Addresses: n.addresses, Interface: n.cfg.Interface, MTU: n.cfg.MTU, Listen: netip.AddrPortFrom(n.cfg.Listen.Addr(), n.plane.Listening()[0].Port()),
			Endpoints: slices.Clone(n.core.endpoints), Members: n.core.viewMembers(),
			Admin: n.core.cfg.Authority.May(now), Relay: string(n.cfg.Relay), Version: n.version, PID: os.Getpid(),
			Started: wallClock(n.started), Uptime: now.Sub(n.started).Seconds(), Counters: n.counters(),
		}
	})
	return s, err
}

// counters are what a person needs to see whether all is well.
func (n *Node) counters() map[string]uint64 {
	s := n.plane.Stats()
	paths := 0
	for _, p := range n.core.peers {
		paths += len(p.paths)
	}
	return map[string]uint64{
		"forwarded": s.Forwarded, "forward_failed": s.ForwardFailed, "send_failed": s.SendFailed, "no_path": s.NoPath,
		"unknown_label": s.UnknownLabel, "ignored": s.Ignored, "events_dropped": s.EventsDropped, "no_peer": s.NoPeer,
		"not_admitted": s.NotAdmitted, "control_refused": n.core.refused.n,
		"circuits_relayed": uint64(len(n.core.relaying)), "paths": uint64(paths), "goroutines": uint64(runtime.NumGoroutine()),
	}
}

// Peers implements control.Backend.
func (n *Node) Peers(ctx context.Context) (list []control.Peer, err error) {
	err = n.do(ctx, func(now time.Time) { list = n.core.viewPeers(now) })
	return list, err
}

// Paths implements control.Backend.
func (n *Node) Paths(ctx context.Context, q control.PathsQuery) (v control.Paths, err error) {
	var failed error
	err = n.do(ctx, func(now time.Time) {
		v = control.Paths{Node: n.name, Time: wallClock(now)}
		if q.Peer != "" {
			var p *peer
			if p, failed = n.core.find(q.Peer); failed == nil {
				v.Peers = append(v.Peers, n.core.viewPaths(now, p))
			}
			return
		}
		v.Peers = n.core.Paths(now)
	})
	return v, errors.Join(err, failed)
}

// Invite implements control.Backend.
func (n *Node) Invite(ctx context.Context, r control.InviteRequest) (token string, err error) {
	var failed error
	err = n.do(ctx, func(now time.Time) {
		var endpoints []string
		if r.Endpoint != "" {
			endpoints = append(endpoints, r.Endpoint)
		}
		token, failed = n.core.Invite(now, r.Name, time.Duration(r.TTL), endpoints)
		if failed == nil {
			failed = n.act()
		}
	})
	switch {
	case errors.Is(failed, member.ErrNotAdmin):
		failed = fmt.Errorf("%w: %w", control.ErrNotAdmin, failed)
	case failed != nil:
		failed = fmt.Errorf("%w: %w", control.ErrBadRequest, failed)
	}
	return token, errors.Join(err, failed)
}

// Ping implements control.Backend.
func (n *Node) Ping(ctx context.Context, r control.PingRequest) (control.PingResult, error) {
	var failed error
	var id uint32
	done := make(chan PingDone, 1)
	err := n.do(ctx, func(now time.Time) {
		var p *peer
		if p, failed = n.core.find(r.Peer); failed != nil {
			return
		}
		var via []wire.NodeID
		if via, failed = n.core.findAll(r.Via); failed != nil {
			return
		}
		if id, failed = n.core.Ping(now, p.id, via, r.Via != nil); failed != nil {
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
		_ = n.do(context.WithoutCancel(ctx), func(time.Time) {
			delete(n.waiting, id)
			n.core.CancelPing(id)
		})
		return control.PingResult{}, fmt.Errorf("%w from %s in time", control.ErrNoAnswer, r.Peer)
	}
}

// Down implements control.Backend.
func (n *Node) Down(ctx context.Context) error {
	return n.do(ctx, func(time.Time) { n.stop() })
}

// find is the peer of a name, an identifier or an overlay address.
func (c *Core) find(what string) (*peer, error) {
	for _, id := range c.order {
		p := c.peers[id]
		if c.name(id) == what || id.String() == what {
			return p, nil
		}
		if a, err := netip.ParseAddr(what); err == nil && (a == p.member.IPv4 || a == p.member.IPv6) {
			return p, nil
		}
	}
	return nil, fmt.Errorf("%w: %q is not the name or an address of another member; overlayctl peers lists them",
		control.ErrUnknownPeer, what)
}

func (c *Core) findAll(names []string) (ids []wire.NodeID, err error) {
	for _, name := range names {
		p, err := c.find(name)
		if err != nil {
			return nil, err
		}
		ids = append(ids, p.id)
	}
	return ids, nil
}
