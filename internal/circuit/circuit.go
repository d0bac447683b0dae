// Package circuit opens, accepts, forwards, keeps alive and takes down label-switched circuits (DESIGN D2). It decides;
// the frames, the forwarding table and the clock belong to the caller.
//
// A circuit runs from its opener through one to three relays to its far end. Each node draws the labels on which it
// receives, so that it can look up every frame by its label alone:
//
//	opener ──────── Open(label a) ──▶ relay ──────── Open(label b) ──▶ far end     hop by hop, each sealed for itself
//	opener ◀────── Opened(label d) ── relay ◀────── Opened(label c) ── far end
//
//	opener ═════ d ═▶ relay ═════ c ═▶ far end      frames out
//	opener ◀═ a ═════ relay ◀═ b ═════ far end      frames back
//
// At one node a circuit is in one of two states, and state is soft:
//
//	           Open sent or passed on                 Opened came, or we are the far end
//	(none) ────────────────────────────▶ pending ────────────────────────────────────────▶ up
//	   ▲                                    │ 5 s                                           │ 75 s without use
//	   └────────────────────────────────────┴──── Error, Close, neighbour restarted or gone ┘
//
// The opener repeats its Open a few times; every hop answers a repeated one as it did the first. What ends a circuit at
// one node is told to the neighbours on it. Only those two neighbours are believed, and what they say can only take the
// circuit down: that it works is for the two ends to measure (D5).
package circuit

import (
	"errors"
	"time"

	"overlayd/internal/wire"
)

// What Step can find wrong. A frame that causes an error changed nothing.
var (
	ErrRoute    = errors.New("circuit route is not usable")
	ErrStranger = errors.New("circuit frame from a node that is not next to us on that circuit")
	ErrMessage  = errors.New("not a circuit message")
)

// Config bounds a Machine. DefaultConfig is a good start.
type Config struct {
	Pending time.Duration // how long an open may take
	Idle    time.Duration // how long a circuit lasts without use
	Retry   time.Duration // between two sendings of an Open
	Retries int           // further sendings of an Open after the first

	// A bound on circuits that others opened, ending here or relayed. The opener that a circuit names is only proved to
	// its first hop, so a bound per opener holds for each neighbour by itself: a liar uses up its own share.
	Total       int
	PerNeighbor int // opened through one neighbour; an eighth of that when half of Total is taken
	PerOpener   int // of one opener, through one neighbour
	Own         int // opened by this node
}

// DefaultConfig is what a node uses: a circuit outlasts two refreshes of an idle path, which come every 30 s.
func DefaultConfig() Config {
	return Config{
		Pending: 5 * time.Second, Idle: 75 * time.Second, Retry: 250 * time.Millisecond, Retries: 3,
		Total: 4096, PerNeighbor: 512, PerOpener: 128, Own: 1024,
	}
}

// Input is what a Machine is told.
type Input interface{ input() }

// Open asks for a circuit along Route: one to three relays in order, then the far end. It ends in Opened or Failed.
type Open struct{ Route []wire.NodeID }

// Close ends a circuit of which this node is an end; unknown ones are no error.
type Close struct{ ID wire.CircuitID }

// Received is a fresh circuit message that came directly from a neighbour: a wire.CircuitOpen, CircuitOpened,
// CircuitClose or CircuitError, by value.
type Received struct {
	From    wire.NodeID
	Message any
}

// UnknownLabel tells that a neighbour sent a frame with a label that the forwarding table does not have for it.
type UnknownLabel struct {
	From  wire.NodeID
	Label wire.Label
}

// Used tells that a circuit carried something at the given time. At an end that means that something was received on
// it: what an end only sends keeps nothing alive.
type Used struct {
	ID wire.CircuitID
	At time.Time
}

// NeighborRestarted tells that a neighbour has lost all its labels.
type NeighborRestarted struct{ ID wire.NodeID }

// NeighborGone tells that a neighbour has left the network or shuts down.
type NeighborGone struct{ ID wire.NodeID }

// SetRelay gives or takes back consent to relay for others; without it circuits only end here. There is none at first.
type SetRelay struct{ Allowed bool }

// Admit opens or closes the door to further circuits that are to be relayed; those that exist stay. It is open at first.
type Admit struct{ Circuits bool }

// Reachable tells whether there is a live direct path to a node. Circuits are only opened over live direct paths;
// existing ones stay while a path is lost, since it may come back before anybody notices.
type Reachable struct {
	ID     wire.NodeID
	Direct bool
}

// Tick lets time pass; it is due when NextDeadline has come.
type Tick struct{}

func (Open) input()              {}
func (Close) input()             {}
func (Received) input()          {}
func (UnknownLabel) input()      {}
func (Used) input()              {}
func (NeighborRestarted) input() {}
func (NeighborGone) input()      {}
func (SetRelay) input()          {}
func (Admit) input()             {}
func (Reachable) input()         {}
func (Tick) input()              {}

// Output is what a Machine wants done.
type Output interface{ output() }

// Send asks for a control frame to a neighbour, over the direct path to it.
type Send struct {
	To   wire.NodeID
	Kind wire.Kind
	Body []byte // the receiver of the output owns it
}

// Opened tells that a circuit that ends here carries frames. At the far end Peer, the opener, and Via are only claimed:
// a probe that the peer sealed proves them.
type Opened struct {
	ID           wire.CircuitID
	Peer         wire.NodeID
	Via          []wire.NodeID // relays in order from this node to Peer
	FirstHop     wire.NodeID   // Via[0]: the neighbour that frames go to and come from
	SendLabel    wire.Label    // to put in front of frames to FirstHop
	ReceiveLabel wire.Label    // in front of frames from FirstHop
	Initiator    bool          // this node opened it
}

// Failed tells that a circuit could not be opened, or, after Opened, that it broke.
type Failed struct {
	ID     wire.CircuitID // zero if the open was not even begun
	Peer   wire.NodeID
	Via    []wire.NodeID
	By     wire.NodeID // the node that reported it, if it is known: only a claim, unless it is FirstHop or this node
	Reason string
}

// Closed tells that a circuit that had been Opened ended in good order.
type Closed struct {
	ID   wire.CircuitID
	Peer wire.NodeID
	Why  string
}

// Install tells a relay to switch the labels of a circuit, both ways. A is on the opener's side.
type Install struct {
	ID         wire.CircuitID
	A, B       wire.NodeID
	LabelFromA wire.Label // on frames from A; they go on to B with LabelToB
	LabelToA   wire.Label
	LabelFromB wire.Label // on frames from B; they go on to A with LabelToA
	LabelToB   wire.Label
}

// Uninstall takes an installed switch out.
type Uninstall struct{ ID wire.CircuitID }

func (Send) output()      {}
func (Opened) output()    {}
func (Failed) output()    {}
func (Closed) output()    {}
func (Install) output()   {}
func (Uninstall) output() {}
