package policy

import (
	"errors"
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"

	"overlayd/internal/wire"
	"overlayd/pathselect"
)

// ErrMalformed is what Parse returns for anything that Append did not write.
var ErrMalformed = errors.New("malformed rules")

// stored is a rule in CBOR. Times are microseconds since 1970; zero is none.
type stored struct {
	ID        uint32   `cbor:"1,keyasint"`
	Kind      uint8    `cbor:"2,keyasint"`
	Peer      []byte   `cbor:"3,keyasint,omitempty"`
	Relays    [][]byte `cbor:"4,keyasint,omitempty"`
	Uplink    string   `cbor:"5,keyasint,omitempty"`
	Millis    float64  `cbor:"6,keyasint,omitempty"`
	Hops      uint8    `cbor:"7,keyasint,omitempty"`
	Algorithm string   `cbor:"8,keyasint,omitempty"`
	Class     *uint8   `cbor:"9,keyasint,omitempty"` // absent: all
	Strict    bool     `cbor:"10,keyasint,omitempty"`
	By        string   `cbor:"11,keyasint,omitempty"`
	At        int64    `cbor:"12,keyasint"`
	Expires   int64    `cbor:"13,keyasint,omitempty"`
	Note      string   `cbor:"14,keyasint,omitempty"`
}

// Append encodes rules, for a file.
func Append(b []byte, rules []Rule) ([]byte, error) {
	list := make([]stored, len(rules))
	for i := range rules {
		list[i] = rules[i].stored()
	}
	body, err := cbor.Marshal(list)
	if err != nil {
		return nil, fmt.Errorf("encode rules: %w", err)
	}
	return append(b, body...), nil
}

func (r *Rule) stored() stored {
	v := stored{
		ID: uint32(r.ID), Kind: uint8(r.Kind), Uplink: string(r.Uplink), Millis: r.Millis, Hops: uint8(r.Hops),
		Algorithm: r.Algorithm, Strict: r.Strict, By: r.By, At: micros(r.At), Expires: micros(r.Expires), Note: r.Note,
	}
	if !r.Peer.IsZero() {
		v.Peer = r.Peer[:]
	}
	for i := range r.Relays {
		v.Relays = append(v.Relays, r.Relays[i][:])
	}
	if r.OneClass {
		class := uint8(r.Class)
		v.Class = &class
	}
	return v
}

// Parse reads what Append wrote.
func Parse(b []byte) ([]Rule, error) {
	var list []stored
	if err := cbor.Unmarshal(b, &list); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if len(list) > MaxRules {
		return nil, fmt.Errorf("%w: %d of them", ErrMalformed, len(list))
	}
	rules := make([]Rule, 0, len(list))
	known := make(map[subject]bool, len(list))
	for _, v := range list {
		r, err := v.rule()
		if err != nil {
			return nil, err
		}
		if r.ID == 0 || len(rules) > 0 && r.ID <= rules[len(rules)-1].ID || known[r.subject()] {
			return nil, fmt.Errorf("%w: rule %d is out of order, or one too many", ErrMalformed, r.ID)
		}
		known[r.subject()] = true
		rules = append(rules, r)
	}
	return rules, nil
}

func (v *stored) rule() (Rule, error) {
	r := Rule{
		ID: ID(v.ID), Kind: Kind(v.Kind), Uplink: pathselect.Uplink(v.Uplink), Millis: v.Millis, Hops: int(v.Hops),
		Algorithm: v.Algorithm, Strict: v.Strict, By: v.By, At: timeOf(v.At), Expires: timeOf(v.Expires), Note: v.Note,
	}
	if v.Peer != nil {
		if len(v.Peer) != len(r.Peer) {
			return r, fmt.Errorf("%w: rule %d: a peer of %d bytes", ErrMalformed, v.ID, len(v.Peer))
		}
		r.Peer = wire.NodeID(v.Peer)
	}
	for _, relay := range v.Relays {
		if len(relay) != len(wire.NodeID{}) {
			return r, fmt.Errorf("%w: rule %d: a relay of %d bytes", ErrMalformed, v.ID, len(relay))
		}
		r.Relays = append(r.Relays, wire.NodeID(relay))
	}
	if v.Class != nil {
		r.OneClass, r.Class = true, wire.TrafficClass(*v.Class)
	}
	if err := r.check(); err != nil {
		return r, fmt.Errorf("%w: rule %d: %w", ErrMalformed, v.ID, err)
	}
	return r, nil
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func timeOf(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}
