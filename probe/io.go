package probe

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"overlayd/internal/wire"
)

// The errors of Step.
var (
	ErrUnknownPath  = errors.New("unknown path")
	ErrPathExists   = errors.New("path exists already")
	ErrTooManyPaths = errors.New("too many paths to one peer")
	ErrInput        = errors.New("unknown input")
)

// State is what is known of a path's outgoing direction.
type State uint8

// The states; the package comment draws the transitions.
const (
	Candidate State = iota // never answered
	Up                     // delivers
	Suspect                // an answer is overdue
	Dead                   // does not deliver
)

// String is the state in lower case.
func (s State) String() string {
	switch s {
	case Candidate:
		return "candidate"
	case Up:
		return "up"
	case Suspect:
		return "suspect"
	case Dead:
		return "dead"
	default:
		return fmt.Sprintf("state %d", uint8(s))
	}
}

// Rate is how often a path is probed while it is up. Cost follows use.
type Rate uint8

// The rates, slowest first; Config has the intervals.
const (
	Quiet    Rate = iota // the peer probes, and would have to be asked again before it is used
	Idle                 // keeps NAT mappings and a rough picture
	Recent               // the peer was in use not long ago, or the path is a remote possibility
	Standby              // would take over at once
	Selected             // carries data
	rates
)

// String is the rate in lower case.
func (r Rate) String() string {
	switch r {
	case Quiet:
		return "quiet"
	case Idle:
		return "idle"
	case Recent:
		return "recent"
	case Standby:
		return "standby"
	case Selected:
		return "selected"
	default:
		return fmt.Sprintf("rate %d", uint8(r))
	}
}

// Counts reads the live counters of data packets on a path. fwd.Counters implements it.
type Counts interface {
	// Counts are the packets sent and received so far, and when the last one was received (zero: never).
	Counts() (sent, received uint64, last wire.Stamp)
	// Bytes are those of these packets.
	Bytes() (sent, received uint64)
	// Seqs are wire.DataSeq of the latest packets sent and received. They are set after the counts.
	Seqs() (sent, received uint32)
}

// Input is what Step takes.
type Input interface{ input() }

type (
	// AddPath begins to measure a path, with a probe at once. Counts may be nil.
	AddPath struct {
		ID     wire.PathID
		Counts Counts
		Rate   Rate
	}
	// RemovePath ends it.
	RemovePath struct{ ID wire.PathID }
	// SetRate changes how often a path is probed.
	SetRate struct {
		ID   wire.PathID
		Rate Rate
	}
	// SetActive says whether data flows to or from the peer, or is about to; probes tell the peer.
	SetActive struct{ Active bool }
	// ProbeNow sends a few quick probes: for a new candidate, to punch a hole, or since something happened.
	ProbeNow struct {
		ID     wire.PathID
		Once   bool // one probe: where nothing flows there is no hurry
		Urgent bool // for a second the path is judged as at rate Standby: something in use depends on it
		Check  bool // ask the peer to make sure of its own paths as well
	}
	// PingReceived is a probe of the peer.
	PingReceived struct {
		On       wire.PathID // the path of ours that it came on
		Ping     wire.Ping
		At       time.Time // of reception, best taken in the kernel; not after now
		Observed netip.AddrPort
	}
	// PongReceived is an answer of the peer.
	PongReceived struct {
		On   wire.PathID // the path of ours that it came on; zero if none
		Pong wire.Pong
		At   time.Time // of reception, best taken in the kernel; not after now
	}
	// PeerRestarted says that the peer has a new epoch: what its former life reported is void.
	PeerRestarted struct{}
	// Bye says that the peer shuts down.
	Bye struct{}
	// Tick is due when NextDeadline has passed.
	Tick struct{}
)

func (AddPath) input()       {}
func (RemovePath) input()    {}
func (SetRate) input()       {}
func (SetActive) input()     {}
func (ProbeNow) input()      {}
func (PingReceived) input()  {}
func (PongReceived) input()  {}
func (PeerRestarted) input() {}
func (Bye) input()           {}
func (Tick) input()          {}

// Output is what Drain gives.
type Output interface{ output() }

type (
	// SendPing is a probe to send on a path of ours, now.
	SendPing struct {
		Path wire.PathID
		Ping wire.Ping
	}
	// SendPong is an answer to send on one or two paths of ours, now.
	SendPong struct {
		Paths []wire.PathID
		Pong  wire.Pong
	}
	// Changed tells that a path's state changed, and why in words for people.
	Changed struct {
		Path     wire.PathID
		From, To State
		Why      string
	}
)

func (SendPing) output() {}
func (SendPong) output() {}
func (Changed) output()  {}
