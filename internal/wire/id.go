// Package wire encodes and parses everything that overlayd puts on its UDP port, and defines the identifiers that the
// frames carry. It holds no policy and no state.
//
// One port carries five classes of frame, told apart by their first bytes (Classify):
//
//	WireGuard  01..04 00 00 00 …                      exactly as on any WireGuard port
//	STUN       00|01 xx  len(2)  21 12 A4 42 …        RFC 8489
//	label      4C  label(7)  frame…                   a frame on a relayed path (label.go)
//	control    43  hint(4)  nonce(24)  sealed…        between two members (control.go)
//	join       4A  …                                  between a newcomer and a member
package wire

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrMalformed is what every parser of this package returns for input that is too short, too long or odd.
var ErrMalformed = errors.New("malformed frame")

// NetworkID names a network: a hash of its root key.
type NetworkID [16]byte

// String is the identifier in 32 hexadecimal digits.
func (id NetworkID) String() string { return hex.EncodeToString(id[:]) }

// NodeID names a node: a hash of its two public keys, so that nobody chooses it.
type NodeID [16]byte

// String is the identifier in 32 hexadecimal digits; ParseNodeID reads it.
func (id NodeID) String() string { return hex.EncodeToString(id[:]) }

// Short is the first eight hexadecimal digits, for logs.
func (id NodeID) Short() string { return hex.EncodeToString(id[:4]) }

// IsZero reports whether id is unset.
func (id NodeID) IsZero() bool { return id == NodeID{} }

// Compare orders identifiers as their bytes: -1, 0 or +1.
func (id NodeID) Compare(other NodeID) int { return strings.Compare(string(id[:]), string(other[:])) }

// ParseNodeID reads what NodeID.String wrote.
func ParseNodeID(s string) (NodeID, error) {
	var id NodeID
	if len(s) != 2*len(id) {
		return NodeID{}, fmt.Errorf("node identifier %q: %w", s, ErrMalformed)
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil {
		return NodeID{}, fmt.Errorf("node identifier %q: %w", s, ErrMalformed)
	}
	return id, nil
}

// PathID is the number that a node gives one of its own paths to one peer. Zero is no path.
type PathID uint16

// CircuitID names a circuit at every node that it passes; its opener draws it at random.
type CircuitID uint64

// Stamp is a time on one node's own monotonic clock, in nanoseconds from an origin that only that node knows. Stamps of
// two nodes differ by an unknown constant, which cancels in round-trip times and in comparisons of paths.
type Stamp uint64

// Sub is the time from earlier to s on the same clock.
func (s Stamp) Sub(earlier Stamp) time.Duration { return time.Duration(s - earlier) }
