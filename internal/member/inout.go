package member

import (
	"errors"
	"net/netip"

	"overlayd/internal/wire"
)

// Why Set.Step refuses an input, besides the errors of the parsers.
var (
	ErrFull     = errors.New("the network has as many members as it can have")
	ErrStranger = errors.New("not a member")
	ErrBusy     = errors.New("the peer asks for too much")
)

// Input is what a Set is told: Load, Clock, Publish, Learn, Met, Lost, Differs, Received or Tick.
type Input interface{ setInput() }

// Load gives the Set the items that an earlier Save stored. Those that are not believed are left out; nothing is sent.
type Load struct{ Items [][]byte }

// Publish says what this node's own record is to say. The record is signed anew only if that changes it.
type Publish struct{ Statement }

// Learn gives the Set items that did not come in a members message, such as the record of a newcomer or what this node
// has signed. If any is taken, Save comes out of the same step: carried out before somebody is answered, it keeps what he
// is told through a crash.
type Learn struct{ Items []Item }

// Met says that Peer, a member, can be sent to from now on. Chosen says that this node has picked it to talk to.
type Met struct {
	Peer   wire.NodeID
	Chosen bool
}

// Lost says that Peer cannot be sent to any more.
type Lost struct{ Peer wire.NodeID }

// Differs says that Peer, which was met, has said that it knows something else: Known is the lower half of its Digest.
type Differs struct {
	Peer  wire.NodeID
	Known uint32
}

// Received is the body of a KindMembers frame that a member sent. The Set keeps no part of it.
type Received struct {
	From wire.NodeID
	Body []byte
}

// Tick says that NextDeadline has passed.
type Tick struct{}

func (Load) setInput()     {}
func (Publish) setInput()  {}
func (Learn) setInput()    {}
func (Met) setInput()      {}
func (Lost) setInput()     {}
func (Differs) setInput()  {}
func (Received) setInput() {}
func (Tick) setInput()     {}

// Output is what a Set wants done or tells.
type Output interface{ setOutput() }

// Send asks for a KindMembers frame to a member. Body belongs to the receiver of the output.
type Send struct {
	To   wire.NodeID
	Body []byte
}

// Changed says that a member is new, says something new, or has gone: Get tells.
type Changed struct{ Node wire.NodeID }

// Conflict says that two certificates claim what only one can have: a name, an address, a WireGuard key, or the last use
// of an invitation. Loser is a member without it; without key or invitation it is not dealt with.
type Conflict struct {
	Winner, Loser wire.NodeID
	Name          string
	IPv4          netip.Addr
	Key           bool
	Token         TokenID
}

// Ruled says that there is a new verdict. It need not be the one that counts: Revoked tells.
type Ruled struct{ Verdict *Verdict }

// Synced says that this node and Peer have compared all that they know, and know the same.
type Synced struct{ Peer wire.NodeID }

// Surpassed says that somebody has a record of this node which this run has not signed, and which is newer than its own:
// from before its disk was lost, or by a copy of it. Again says that this was so moments ago, too.
type Surpassed struct {
	Record *Record
	Again  bool
}

// Recertified says that this node has a new certificate, which must be stored.
type Recertified struct{ Certificate *Certificate }

// Renamed says that the network has new settings, which must be stored.
type Renamed struct{ Network *Network }

// Save asks for all items to be stored for Load.
type Save struct{ Items [][]byte }

func (Send) setOutput()        {}
func (Changed) setOutput()     {}
func (Conflict) setOutput()    {}
func (Ruled) setOutput()       {}
func (Synced) setOutput()      {}
func (Recertified) setOutput() {}
func (Surpassed) setOutput()   {}
func (Renamed) setOutput()     {}
func (Save) setOutput()        {}

// Member is one member as everybody sees it.
type Member struct {
	ID          wire.NodeID
	Name        string     // empty if an elder member has it
	IPv4        netip.Addr // unset if an elder member has it
	IPv6        netip.Addr
	Certificate *Certificate   // in force: that in the record, or a later one
	Record      *Record        // what it says about itself
	Subnets     []netip.Prefix // that it advertises and may
	Admin       bool
	Barred      bool // not to be dealt with: another node has its key, or had its invitation
}
