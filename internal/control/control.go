// Package control is the API of a running daemon: JSON over HTTP on a Unix socket, its server and its client. It knows
// nothing of the node behind it but the Backend that it states.
//
//	GET  /v1/status                        Status
//	GET  /v1/peers                         {"peers": [Peer, …]}
//	GET  /v1/paths?peer=NAME               Paths
//	GET  /v1/paths?watch=1s&peer=NAME      Paths, one a line, until the client leaves (NDJSON)
//	GET  /v1/members                       {"members": [Member, …]}
//	GET  /v1/invites                       {"invites": [Invite, …]}
//	GET  /v1/revoked                       {"revoked": [Revoked, …]}
//	POST /v1/invite  InviteRequest         {"token": "…"}              these ten not for the socket's group
//	POST /v1/invites/cancel {"id": "…"}    Invite
//	POST /v1/revoke  RevokeRequest         RevokeResult
//	POST /v1/reinstate {"node": "…"}       RevokeResult
//	POST /v1/admin   AdminRequest          {}
//	POST /v1/subnets SubnetRequest         {}
//	POST /v1/leave   {"force": false}      {}
//	POST /v1/root/export                   {"seed": "base64"}
//	POST /v1/root/restore {"seed": "…"}    {}
//	POST /v1/root/forget {"force": false}  {}
//	GET  /v1/routes                        {"routes": [Route, …]}
//	POST /v1/routes  RouteRequest          RouteResult
//	POST /v1/routes/remove RouteRemoval    {"routes": [Route, …]}
//	GET  /v1/history?peer=NAME&since=2h&most=200   History
//	GET  /v1/what-if?down=NAME             WhatIf; or ?cut=NAME&cut=NAME
//	POST /v1/ping    PingRequest           PingResult
//	POST /v1/down                          {}
//
// A failure has a status of 400 or above and the body {"code": "…", "error": "one sentence"}. The socket has mode 0660;
// on top of that the kernel's word on who connected (SO_PEERCRED) must name root, the daemon's own user, or a member of
// the socket's group. Fields may be added to the JSON; none is renamed.
package control

import (
	"context"
	"encoding/json"
	"math"
	"net/netip"
	"strings"
	"time"
)

// Backend is what the API shows and controls. Its methods may be called from many goroutines at once, and return an
// error that wraps one of this package's sentinels where one fits. They return when ctx ends.
type Backend interface {
	// Status describes the node.
	Status(ctx context.Context) (Status, error)
	// Peers lists all other members, by name.
	Peers(ctx context.Context) ([]Peer, error)
	// Paths tells how packets go to every peer, by name, or to the one that the query names (ErrUnknownPeer).
	Paths(ctx context.Context, q PathsQuery) (Paths, error)
	// Members lists the whole network, this node among it, by name.
	Members(ctx context.Context) ([]Member, error)
	// Invite makes a token that lets nodes join (ErrNotAdmin). What it asks for is within its bounds.
	Invite(ctx context.Context, r InviteRequest) (token string, err error)
	// Invites lists the tokens that have not expired, used ones too, whoever made them, the first to expire first.
	Invites(ctx context.Context) ([]Invite, error)
	// CancelInvite voids the one token whose identifier begins so, and returns it (ErrNotAdmin, ErrUnknownInvite;
	// ErrConflict if several do).
	CancelInvite(ctx context.Context, id string) (Invite, error)
	// Revoke puts a node out of the network (ErrNotAdmin, ErrUnknownPeer, ErrRevoked if it is out already; ErrNotRoot to
	// annul, or if the root key signed what is to be undone; ErrConflict for this node itself, which can leave).
	Revoke(ctx context.Context, r RevokeRequest) (RevokeResult, error)
	// Reinstate takes a node back, by name or identifier, that was put out (ErrNotRoot, ErrUnknownPeer; ErrConflict if
	// it is not out).
	Reinstate(ctx context.Context, node string) (RevokeResult, error)
	// Revoked lists who was put out or left, the latest first.
	Revoked(ctx context.Context) ([]Revoked, error)
	// SetAdmin makes a node an admin or takes that from it (ErrNotRoot, ErrUnknownPeer, ErrRevoked).
	SetAdmin(ctx context.Context, r AdminRequest) error
	// SetSubnet lets a node advertise a network or takes that from it (ErrNotAdmin, ErrUnknownPeer, ErrRevoked).
	SetSubnet(ctx context.Context, r SubnetRequest) error
	// Leave tells the others that this node has left, forgets its membership and stops the daemon, without waiting for
	// its end. Without force it refuses to if this node holds the root key or is the only admin (ErrConflict).
	Leave(ctx context.Context, force bool) error
	// ExportRoot is the root key (ErrNotRoot). The caller owns the bytes, and clears them.
	ExportRoot(ctx context.Context) (Seed, error)
	// RestoreRoot keeps the root key on this node from now on (ErrConflict if it is that of another network). It has
	// SeedSize bytes, and stays the caller's.
	RestoreRoot(ctx context.Context, seed Seed) error
	// ForgetRoot removes the root key from this node (ErrNotRoot). Without force it refuses to unless the key was
	// exported since the daemon started (ErrConflict).
	ForgetRoot(ctx context.Context, force bool) error
	// Routes lists the rules that users made for paths, by number.
	Routes(ctx context.Context) ([]Route, error)
	// AddRoute makes a rule, or one for each of several relays (ErrBadRequest, ErrUnknownPeer; ErrConflict if another rule
	// is against it, or there are too many).
	AddRoute(ctx context.Context, r RouteRequest) (RouteResult, error)
	// RemoveRoute takes rules away, all or none, and returns them (ErrUnknownRoute).
	RemoveRoute(ctx context.Context, r RouteRemoval) ([]Route, error)
	// History tells what happened to paths (ErrUnknownPeer; ErrConflict if no journal is kept). What it asks for is within
	// its bounds.
	History(ctx context.Context, q HistoryQuery) (History, error)
	// WhatIf tells what would become of the paths without a node or a link (ErrUnknownPeer; ErrConflict for this node itself).
	WhatIf(ctx context.Context, q WhatIfQuery) (WhatIf, error)
	// Ping measures one round trip (ErrUnknownPeer, ErrNoPath, ErrNoAnswer).
	Ping(ctx context.Context, r PingRequest) (PingResult, error)
	// Down asks the daemon to stop, and does not wait for it.
	Down(ctx context.Context) error
}

// List is a slice that JSON always shows as a list: [] if it is empty, never null.
type List[T any] []T

// MarshalJSON implements json.Marshaler.
func (l List[T]) MarshalJSON() ([]byte, error) {
	if l == nil {
		return []byte("[]"), nil
	}
	return json.Marshal([]T(l))
}

// Via is the names of the relays of a path, in order; empty is the direct path.
type Via = List[string]

// Duration is a time in JSON as people write it, such as "24h0m0s" or "1.5s".
type Duration time.Duration

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = Duration(v)
	return err
}

// Millis is a time in milliseconds, with three decimals. A nil *Millis is unknown, and null in JSON.
type Millis float64

// MillisOf is d as a known time.
func MillisOf(d time.Duration) *Millis {
	m := Millis(math.Round(float64(d)/1e3) / 1e3)
	return &m
}

// Duration is m as a time.
func (m Millis) Duration() time.Duration { return time.Duration(float64(m) * 1e6) }

// Fraction is a part of one, with four decimals. A nil *Fraction is unknown, and null in JSON.
type Fraction float64

// FractionOf is f as a known part.
func FractionOf(f float64) *Fraction {
	r := Fraction(math.Round(f*1e4) / 1e4)
	return &r
}

// Cost is what a selection compares, with three decimals; less is better. A nil *Cost is unknown, and null in JSON.
type Cost float64

// CostOf is f as a known cost.
func CostOf(f float64) *Cost {
	c := Cost(math.Round(f*1e3) / 1e3)
	return &c
}

// State is what is known of a path. A peer has the state of the path in use, or dead if none works, candidate while its
// addresses are tried for the first time, and idle while nobody looks for a path.
type State string

// The states.
const (
	StateUp        State = "up"        // delivers
	StateSuspect   State = "suspect"   // an answer is overdue
	StateDead      State = "dead"      // does not deliver
	StateCandidate State = "candidate" // has never answered

	StateSelf State = "self" // a Member: this node itself
	StateIdle State = "idle" // a Member: nothing flows, so that no path is looked for
)

// Role is what a path is used for.
type Role string

// The roles; a path without one is only measured.
const (
	RoleSelected Role = "selected" // carries data
	RoleStandby  Role = "standby"  // would take over
)

// Status describes a node.
type Status struct {
	Node      string               `json:"node"`
	ID        string               `json:"id"`
	Network   string               `json:"network"`
	NetworkID string               `json:"network_id"`
	Addresses List[netip.Addr]     `json:"addresses"` // on the overlay
	Interface string               `json:"interface"`
	MTU       int                  `json:"mtu"` // bytes
	Listen    netip.AddrPort       `json:"listen"`
	Endpoints List[netip.AddrPort] `json:"endpoints"`   // published: where peers may reach this node
	Members   List[Member]         `json:"members"`     // all of the network, this node among them, by name
	Admin     bool                 `json:"admin"`       // may invite
	Root      bool                 `json:"root"`        // holds the network's root key
	Relay     string               `json:"relay"`       // auto, never or always
	Ceiling   uint64               `json:"ceiling_bps"` // relayed for others at most, bit/s; 0: none
	Subnets   List[netip.Prefix]   `json:"subnets"`     // advertised
	Labels    Labels               `json:"labels"`
	Expires   time.Time            `json:"expires,omitzero"` // this node's certificate, if it is not renewed
	Conflicts List[string]         `json:"conflicts"`        // sentences: claims of this node that do not stand, and why
	Warnings  List[string]         `json:"warnings"`         // sentences: what a person has to set right, here or on another node
	Digest    string               `json:"digest"`           // of all that is known of the network: equal on two nodes that know the same
	Version   string               `json:"version"`
	PID       int                  `json:"pid"`
	Started   time.Time            `json:"started"`
	Uptime    float64              `json:"uptime_s"`           // seconds
	Counters  map[string]uint64    `json:"counters"`           // since the start
	Unstored  string               `json:"unstored,omitempty"` // one sentence: why nothing can be stored now
}

// Peer is another node, and what passed between it and this one.
type Peer struct {
	Name      string               `json:"peer"`
	ID        string               `json:"id"`
	Addresses List[netip.Addr]     `json:"addresses"`
	State     State                `json:"state"`
	Active    bool                 `json:"active"`    // data flows
	Endpoints List[netip.AddrPort] `json:"endpoints"` // that it publishes
	Admin     bool                 `json:"admin"`
	Relay     bool                 `json:"relay"`
	LastHeard time.Time            `json:"last_heard,omitzero"` // absent: never
	Handshake time.Time            `json:"handshake,omitzero"`  // since when the present WireGuard session is in use; absent: there is none
	RxBytes   uint64               `json:"rx_bytes"`
	TxBytes   uint64               `json:"tx_bytes"`
}

// PathsQuery asks for the paths to one peer; without a name, to all.
type PathsQuery struct {
	Peer string
}

// Paths tells which way packets go to every peer, and why.
type Paths struct {
	Node  string          `json:"node"`
	Time  time.Time       `json:"time"`
	Peers List[PeerPaths] `json:"peers"`
}

// PeerPaths is the selection for one peer.
type PeerPaths struct {
	Peer        string           `json:"peer"`
	Addresses   List[netip.Addr] `json:"addresses"`
	State       State            `json:"state"`
	Selected    *Path            `json:"selected"`       // null: no path works
	Reason      string           `json:"reason"`         // why it goes this way now, or none
	Since       time.Time        `json:"since,omitzero"` // when that began; absent: no path ever worked
	Switches    int              `json:"switches"`       // since the start
	Inbound     *Via             `json:"inbound"`        // the path that the peer last sent data on; null: unknown
	Standbys    List[Via]        `json:"standbys"`       // best first
	Duplicating bool             `json:"duplicating"`
	Rules       List[string]     `json:"rules"`      // sentences: what users wish of these paths
	Candidates  List[Candidate]  `json:"candidates"` // all paths, the selected one among them, best first

	// Warning is one sentence: what a person has to set right about the peer.
	Warning string `json:"warning,omitempty"`

	Algorithm string            `json:"algorithm"`        // that chooses
	Classes   List[ClassChoice] `json:"classes"`          // of traffic that goes another way, or is sent twice now
	Shadow    *Shadow           `json:"shadow,omitempty"` // absent: no algorithm runs in the shadow
}

// Path is one way to a peer and its measured figures.
type Path struct {
	Via      Via       `json:"via"`
	Endpoint string    `json:"endpoint"` // underlay address of the next hop
	RTT      *Millis   `json:"rtt_ms"`
	Jitter   *Millis   `json:"jitter_ms"`
	LossOut  *Fraction `json:"loss_out"` // towards the peer
	LossIn   *Fraction `json:"loss_in"`
	Cost     *Cost     `json:"cost"`
}

// Candidate is a path with all that is known of it.
type Candidate struct {
	Path
	Figures
	ID        int        `json:"id"` // this node's number for it
	State     State      `json:"state"`
	Role      Role       `json:"role,omitempty"`
	Why       string     `json:"why"`            // of the state, or why it is not selected
	Since     time.Time  `json:"since,omitzero"` // of the state
	Terms     List[Term] `json:"terms"`          // the parts that Cost is the sum of
	LastHeard time.Time  `json:"last_heard,omitzero"`
	RxPackets uint64     `json:"rx_packets"` // data
	TxPackets uint64     `json:"tx_packets"`
}

// Term is one part of a cost.
type Term struct {
	Name string `json:"name"` // such as rtt, jitter, loss, relay
	Cost Cost   `json:"cost"`
	Why  string `json:"why,omitempty"` // the figure behind it
}

// PingRequest asks for one round trip.
type PingRequest struct {
	Peer    string   `json:"peer"`    // name, or an address on the overlay
	Via     []string `json:"via"`     // null: the path that data takes; []: the direct one
	Timeout Duration `json:"timeout"` // zero: two seconds; ctx of the Backend ends with it
}

// PingResult is an answered ping.
type PingResult struct {
	Peer     string  `json:"peer"`
	Via      Via     `json:"via"` // that it took
	Endpoint string  `json:"endpoint"`
	RTT      *Millis `json:"rtt_ms"`
}

// ViaString is a path in words for people: direct, or the relays in order.
func ViaString(via []string) string {
	if len(via) == 0 {
		return "direct"
	}
	return strings.Join(via, " → ")
}
