// Package controltest has a Backend that answers from memory, for the tests of the API and of what is built on it.
package controltest

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"overlayd/internal/control"
)

// Backend is a node in Belmont whose direct path to Boston is cut. Its fields may be changed before it is used.
type Backend struct {
	Failure  error         // if set, every call fails with it
	RTT      time.Duration // of every ping; zero: no answer
	mu       sync.Mutex    // guards all below
	invited  []control.InviteRequest
	pinged   []control.PingRequest
	calls    []Call
	down     bool
	switches int
}

var _ control.Backend = (*Backend)(nil)

// Time is the present of the backend's answers.
func Time() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) }

// Invited are the requests so far.
func (b *Backend) Invited() []control.InviteRequest {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.invited)
}

// Pinged are the requests so far.
func (b *Backend) Pinged() []control.PingRequest {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.pinged)
}

// WentDown reports whether Down was called.
func (b *Backend) WentDown() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.down
}

// Switch counts one more switch of the path to Boston.
func (b *Backend) Switch() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.switches++
}

// Status implements control.Backend.
func (b *Backend) Status(context.Context) (control.Status, error) {
	if b.Failure != nil {
		return control.Status{}, b.Failure
	}
	return control.Status{
		Node: "belmont", ID: "0102030405060708090a0b0c0d0e0f10", Network: "charles",
		NetworkID: "ffeeddccbbaa99887766554433221100",
		Addresses: addrs("10.71.0.1", "fd00:71::1"), Interface: "overlay0", MTU: 1400,
		Listen:    netip.MustParseAddrPort("[::]:51871"),
		Endpoints: control.List[netip.AddrPort]{netip.MustParseAddrPort("192.0.2.1:51871")},
		Members:   members(), Admin: true, Root: true, Relay: "auto", Version: "v1",
		Ceiling: 20_000_000, Subnets: nets("192.168.7.0/24"),
		Labels:  control.Labels{"site": "belmont", "provider": "comcast"},
		Expires: Time().Add(90 * 24 * time.Hour), Digest: "00ff",
		Started: Time().Add(-90 * time.Minute), Uptime: 5400,
		Counters: map[string]uint64{"tx_packets": 12, "bad_frames": 0},
	}, nil
}

// Peers implements control.Backend.
func (b *Backend) Peers(context.Context) ([]control.Peer, error) {
	if b.Failure != nil {
		return nil, b.Failure
	}
	return []control.Peer{
		{
			Name: "boston", ID: "03", Addresses: addrs("10.71.0.3", "fd00:71::3"), State: control.StateUp, Active: true,
			Endpoints: control.List[netip.AddrPort]{netip.MustParseAddrPort("198.51.100.3:51871")},
			LastHeard: Time(), Handshake: Time().Add(-time.Minute), RxBytes: 1 << 20, TxBytes: 1500,
		},
		{Name: "cambridge", ID: "02", Addresses: addrs("10.71.0.2"), State: control.StateDead, Relay: true},
	}, nil
}

// Paths implements control.Backend.
func (b *Backend) Paths(_ context.Context, q control.PathsQuery) (control.Paths, error) {
	if b.Failure != nil {
		return control.Paths{}, b.Failure
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	all := []control.PeerPaths{boston(b.switches + 3), cambridge()}
	if q.Peer != "" {
		all = slices.DeleteFunc(all, func(p control.PeerPaths) bool { return p.Peer != q.Peer })
		if len(all) == 0 {
			return control.Paths{}, fmt.Errorf("%w as %q", control.ErrUnknownPeer, q.Peer)
		}
	}
	return control.Paths{Node: "belmont", Time: Time(), Peers: all}, nil
}

func boston(switches int) control.PeerPaths {
	relayed := control.Path{
		Via: control.Via{"cambridge"}, Endpoint: "198.51.100.7:51871",
		RTT: control.MillisOf(21400 * time.Microsecond), Jitter: control.MillisOf(300 * time.Microsecond),
		LossOut: control.FractionOf(0), LossIn: control.FractionOf(0.0125), Cost: control.CostOf(22),
	}
	direct := control.Path{Endpoint: "198.51.100.3:51871", LossOut: control.FractionOf(1)}
	since := Time().Add(-95 * time.Second)
	return control.PeerPaths{
		Peer: "boston", Addresses: addrs("10.71.0.3", "fd00:71::3"), State: control.StateUp, Selected: &relayed,
		Reason: "direct path dead: 4 probes unanswered", Since: since, Switches: switches,
		Rules:   control.List[string]{"cambridge preferred (rule 5 by root)"},
		Inbound: &control.Via{}, Standbys: control.List[control.Via]{{"newton", "cambridge"}}, Algorithm: "balanced",
		Classes: control.List[control.ClassChoice]{{
			Class: "critical", Algorithm: "balanced", Via: &relayed.Via, Copies: &control.Via{"newton", "cambridge"},
			Reason: "direct path dead: 4 probes unanswered",
		}},
		Shadow: &control.Shadow{
			Algorithm: "latency", Via: &control.Via{"cambridge"}, Switches: 2, Compared: 95, Differed: 12,
			RTTSaved: control.MillisOf(1500 * time.Microsecond), LossSaved: -0.0001, UpSaved: 0.5,
		},
		Candidates: control.List[control.Candidate]{
			{
				Path: relayed, Figures: figures(), ID: 2, State: control.StateUp, Role: control.RoleSelected, Why: "least cost", Since: since,
				Terms: control.List[control.Term]{
					{Name: "rtt", Cost: 21.4, Why: "21.4 ms"}, {Name: "jitter", Cost: 0.6, Why: "2 × 0.3 ms"},
				},
				LastHeard: Time(), RxPackets: 10, TxPackets: 20,
			},
			{Path: direct, ID: 1, State: control.StateDead, Why: "4 probes unanswered", Since: since},
		},
	}
}

func figures() control.Figures {
	return control.Figures{
		MinRTT: control.MillisOf(21 * time.Millisecond), P95RTT: control.MillisOf(22 * time.Millisecond),
		LossOutLow: control.FractionOf(0), LossOutHigh: control.FractionOf(.05), BurstOut: 1.5,
		ReorderedOut: control.FractionOf(.001), Rate: 94e6, Load: control.FractionOf(.2),
	}
}

func cambridge() control.PeerPaths {
	return control.PeerPaths{
		Algorithm: "balanced", Peer: "cambridge", Addresses: addrs("10.71.0.2"), State: control.StateDead, Reason: "no path works",
	}
}

// Invite implements control.Backend.
func (b *Backend) Invite(_ context.Context, r control.InviteRequest) (string, error) {
	if b.Failure != nil {
		return "", b.Failure
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.invited = append(b.invited, r)
	return "overlayd1-TOKEN", nil
}

// Ping implements control.Backend.
func (b *Backend) Ping(ctx context.Context, r control.PingRequest) (control.PingResult, error) {
	if b.Failure != nil {
		return control.PingResult{}, b.Failure
	}
	b.mu.Lock()
	b.pinged = append(b.pinged, r)
	b.mu.Unlock()
	if b.RTT == 0 {
		<-ctx.Done()
		return control.PingResult{}, ctx.Err()
	}
	via := control.Via(r.Via)
	if r.Via == nil {
		via = control.Via{"cambridge"}
	}
	return control.PingResult{
		Peer: r.Peer, Via: via, Endpoint: "198.51.100.7:51871", RTT: control.MillisOf(b.RTT),
	}, nil
}

// Down implements control.Backend.
func (b *Backend) Down(context.Context) error {
	if b.Failure != nil {
		return b.Failure
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.down = true
	return nil
}

func addrs(texts ...string) control.List[netip.Addr] {
	var list control.List[netip.Addr]
	for _, t := range texts {
		list = append(list, netip.MustParseAddr(t))
	}
	return list
}
