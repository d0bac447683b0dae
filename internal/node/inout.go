package node

import (
	"net/netip"
	"time"

	"overlayd/internal/journal"
	"overlayd/internal/member"
	"overlayd/internal/policy"
	"overlayd/internal/routeguard"
	"overlayd/internal/wire"
	"overlayd/pathselect"
	"overlayd/tunnel/fwd"
)

// Input is what the Core can be told: one of the types below.
type Input interface{ input() }

// Datagram is a control, join or STUN datagram from the underlay.
type Datagram struct {
	Class  wire.Class
	Data   []byte // the Core keeps it
	Socket uint8
	From   netip.AddrPort
	Path   *fwd.Path // the circuit that it came out of; nil if it came directly
	At     time.Time // when the kernel received it
}

// UnknownLabel says that a neighbour used a label that means nothing, or that is not for it.
type UnknownLabel struct {
	From  wire.NodeID // zero if nobody knows whose the source address is: then nobody can be told
	Label wire.Label
}

// Wake says that data waits for a peer that was not active.
type Wake struct{ Peer wire.NodeID }

// LocalAddresses are those of this host, without those of the overlay.
type LocalAddresses struct {
	Addrs []netip.Addr    // at which others may reach it, the likeliest first
	Host  routeguard.Host // what its interfaces have; of it the Addresses
}

// UplinkFound answers FindUplink.
type UplinkFound struct {
	To   netip.Addr
	Name string // empty: there is no route
}

// Tick says that the time of NextDeadline has come.
type Tick struct{}

// Shutdown says goodbye to the peers.
type Shutdown struct{}

func (Datagram) input()       {}
func (UnknownLabel) input()   {}
func (Wake) input()           {}
func (LocalAddresses) input() {}
func (UplinkFound) input()    {}
func (Tick) input()           {}
func (Shutdown) input()       {}

// Output is what the Core wants done: one of the types below, in their order.
type Output interface{ output() }

// Send puts a frame on the underlay.
type Send struct {
	Hop   fwd.Hop
	Frame []byte    // owned by the receiver of the output
	Kind  wire.Kind // of the message that is sealed in it; zero: none
}

// Publish replaces the forwarding table.
type Publish struct{ Table *fwd.Table }

// AddPeer makes a WireGuard peer; adding a known one again changes its addresses.
type AddPeer struct {
	ID      wire.NodeID
	Public  [32]byte
	Allowed []netip.Prefix
}

// RemovePeer takes a WireGuard peer away.
type RemovePeer struct{ ID wire.NodeID }

// RenewSession makes a WireGuard session with a peer that may still use one from before this node started.
type RenewSession struct{ ID wire.NodeID }

// ForgetSession ends the WireGuard session with a peer, and what is remembered of the times of its handshakes: it runs
// anew, or its clock or this node's went back.
type ForgetSession struct{ ID wire.NodeID }

// SaveMembers asks for all that is known of the members to be stored, with Now before anything that follows is done: a
// newcomer that was told that it is known must not be forgotten in a crash.
type SaveMembers struct {
	Items [][]byte
	Now   bool
}

// SaveMembership asks for the network's settings and this node's certificate to be stored.
type SaveMembership struct {
	Network     *member.Network
	Certificate *member.Certificate
}

// SaveRules asks for the rules that users made for paths to be stored. Treat them as constant.
type SaveRules struct{ Rules []policy.Rule }

// RuleChanged reports that a rule for paths has come or gone, for the log and the journal.
type RuleChanged struct {
	Change RuleChange
	Peer   wire.NodeID // zero: every peer
	Name   string      // of the peer; empty: every one
	Text   string      // of the rule
}

// RuleChange is what became of a rule.
type RuleChange string

// What may become of a rule.
const (
	RuleMade     RuleChange = "made"
	RuleReplaced RuleChange = "replaced"
	RuleRemoved  RuleChange = "removed"
	RuleExpired  RuleChange = "expired"
)

// Networks says what lies behind which node. Treat it as constant.
type Networks struct {
	Self     []netip.Addr                   // this node's own addresses on the overlay
	Overlay  []netip.Prefix                 // of all members' addresses
	Local    []netip.Prefix                 // behind this node
	Carriers map[netip.Prefix]wire.NodeID   // who carries packets to a network
	Behind   map[wire.NodeID][]netip.Prefix // what packets of a member may come from
}

// HoldGateway says whether this node answers for a gateway address on a LAN.
type HoldGateway struct {
	Addr netip.Addr
	Hold bool
}

// FindUplink asks by which network interface the host sends to an underlay address.
type FindUplink struct{ To netip.Addr }

// Notice is something that a person must be told, in one sentence for the log.
type Notice struct {
	Text    string
	Bad     bool
	Warning bool // the node goes on, but somebody should do something
}

// Switched reports a new selection, for the log and the journal. Where it is the first path that works, or works again, they
// have PeerChanged.
type Switched struct {
	Peer   string
	Via    []string // empty: direct
	Path   wire.PathID
	Reason string

	Endpoint string // of the next hop

	ID    wire.NodeID       // of the peer
	Class wire.TrafficClass // whose packets take it
	Why   pathselect.Reason // what Reason says in words

	From, To *journal.Path // nil: there was none
}

// PeerChanged reports that a peer can be reached, or not any more, for the log and the journal.
type PeerChanged struct {
	Peer string
	ID   wire.NodeID
	Up   bool
	Via  []string // of the path, if Up; empty: direct

	Endpoint string // of its next hop
	Reason   string // a sentence

	From, To *journal.Path // the path that it went, and goes; nil: none
}

// PathChanged reports a new state of a path, for the log and the journal.
type PathChanged struct {
	Peer     string
	Via      []string
	Endpoint string
	From, To string
	Why      string

	ID      wire.NodeID // of the peer
	Notable bool        // for the journal too: it was in use, and died or came back
}

// Quarantined reports that a relay is left alone on the way to a peer for a while, or not any more, for the log and the
// journal.
type Quarantined struct {
	Relay, Peer wire.NodeID
	Over        bool
	Why         string // a whole sentence
}

// PingDone answers a ping that the API asked for.
type PingDone struct {
	ID       uint32
	RTT      time.Duration
	Via      []string
	Endpoint string
	Err      string // empty if answered
}

func (Send) output()           {}
func (Publish) output()        {}
func (AddPeer) output()        {}
func (RemovePeer) output()     {}
func (RenewSession) output()   {}
func (ForgetSession) output()  {}
func (SaveMembers) output()    {}
func (SaveMembership) output() {}
func (SaveRules) output()      {}
func (RuleChanged) output()    {}
func (Networks) output()       {}
func (HoldGateway) output()    {}
func (Notice) output()         {}
func (Switched) output()       {}
func (PeerChanged) output()    {}
func (PathChanged) output()    {}
func (Quarantined) output()    {}
func (PingDone) output()       {}
func (FindUplink) output()     {}
