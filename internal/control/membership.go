package control

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"time"
)

// ByRoot is what By and Issuer say where the root key signed, and no node.
const ByRoot = "root"

// Labels say where a node is, such as site=belmont. JSON always shows an object, never null.
type Labels map[string]string

// MarshalJSON implements json.Marshaler.
func (l Labels) MarshalJSON() ([]byte, error) {
	if l == nil {
		return []byte("{}"), nil
	}
	return json.Marshal(map[string]string(l))
}

// Member is one node of the network.
type Member struct {
	Name        string             `json:"name"`
	ID          string             `json:"id"`
	Addresses   List[netip.Addr]   `json:"addresses"`
	State       State              `json:"state"` // of the path in use; StateSelf, or StateIdle where none is kept
	Admin       bool               `json:"admin"`
	Relay       bool               `json:"relay"`        // consents to relay
	RelayPolicy string             `json:"relay_policy"` // auto, never or always
	Ceiling     uint64             `json:"ceiling_bps"`  // that it relays for others, bit/s; 0: none
	Subnets     List[netip.Prefix] `json:"subnets"`      // that it advertises and may advertise
	Carries     List[netip.Prefix] `json:"carries"`      // that this node sends to through it now
	Labels      Labels             `json:"labels"`
	Issuer      string             `json:"issuer"`             // of its certificate: a node, or ByRoot
	Expires     time.Time          `json:"expires,omitzero"`   // its certificate, if it is not renewed
	Conflict    string             `json:"conflict,omitempty"` // one sentence: why it does not get what it claims
	Warning     string             `json:"warning,omitempty"`  // one sentence: what a person has to set right about it
	Version     string             `json:"version,omitempty"`  // of overlayd, as the node says
	Protocol    int                `json:"protocol,omitempty"` // of control frames, as the node says
}

// InviteRequest asks for a token.
type InviteRequest struct {
	Name     string             `json:"name,omitempty"`     // that the newcomer must take; empty: its own choice
	TTL      Duration           `json:"ttl"`                // how long the token is good for
	Endpoint string             `json:"endpoint,omitempty"` // HOST:PORT where the newcomer finds this node, before all known ones
	Uses     int                `json:"uses,omitempty"`     // how many nodes may join with it, at most MaxUses; zero: one
	Subnets  List[netip.Prefix] `json:"subnets,omitempty"`  // that newcomers may advertise
}

// MaxUses bounds InviteRequest.Uses.
const MaxUses = 1000

// Invite is a token that has not expired; the token itself is known only to whom it was given.
type Invite struct {
	ID      string             `json:"id"`             // 16 hexadecimal digits
	Name    string             `json:"name,omitempty"` // that the newcomer must take; empty: any
	Uses    int                `json:"uses"`           // how many nodes may join with it
	Used    int                `json:"used"`           // how many have
	Expires time.Time          `json:"expires"`
	By      string             `json:"by"` // the node that made it, or ByRoot
	Subnets List[netip.Prefix] `json:"subnets"`
}

// RevokeRequest asks to put a node out of the network.
type RevokeRequest struct {
	Node  string `json:"node"`            // name, identifier, or an address on the overlay
	Annul bool   `json:"annul,omitempty"` // also void what that admin signed; needs the root key
}

// RevokeResult says whom a revocation or a reinstatement was about, and who signed it.
type RevokeResult struct {
	Node string `json:"node"`
	ID   string `json:"id"`
	By   string `json:"by"` // a node, or ByRoot
}

// Revoked is a node that was put out, or left.
type Revoked struct {
	ID    string    `json:"id"`
	Name  string    `json:"name,omitempty"` // the last that is known
	By    string    `json:"by"`             // a node, or ByRoot
	Since time.Time `json:"since"`
	Left  bool      `json:"left"` // by itself
}

// AdminRequest asks to make a node an admin, or to make it one no more.
type AdminRequest struct {
	Node  string `json:"node"` // name, identifier, or an address on the overlay
	Grant bool   `json:"grant"`
}

// SubnetRequest asks to let a node advertise a network behind it, or no more.
type SubnetRequest struct {
	Node   string       `json:"node"` // name, identifier, or an address on the overlay
	Subnet netip.Prefix `json:"subnet"`
	Grant  bool         `json:"grant"`
}

// Seed is a network's root key: the seed of an Ed25519 key (RFC 8032), SeedSize bytes. It prints as what it is, not as
// its value, so that no log shows it by accident; JSON has it in base64.
type Seed []byte

// SeedSize is the length of a Seed in bytes.
const SeedSize = 32

// Format implements fmt.Formatter.
func (Seed) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(seedText)) }

// LogValue implements slog.LogValuer.
func (Seed) LogValue() slog.Value { return slog.StringValue(seedText) }

const seedText = "(root key)"
